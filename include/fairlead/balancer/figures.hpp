// What a balancer tells of one backend: its config, state and counts at a moment.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/candidate.hpp>

namespace fairlead {

/// Upper bounds of the latency buckets, inclusive; one more bucket holds what took longer. From 10 ms, which
/// a cached first token takes, to 300 s, which a long answer of a busy engine takes; each about 2 to 2.5
/// times the one before, so that a quantile read from them is off by less than that.
inline constexpr std::array<Duration, 14> latency_bounds{
    std::chrono::milliseconds{10},  std::chrono::milliseconds{25},   std::chrono::milliseconds{50},
    std::chrono::milliseconds{100}, std::chrono::milliseconds{250},  std::chrono::milliseconds{500},
    std::chrono::seconds{1},        std::chrono::milliseconds{2500}, std::chrono::seconds{5},
    std::chrono::seconds{10},       std::chrono::seconds{30},        std::chrono::seconds{60},
    std::chrono::seconds{120},      std::chrono::seconds{300}};

/// How many requests fell into each bucket; not cumulative.
using LatencyCounts = std::array<std::uint64_t, latency_bounds.size() + 1>;

/// A figure that a backend's engine told, and how long ago.
struct LoadFigure {
    double value = 0.0;
    Duration age{};
};

/// What a backend's engine said of its load (`Balancer::report_load`): unset where it said nothing, or so
/// long ago that it counts no more. Requests of other gateways are in it, and our own.
struct LoadFigures {
    std::optional<LoadFigure> running{};
    std::optional<LoadFigure> waiting{};
    std::optional<LoadFigure> waiting_tokens{};
    std::optional<LoadFigure> cache_use{};  ///< share, 0 to 1
    std::optional<std::uint64_t> cache_blocks{};
    std::optional<std::uint32_t> block_tokens{};
};

/// One backend at a moment. A plain value. `completed` and `in_flight` are of one instant; the other counts
/// may be a request younger or older.
struct BackendFigures {
    BackendConfig config{};
    BackendId id = 0;
    BackendState state = BackendState::healthy;
    bool in_service = true;         ///< may serve: neither unhealthy, draining, disabled nor a mirror
    bool probe_ok = true;           ///< what the probes found; true before the first
    std::uint64_t incarnation = 0;  ///< another one when another server stands behind the name; from 1

    std::uint32_t in_flight = 0;
    std::uint64_t completed = 0;                  ///< requests that ended, however they went
    std::uint64_t succeeded = 0;                  ///< of those, well
    std::array<std::uint64_t, 7> outcomes{};      ///< of those, by `Outcome::Kind`
    std::uint64_t failed = 0;                     ///< of those, failures of the backend
    std::uint32_t consecutive_failures = 0;       ///< since the last success
    std::uint64_t tokens_in_flight = 0;           ///< of prompts without a first byte, and of begun answers
    std::uint64_t waiting_tokens = 0;             ///< of those, uncached ones of prompts without a first byte
    std::uint32_t decoding = 0;                   ///< in flight, past their first byte
    std::uint64_t prompt_tokens = 0;              ///< as answers told
    std::uint64_t completion_tokens = 0;          ///< as answers told
    Duration average_response_time{};             ///< over all that ended; 0 before the first
    double slowness = 1.0;                        ///< latency relative to its pool's
    std::optional<Outcome::Kind> last_failure{};  ///< what the last failure was
    int last_failure_status = 0;                  ///< its HTTP status, if it had one

    std::uint64_t retries = 0;         ///< requests that went elsewhere, or came again, after failing here
    std::uint64_t ejections = 0;       ///< how often failing requests made it unhealthy
    Duration response_time_sum{};      ///< of all that ended; a request under way counts as far as it came
    LatencyCounts response_times{};    ///< of all that ended, from choice to end; empty without `timing`
    LatencyCounts first_byte_times{};  ///< of those whose first byte was told
    Duration first_byte_sum{};         ///< of the same

    LoadFigures load{};  ///< as its engine tells it
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

/// What one balancer did since it was made: backends that are gone count as well, so that no count falls.
struct Totals {
    std::uint64_t completed = 0;              ///< requests that ended, however they went
    std::uint64_t succeeded = 0;              ///< of those, well
    std::uint64_t failed = 0;                 ///< of those, failures of a backend
    std::array<std::uint64_t, 7> outcomes{};  ///< of those, by `Outcome::Kind`
    std::uint64_t prompt_tokens = 0;
    std::uint64_t completion_tokens = 0;
    std::uint64_t retries = 0;          ///< further tries, hedges included
    std::uint64_t retries_refused = 0;  ///< further tries that the retry budget forbade
    std::uint64_t ejections = 0;
    Duration response_time_sum{};
    QueueFigures queue{};                          ///< of `async_select`, `async_send` and `async_stream`
    std::map<std::string, std::uint64_t> picks{};  ///< backends chosen, by the strategy then in force

    void add(const BackendFigures& backend) noexcept {
        completed += backend.completed;
        succeeded += backend.succeeded;
        failed += backend.failed;
        for (std::size_t i = 0; i < outcomes.size(); ++i) outcomes[i] += backend.outcomes[i];
        prompt_tokens += backend.prompt_tokens;
        completion_tokens += backend.completion_tokens;
        retries += backend.retries;
        ejections += backend.ejections;
        response_time_sum += backend.response_time_sum;
    }
};

}  // namespace fairlead
