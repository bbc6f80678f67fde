// How much of its share a backend takes while it warms up.
//
// Without it, a backend that returns with empty caches looks the least busy of all, gets every request at
// once, and is slow or out again before it has served one.
#pragma once

#include <algorithm>
#include <cstdint>

#include <fairlead/model/time.hpp>

namespace fairlead {

/// The ramp: the probability with which a choice of this backend is kept, `since` after its return. Linear
/// from `floor` (0..1; 0.1 by default, so that it gets requests to warm up with at all) to 1 at the end of
/// `whole`; 1 where `whole` is 0 (slow start is off). A `since` below 0 counts as 0. Thread safe; no state.
constexpr double slow_start_share(Duration since, Duration whole, double floor) noexcept {
    if (whole <= Duration::zero() || since >= whole) return 1.0;
    const double done =
        static_cast<double>(std::max(since, Duration::zero()).count()) / static_cast<double>(whole.count());
    return floor + (1.0 - floor) * done;
}

/// `max_connections` under the ramp: the same share of it, at least 1 so that it can warm up at all; 0 stays
/// 0. Thread safe; no state.
constexpr std::uint32_t slow_start_limit(std::uint32_t max_connections, double share) noexcept {
    if (max_connections == 0) return 0;
    const auto limit = static_cast<std::uint32_t>(static_cast<double>(max_connections) * share);
    return std::clamp(limit, 1U, max_connections);
}

}  // namespace fairlead
