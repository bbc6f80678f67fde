// Any of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// Uniform choice, from a generator of the thread's own.
///
/// When: as a baseline, or where nothing may correlate. When not: nearly always `RoundRobin` is smoother:
/// with n requests on n backends, chance leaves a third of them idle. Cost: one random number.
struct Random {
    static constexpr std::string_view name = "random";

    struct Table {};

    Table build(std::span<const Candidate>) const noexcept { return {}; }

    std::size_t pick(const Table&, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        return pick.rng.below(static_cast<std::uint32_t>(candidates.size()));
    }
};

}  // namespace fairlead
