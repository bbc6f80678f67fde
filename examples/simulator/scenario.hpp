// What is simulated: the fleet, the gateways before it, and what happens to them.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/time.hpp>

#include "engine/engine.hpp"
#include "simulator/trace.hpp"

namespace simulator {

using fairlead::Duration;

/// What the gateways learn from the engines, beside what they do themselves.
enum class Signals : std::uint8_t {
    off,
    on,     ///< running, waiting and cache use, as vLLM and most others show them
    tokens  ///< and the prompt tokens that wait, which few do
};

/// Something that happens at a time of the trace.
struct Happening {
    enum class Kind : std::uint8_t {
        restart,   ///< `backend` breaks what it works on, loses its cache, and refuses connections for `down`
        add,       ///< one more backend, with nothing in its cache
        prompt,    ///< the system prompt changes: no prompt from now on shares a block with one before
        estimates  ///< tokens are estimated `factor` times too high from now on
    };
    Kind kind = Kind::restart;
    Duration at{};
    std::size_t backend = 0;
    Duration down{};
    double factor = 1;
};

/// One simulation, but for the strategy.
struct Scenario {
    const Trace* trace = nullptr;  ///< must outlive the simulation
    double load = 1;               ///< of the trace's own: 2 halves the time between requests
    std::size_t backends = 8;
    inference::Profile engine{};
    std::vector<double> speeds{};  ///< of the backends in order, relative to `engine`; of others 1
    std::vector<std::uint32_t>
        weights{};  ///< of the backends in order, as the gateways are told; of others 1
    std::uint32_t max_connections = fairlead::max_connections_limit;  ///< of each backend, in each gateway
    std::uint32_t retries = 2;                                        ///< elsewhere, after a backend failed

    std::size_t gateways = 1;  ///< requests come to any of them by chance
    bool owner = true;         ///< whether strategies are told how many there are
    Signals signals = Signals::off;
    std::size_t believed_blocks = 0;  ///< a backend's cache, as the strategies believe; 0: as it is
    double estimate = 1;              ///< tokens of a request as they are told, relative to what they are

    std::vector<Happening> happenings{};
    std::uint64_t seed = 1;

    /// The engine of that number: one of twice the speed takes half the time for all that it does.
    inference::Profile engine_of(std::size_t backend) const;

    std::size_t blocks_believed() const {
        return believed_blocks == 0 ? engine.cache_blocks : believed_blocks;
    }
};

}  // namespace simulator
