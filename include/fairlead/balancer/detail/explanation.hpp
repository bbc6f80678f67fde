// What a strategy that explains itself thinks of a group's candidates.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/explained.hpp>

namespace fairlead::detail {

/// All of them, the next to be chosen first. Throws std::bad_alloc.
template <Explains S>
std::vector<Explained> explained(const S& strategy, const Group<S>& group, const Criteria& criteria,
                                 Time now) {
    std::vector<Explained> all;
    for (const auto& level : group.levels) {
        const auto visit = [&](std::size_t i, const typename S::Terms& terms) {
            const Candidate& candidate = level.candidates[i];
            all.push_back({std::string{candidate.name()}, level.priority, candidate.can_take(), terms.cached,
                           terms.uncached, terms.waiting, terms.decoding, terms.pressure, terms.speed,
                           terms.weight, terms.cost()});
        };
        strategy.explain(*level.table, level.candidates, criteria, now, visit);
    }
    std::stable_sort(all.begin(), all.end(), [](const Explained& a, const Explained& b) {
        if (a.priority != b.priority) return a.priority < b.priority;
        return a.can_take != b.can_take ? a.can_take : a.cost < b.cost;
    });
    return all;
}

}  // namespace fairlead::detail
