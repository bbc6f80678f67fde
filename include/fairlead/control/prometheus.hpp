// A balancer's figures as Prometheus reads them.
//
//     response.headers.set("Content-Type", std::string{fairlead::prometheus_content_type});
//     response.body = fairlead::prometheus_text(balancer);
//
// Do not use it for a page or a script: the admin API's `GET /metrics` (control/admin_api.hpp) has the same
// as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <fairlead/balancer/figures.hpp>

namespace fairlead {

/// Of the text that `prometheus_text` makes.
inline constexpr std::string_view prometheus_content_type = "text/plain; version=0.0.4; charset=utf-8";

namespace detail {

/// The requests that wait for a place.
struct PrometheusQueue {
    std::uint64_t waiting = 0;
    std::uint64_t served = 0;
    std::uint64_t overflowed = 0;
    std::uint64_t timed_out = 0;
    std::uint64_t cancelled = 0;
    Duration waited{};
};

std::string prometheus_text(std::span<const BackendFigures> backends, const Totals& totals,
                            const std::optional<PrometheusQueue>& queue, bool with_latencies);

}  // namespace detail

/// Everything that is known, in the text format 0.0.4; the names are listed in src/control/prometheus.cpp.
/// Series of a removed backend end; `fairlead_picks_total` and the other series without a backend never fall.
/// Holds no key.
///
/// Threads: any. Cost: O(backends), some 60 lines each; takes the balancer's mutex of changes twice.
template <class Balancer>
std::string prometheus_text(const Balancer& balancer) {
    std::optional<detail::PrometheusQueue> queue;
    if constexpr (requires { balancer.figures().queue.waited; }) {
        const auto line = balancer.figures().queue;
        queue = detail::PrometheusQueue{line.waiting,   line.served,    line.overflowed,
                                        line.timed_out, line.cancelled, line.waited};
    }
    return detail::prometheus_text(balancer.snapshot(), balancer.totals(), queue, balancer.options().timing);
}

}  // namespace fairlead
