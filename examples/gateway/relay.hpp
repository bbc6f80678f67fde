// One request on its way through: chosen, sent, and its answer passed back piece by piece.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/any_strategy.hpp>
#include <fairlead/transport/async.hpp>

#include "gateway/block_size.hpp"
#include "gateway/live_settings.hpp"
#include "gateway/log.hpp"
#include "gateway/model_router.hpp"
#include "gateway/relay_transport.hpp"
#include "http_server/exchange.hpp"

namespace gateway {

using GatewayBalancer = fairlead::Balancer<fairlead::AnyStrategy, RelayTransport>;

/// Streams that broke, and were gone on with at another backend. Any thread; plain counts, so relaxed.
struct Continuations {
    std::atomic<std::uint64_t> tried{0};
    std::atomic<std::uint64_t> succeeded{0};  ///< of those, the other one began to answer
};

/// What all requests share. Outlives them.
struct RelayContext {
    GatewayBalancer& balancer;
    const ModelRouter& router;
    const LiveSettings& settings;
    BlockSize<GatewayBalancer>& block_size;
    Log* access_log = nullptr;               ///< null: finished requests are not logged
    Continuations* continuations = nullptr;  ///< counts; null: nobody wants them
};

/// Relays the exchange's request to a backend and the answer to its client: bytes go out as they come in, a
/// slow client slows its backend, a client that leaves cancels the backend's work at once. When the answer
/// breaks off, the client's connection is closed without an end, so that it cannot take a part for the whole;
/// a stream of completions that ends without `data: [DONE]` counts as broken off. Where the settings say so,
/// the rest of a stream of text that broke off is asked of another backend (`Continuation`).
///
/// Threads: on the exchange's executor.
void relay(const RelayContext& context, const std::shared_ptr<http_server::Exchange>& exchange);

}  // namespace gateway
