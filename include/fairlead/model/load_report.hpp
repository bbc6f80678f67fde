// What an engine says of its own load.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include <fairlead/model/options.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// What an engine says of its own load at one moment: made by `LoadMonitor` and `read_orca`, or by a host
/// that knows by itself. A plain value. What the engine did not say is unset, which is never the same as 0:
/// an unknown taken for 0 would look idle, and draw everything to it.
struct LoadReport {
    std::optional<double> running{};         ///< requests that it works on
    std::optional<double> waiting{};         ///< requests in its queue
    std::optional<double> waiting_tokens{};  ///< prompt tokens of those in its queue that must be computed
    std::optional<double> cache_use{};       ///< share of its key-value cache in use, 0 to 1

    std::optional<std::uint64_t> cache_blocks{};  ///< blocks that its cache holds
    std::optional<std::uint32_t> block_tokens{};  ///< tokens to a block

    /// When its process began, in seconds since 1970 by its own clock; of several, the latest. No load: it is
    /// there to tell a restart by (`Balancer::report_load`).
    std::optional<double> process_start{};

    Time at{};  ///< when it was so, by the balancer's clock

    bool operator==(const LoadReport&) const = default;

    /// Whether it says anything of the load.
    bool says_something() const noexcept {
        return running || waiting || waiting_tokens || cache_use || cache_blocks || block_tokens;
    }
};

/// The time between two scrapes of one backend: `load_interval`, and longer where so many balancers share the
/// fleet that together they would ask more than ten times a second.
inline Duration load_interval_of(const Options& options) noexcept {
    constexpr std::int64_t most = 1'000'000'000;  // gateways: 100 million seconds still fit
    const auto shared = std::chrono::milliseconds{100} * std::min<std::int64_t>(options.gateways, most);
    return std::max<Duration>(options.load_interval, shared);
}

namespace detail {

/// A billion requests or tokens are no engine's load but a mistake somewhere.
inline std::optional<double> plausible_count(double value) noexcept {
    if (!(value >= 0.0 && value <= 1e9)) return std::nullopt;  // NaN is neither
    return value;
}

/// A share. Rounding may lift it above 1 by a hair; what lies further above is a percentage, of which nobody
/// knows whether 0.5 is a half of the cache or of a hundredth.
inline std::optional<double> plausible_share(double value) noexcept {
    if (!(value >= 0.0 && value <= 1.001)) return std::nullopt;
    return std::min(value, 1.0);
}

/// Seconds since 1970. 0 says who does not know; what lies after the year 5000 is in milliseconds.
inline std::optional<double> plausible_start(double value) noexcept {
    if (!(value > 0.0 && value <= 1e11)) return std::nullopt;
    return value;
}

/// The report without what no engine can mean: such figures count as not told.
inline LoadReport plausible(LoadReport report) noexcept {
    for (auto* const count : {&report.running, &report.waiting, &report.waiting_tokens}) {
        if (*count) *count = plausible_count(**count);
    }
    if (report.cache_use) report.cache_use = plausible_share(*report.cache_use);
    if (report.process_start) report.process_start = plausible_start(*report.process_start);
    return report;
}

}  // namespace detail
}  // namespace fairlead
