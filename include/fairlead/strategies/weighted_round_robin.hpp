// One after the other, in proportion to weight.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <fairlead/strategies/detail/turn_schedule.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// Rotation by weight, in the smoothest order there is: of the first k turns of the table a backend has
/// k w / W, less or more than one turn off, for every k (over any window of one thread: two).
///
/// The order is drawn up when the set changes, by chairman assignment (Tijdeman 1980), so that a pick is one
/// increment and one load. Smooth weighted round robin, as in nginx, takes time in proportion to the backends
/// for each pick; deadline queues, as in Envoy, stray by up to 50 turns on weights {100, 100 times 1}.
///
/// A period has at most max(65,536, 16 n rounded up to a power of two) turns; weights that need more are
/// rounded to that, everybody keeping one turn at least. Threads start at unlike places of the period.
///
/// When: unlike backends, requests of about equal cost. When not: where load is known to differ, see
/// `LeastConnections`. Cost: one increment, one load. Memory: 2 bytes a turn, none for equal weights.
struct WeightedRoundRobin {
    static constexpr std::string_view name = "weighted_round_robin";

    struct Table {
        std::vector<std::uint16_t> turns;  ///< whose turn it is; empty when all weights are equal

        std::size_t memory() const noexcept { return turns.capacity() * sizeof(std::uint16_t); }
    };

    Table build(std::span<const Candidate> candidates) const {
        const auto same = [&](const Candidate& c) { return c.weight() == candidates.front().weight(); };
        if (std::all_of(candidates.begin(), candidates.end(), same)) return {};
        std::vector<std::uint32_t> weights;
        weights.reserve(candidates.size());
        for (const auto& candidate : candidates) weights.push_back(candidate.weight());
        return {detail::turn_schedule<std::uint16_t>(detail::turns_of(weights))};
    }

    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        if (table.turns.empty()) return pick.turn.advance(static_cast<std::uint32_t>(candidates.size()));
        return table.turns[pick.turn.advance(static_cast<std::uint32_t>(table.turns.size()))];
    }
};

}  // namespace fairlead
