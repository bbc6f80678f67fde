// A balancer's figures as Prometheus reads them.
//
//     response.headers.set("Content-Type", std::string{fairlead::prometheus_content_type});
//     response.body = fairlead::prometheus_text(balancer);
//
// Do not use it for a page or a script: the admin API's `GET /metrics` (control/admin_api.hpp) has the same
// as JSON.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <fairlead/balancer/figures.hpp>

namespace fairlead {

/// Of the text that `prometheus_text` makes.
inline constexpr std::string_view prometheus_content_type = "text/plain; version=0.0.4; charset=utf-8";

namespace detail {

std::string prometheus_text(std::span<const BackendFigures> backends, const Totals& totals,
                            bool with_latencies);

}  // namespace detail

/// Everything that is known, in the text format 0.0.4; the names are listed in src/control/prometheus.cpp.
/// Series of a removed backend end; `fairlead_picks_total` and the other series without a backend never fall.
/// Holds no key.
///
/// Threads: any. Cost: O(backends), some 60 lines each; takes the balancer's mutex of changes twice.
template <class Balancer>
std::string prometheus_text(const Balancer& balancer) {
    return detail::prometheus_text(balancer.snapshot(), balancer.totals(), balancer.options().timing);
}

}  // namespace fairlead
