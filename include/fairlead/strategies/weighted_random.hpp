// Any of them, in proportion to weight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <fairlead/strategies/detail/alias_table.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// Choice in proportion to weight, by an alias table (Walker 1977, Vose 1991), exact to n / 2^32.
///
/// When: unlike backends and nothing may correlate. When not: `WeightedRoundRobin` is smoother. Cost: one
/// random number, one load. Memory: 8 bytes a backend, none for equal weights.
struct WeightedRandom {
    static constexpr std::string_view name = "weighted_random";

    using Table = detail::AliasTable;

    Table build(std::span<const Candidate> candidates) const {
        std::vector<std::uint32_t> weights;
        weights.reserve(candidates.size());
        for (const auto& candidate : candidates) weights.push_back(candidate.weight());
        return Table{weights};
    }

    std::size_t pick(const Table& table, std::span<const Candidate>, Pick& pick) const noexcept {
        return table.pick(pick.rng);
    }
};

}  // namespace fairlead
