// Every knob that does not belong to one strategy or one backend, with its default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <fairlead/model/block_tokens.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// Which failures may be tried again elsewhere. Inference is safe to repeat, so all are on.
struct RetryOn {
    bool connect_error = true;  ///< no connection, reset, malformed or broken answer
    bool timeout = true;        ///< no answer in time: the first try's work is paid twice
    bool server_error = true;   ///< 5xx, and 401/403 where the key was ours to give
    bool rate_limited = true;   ///< 429, 503 with Retry-After

    bool operator==(const RetryOn&) const = default;
};

/// The most that `Options::subset_limit` may be: the table in which a request's subset is looked up has twice
/// as many places, so that a look takes one or two.
inline constexpr std::uint32_t max_subset_limit = 2'048;

/// To where a request's latency runs, for the strategies that look at it.
enum class LatencyTo : std::uint8_t { first_byte, last_byte };

/// The strategy-independent knobs. Defaults are those of the operator's guide where it names one.
/// `validate(options)` names what is out of range; `Balancer` throws `std::invalid_argument` for it.
struct Options {
    // --- retry -------------------------------------------------------------------------------------------
    std::uint32_t max_retries = 2;                            ///< further tries after the first
    RetryOn retry_on{};                                       ///< which failures are tried again
    double retry_budget_ratio = 0.2;                          ///< retries at most this share of requests ...
    double retry_budget_min = 10.0;                           ///< ... plus this many a second ...
    Duration retry_budget_window = std::chrono::seconds{10};  ///< ... over any such window: one at least
    Duration back_off_base =
        std::chrono::milliseconds{50};                ///< only when the same backend must be used again
    Duration back_off_max = std::chrono::seconds{1};  ///< doubling, full jitter, at most this
    double hedge_quantile = 0.0;  ///< one more try when no first byte came by this quantile; 0: off
    double mirror_share = 0.0;    ///< share of requests also sent to a backend marked `mirror`; 0: off

    // --- failure seen from requests ----------------------------------------------------------------------
    bool ejection = true;                 ///< whether failures make a backend unhealthy at all
    std::uint32_t failure_threshold = 3;  ///< consecutive failures (or failed probes) until unhealthy, >= 1
    std::uint32_t success_threshold = 2;  ///< successful trials (or probes) until healthy again, >= 1
    double failure_ratio = 0.5;           ///< unhealthy when more than this share of requests failed ...
    std::uint32_t failure_ratio_requests = 20;  ///< ... of at least this many ...
    Duration failure_ratio_window =
        std::chrono::seconds{10};                       ///< ... in this time; a ratio of 1 turns it off
    Duration base_ejection = std::chrono::seconds{10};  ///< times the number of times in a row
    Duration max_ejection = std::chrono::minutes{5};    ///< at most
    double ejection_jitter = 0.1;                       ///< plus up to this share
    double max_ejected = 0.5;          ///< share of the backends of one model and priority that may be out
    bool probe_ends_ejection = false;  ///< a passing probe returns an ejected backend
    Duration rest_default = std::chrono::seconds{5};  ///< after a 429 that does not say how long
    Duration rest_max = std::chrono::seconds{60};     ///< whatever it says, at most; 0: nobody rests
    Duration slow_start{0};  ///< how long one that returns or is added takes a rising share; 0: off
    /// A choice of it is kept with this probability at first. Else one more is drawn by weight, which may be
    /// it again: it begins with floor + (1 - floor) of its share of all weight, of what it gets in the end.
    /// One of ten begins with 0.19 of that, one of two with 0.55. Of its `max_connections` it begins with the
    /// floor.
    double slow_start_floor = 0.1;

    // --- failure seen from probes ------------------------------------------------------------------------
    bool health_check = true;                                   ///< periodic probes
    Duration health_check_interval = std::chrono::seconds{30};  ///< between two probes of one backend, > 0
    Duration health_check_unhealthy_interval = std::chrono::seconds{5};  ///< of an unhealthy one, at most
    Duration health_check_timeout = std::chrono::seconds{10};            ///< of one probe
    double health_check_jitter = 0.1;                                    ///< of the interval
    std::uint32_t health_check_concurrency = 16;                         ///< probes under way at most
    std::string health_check_path = "/v1/models";                        ///< behind the backend's base URL
    int health_check_status = 0;                                         ///< expected; 0: any 2xx
    std::string health_check_contains{};                                 ///< text that the body must contain

    // --- load that the engines tell ----------------------------------------------------------------------
    bool load_monitor = false;                         ///< periodic scrapes of the engines' metrics
    Duration load_interval = std::chrono::seconds{1};  ///< between two of one backend, 0.25 to 10 s
    std::string load_path = "/metrics";                ///< behind the backend's base URL
    bool load_headers = false;  ///< ask for the load in the headers of every answer (ORCA)

    // --- what prefix_affinity remembers ------------------------------------------------------------------
    std::uint32_t prefix_block_tokens = 0;  ///< tokens to a block of `Criteria::prefix`, 1 to 65,536; 0: 16
    std::uint64_t prefix_cache_blocks = 31'250;  ///< of a backend that does not say; 500,000 tokens
    std::size_t prefix_memory = std::size_t{144} * 1024 * 1024;  ///< bytes of all beliefs at most
    bool prefix_learned_speed = false;  ///< multiply weights by the speed of prefill seen

    // --- how consistent_hash is bounded ------------------------------------------------------------------
    double hash_bounded_load = 0.0;  ///< `ConsistentHash::bounded_load` where that is 0: 0 (off), or >= 1

    // --- who is eligible ---------------------------------------------------------------------------------
    double panic_threshold =
        0.0;  ///< share of healthy below which the unhealthy serve too; 0: only when none is
    double overprovisioning = 0.0;       ///< 1.4: a priority of healthy share h takes min(1, 1.4 h); 0: off
    std::uint32_t subset_limit = 1'024;  ///< subsets (model and tags) kept ready
    std::size_t subset_memory = std::size_t{64} * 1024 * 1024;  ///< bytes of all their tables together

    // --- waiting for a place -----------------------------------------------------------------------------
    std::uint32_t queue_limit = 1'024;         ///< requests waiting at most
    Duration queue_timeout = Duration::max();  ///< each at most; the request's deadline unless set

    // --- figures -----------------------------------------------------------------------------------------
    bool timing = true;  ///< latency and failure ratio; without it `select` and `report` read no clock, and
                         ///< what engines tell of their load is not trusted
    LatencyTo latency_to = LatencyTo::first_byte;        ///< what the strategies look at
    Duration latency_tau = std::chrono::seconds{10};     ///< time constant with which latencies fade
    Duration latency_tau_max = std::chrono::minutes{5};  ///< longer where requests are few, up to this

    std::uint32_t gateways = 1;           ///< how many balancers share the fleet
    std::optional<std::uint64_t> seed{};  ///< of the random generator; from the system's entropy unless given

    bool operator==(const Options&) const = default;
};

/// Tokens to a block of a prompt's prefix, as the options say or, where they do not, as is usual.
constexpr std::uint32_t block_tokens_of(const Options& options) noexcept {
    return options.prefix_block_tokens != 0 ? options.prefix_block_tokens : usual_block_tokens;
}

}  // namespace fairlead
