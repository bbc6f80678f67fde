// What a balancer tells of one backend: its config, state and counts at a moment.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/candidate.hpp>

namespace fairlead {

/// One backend at a moment. A plain value. `completed` and `in_flight` are of one instant; the other counts
/// may be a request younger or older.
struct BackendFigures {
    BackendConfig config{};
    BackendId id = 0;
    BackendState state = BackendState::healthy;
    bool in_service = true;         ///< may be given requests: neither unhealthy, draining nor disabled
    bool probe_ok = true;           ///< what the probes found; true before the first
    std::uint64_t incarnation = 0;  ///< another one when another server stands behind the name; from 1

    std::uint32_t in_flight = 0;
    std::uint64_t completed = 0;                  ///< requests that ended, however they went
    std::uint64_t succeeded = 0;                  ///< of those, well
    std::array<std::uint64_t, 7> outcomes{};      ///< of those, by `Outcome::Kind`
    std::uint64_t failed = 0;                     ///< of those, failures of the backend
    std::uint32_t consecutive_failures = 0;       ///< since the last success
    std::uint64_t tokens_in_flight = 0;           ///< as the requests estimated them
    std::uint64_t prompt_tokens = 0;              ///< as answers told
    std::uint64_t completion_tokens = 0;          ///< as answers told
    Duration average_response_time{};             ///< over all that ended; 0 before the first
    double slowness = 1.0;                        ///< latency relative to its pool's
    std::optional<Outcome::Kind> last_failure{};  ///< what the last failure was
    int last_failure_status = 0;                  ///< its HTTP status, if it had one
};

/// Those who wait for a place (`async_select`, `async_send`, `async_stream`). Counts since the start.
struct QueueFigures {
    std::size_t waiting = 0;       ///< now
    std::uint64_t served = 0;      ///< got a place
    std::uint64_t overflowed = 0;  ///< refused: `queue_limit` waited already
    std::uint64_t timed_out = 0;   ///< waited for as long as they could
    std::uint64_t cancelled = 0;   ///< left
    Duration waited{};             ///< by those that were served, all together
};

/// What is known of the whole balancer beside its backends.
struct BalancerFigures {
    std::uint64_t requests = 0;         ///< that `send`, `async_send` and `async_stream` began
    std::uint64_t retries = 0;          ///< further tries, hedges included
    std::uint64_t retries_refused = 0;  ///< by the retry budget
    QueueFigures queue{};
};

}  // namespace fairlead
