// The candidate with the least cost: exact for few, the best of three draws for many.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include <fairlead/model/rng.hpp>
#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/detail/alias_table.hpp>

namespace fairlead::detail {

/// Up to here all candidates are looked at: 64 cost about as much as 10 cache misses. Beyond, three draws
/// reach within a few percent of the exact choice's waiting times (Mitzenmacher 2001) at a fixed cost.
inline constexpr std::size_t exact_candidates = 64;

/// In proportion to weight: uniform draws are unstable when weights differ, since two strong backends among
/// many weak ones are then not drawn often enough to get their share, however idle they are.
inline constexpr int least_draws = 3;

/// The index with the least `cost(candidate)` (a float, below infinity); ties at random; those that cannot
/// take a request now come last. `draws` is by weight.
template <class Cost>
std::size_t pick_least(std::span<const Candidate> candidates, const AliasTable& draws, Rng& rng,
                       Cost&& cost) noexcept {
    constexpr float never = std::numeric_limits<float>::infinity();
    const auto cost_now = [&](const Candidate& candidate) {
        if (!candidate.can_take()) [[unlikely]]
            return never;
        return cost(candidate);
    };
    if (candidates.size() > exact_candidates) {
        std::size_t best = draws.pick(rng);
        float least = cost_now(candidates[best]);
        for (int i = 1; i < least_draws; ++i) {
            const std::size_t other = draws.pick(rng);
            const float its = cost_now(candidates[other]);
            if (its < least) {
                least = its;
                best = other;
            }
        }
        return best;
    }
    std::array<float, exact_candidates> costs;
    float least = never;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        costs[i] = cost_now(candidates[i]);
        least = std::min(least, costs[i]);
    }
    std::uint32_t ties = 0;
    std::size_t first = 0;
    for (std::size_t i = candidates.size(); i-- > 0;) {
        if (costs[i] > least) continue;
        first = i;
        ++ties;
    }
    if (ties <= 1) return first;
    std::uint32_t skip = rng.below(ties);
    for (std::size_t i = first; i < candidates.size(); ++i) {
        if (costs[i] > least) continue;
        if (skip-- == 0) return i;
    }
    return first;
}

}  // namespace fairlead::detail
