// How a request went.
#pragma once

#include <cstdint>
#include <optional>

#include <fairlead/model/time.hpp>

namespace fairlead {

/// How a request went, as its sender reports it. `resilience/verdict.hpp` decides what that means.
///
///     balancer.report(std::move(lease), fairlead::Outcome::success);
///     balancer.report(std::move(lease), fairlead::Outcome::from_status(503));
struct Outcome {
    enum Kind : std::uint8_t {
        success,        ///< a good answer, to its end
        connect_error,  ///< no connection, TLS failure, reset, or an answer broken off or malformed
        timeout,        ///< no answer, or silence in the middle, for longer than allowed
        server_error,   ///< a 5xx
        rate_limited,   ///< a 429: back-pressure, not failure
        client_error,   ///< another 4xx: the request was at fault
        cancelled       ///< the caller left, or nothing was sent; says nothing about the backend
    };

    Kind kind = success;
    int status = 0;  ///< the HTTP status when there was one, else 0

    /// For the distribution of latencies (`BackendFigures::response_times`); measured by the lease unless
    /// given. What `response_time` goes by, and the average, is for how long the place was taken, in any
    /// case.
    std::optional<Duration> latency{};
    std::optional<Duration> first_byte{};   ///< from the start to the answer's first byte, when known
    std::optional<Duration> retry_after{};  ///< what the backend asked for (`Retry-After`)
    bool unsent = false;              ///< it failed before any of the request was sent: see `Retry::never`
    std::uint64_t prompt_tokens = 0;  ///< as the answer's `usage` tells; 0 when unknown
    std::uint64_t completion_tokens = 0;  ///< as the answer's `usage` tells; 0 when unknown

    constexpr Outcome() noexcept = default;
    constexpr Outcome(Kind k) noexcept : kind{k} {}  // NOLINT: a kind is an outcome

    /// What an HTTP status says: below 400 success, 429 rate_limited, other 4xx client_error, the rest
    /// server_error.
    static constexpr Outcome from_status(int status) noexcept {
        Outcome outcome{status >= 500   ? server_error
                        : status == 429 ? rate_limited
                        : status >= 400 ? client_error
                        : status >= 100 ? success
                                        : server_error};
        outcome.status = status;
        return outcome;
    }
};

/// The kind's name as it stands in metrics and events: "success", "connect_error", ...
constexpr const char* to_string(Outcome::Kind kind) noexcept {
    switch (kind) {
        case Outcome::success:
            return "success";
        case Outcome::connect_error:
            return "connect_error";
        case Outcome::timeout:
            return "timeout";
        case Outcome::server_error:
            return "server_error";
        case Outcome::rate_limited:
            return "rate_limited";
        case Outcome::client_error:
            return "client_error";
        case Outcome::cancelled:
            return "cancelled";
    }
    return "unknown";
}

}  // namespace fairlead
