// What an operator writes about one backend.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <fairlead/model/time.hpp>

namespace fairlead {

/// A backend's own health check, where it differs from `Options::health_*`. Unset fields inherit.
struct HealthOverride {
    std::optional<std::string> path{};           ///< e.g. "/health"
    std::optional<Duration> interval{};          ///< between two probes; > 0
    std::optional<int> expected_status{};        ///< 100..599; inherits "any 2xx" when nothing is set
    std::optional<std::string> body_contains{};  ///< the answer's body must contain this text

    bool operator==(const HealthOverride&) const = default;
};

/// One backend as configured. An aggregate, so that designated initializers work:
/// `{.name = "primary", .url = "http://10.0.0.6:8000", .weight = 3}`.
///
/// `Balancer::add` checks it: see `validate` for what is accepted.
struct BackendConfig {
    std::string name{};  ///< unique; 1..128 bytes of UTF-8, no control characters, no '/', no outer blanks
    std::string url{};   ///< http:// or https://, host, optional port and base path
    std::string model_name{};                     ///< what it serves; empty: whatever it is asked for
    std::string api_key{};                        ///< sent as bearer token; never logged, shown or measured
    std::uint32_t weight = 1;                     ///< relative capacity, 1..65,535
    std::uint32_t max_connections = 50;           ///< requests in flight at most, 1..1,048,575; exact
    Duration timeout = std::chrono::seconds{30};  ///< the wait for the response's head, > 0
    int priority = 0;                             ///< lower first; higher numbers serve when no lower one can
    std::vector<std::string> tags{};              ///< a request may ask for some: all of those must be here

    Duration connect_timeout = std::chrono::seconds{5};  ///< name look-up, TCP and TLS together, > 0
    std::optional<Duration> first_byte_timeout{};  ///< head to the body's first byte; `timeout` unless set
    std::optional<Duration> idle_timeout{};        ///< silence between two bytes; `timeout` unless set
    std::optional<Duration> total_timeout{};       ///< the whole exchange; off unless set
    HealthOverride health{};                       ///< its own health check
    std::uint64_t cache_blocks =
        0;                ///< of its prefix cache; 0: as its engine tells, or the strategy's default
    bool mirror = false;  ///< never serves: only gets copies of requests (`Options::mirror_share`)

    bool operator==(const BackendConfig&) const = default;
};

inline constexpr std::uint32_t max_weight = 65'535;
inline constexpr std::uint32_t max_connections_limit =
    1'048'575;  ///< 2^20 - 1: in flight is counted in 20 bits

}  // namespace fairlead
