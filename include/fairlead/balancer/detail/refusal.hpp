// What is said of a group when nobody in it can take a request.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead::detail {

/// Why nobody in the group can take the request, looked at when nobody did. Several reasons: the one that a
/// wait, or the caller, could mend first. `wait` receives the shortest rest. O(members), but ends at the
/// first that is full.
template <Strategy S>
Errc why_nobody(const Group<S>& group, const Criteria& criteria, Time now, Duration& wait) noexcept {
    if (group.levels.empty()) return group.nobody;
    bool resting = false;
    auto rest = std::numeric_limits<std::int64_t>::max();
    for (const auto& level : group.levels) {
        for (const auto& candidate : level.candidates) {
            if (candidate.limit() == 0) continue;
            if (std::find(criteria.exclude.begin(), criteria.exclude.end(), candidate.name()) !=
                criteria.exclude.end()) {
                continue;
            }
            const auto& backend = CandidateAccess::backend(candidate);
            if (!backend.resting()) return Errc::all_full;
            resting = true;
            rest = std::min(rest, backend.rest_until.load(std::memory_order_relaxed));
        }
    }
    if (!resting) return Errc::all_excluded;
    wait = std::max(Duration{1}, Duration{rest} - now.time_since_epoch());
    return Errc::all_resting;
}

/// Whether somebody in the group is closed, or has another config, than the picture has it: a change is under
/// way, or its picture is out by now. What is so for this picture stays so.
template <Strategy S>
bool is_being_changed(const Group<S>& group) noexcept {
    for (const auto& level : group.levels) {
        for (const auto& candidate : level.candidates) {
            if (CandidateAccess::is_outdated(candidate)) return true;
        }
    }
    return false;
}

}  // namespace fairlead::detail
