// One after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// Strict rotation. The order is shuffled for each balancer, and threads start evenly spaced in it, so that
/// many gateways and many threads do not march in step; each thread has its own place for each group.
///
/// While the set stands and none is full, any n consecutive picks of one thread from one group visit each of
/// the n backends once.
///
/// When: equal backends, requests of about equal cost. When not: requests that take 1 s and 100 s; then
/// `LeastConnections`. Cost: one increment.
struct RoundRobin {
    static constexpr std::string_view name = "round_robin";

    struct Table {};

    Table build(std::span<const Candidate>) const noexcept { return {}; }

    std::size_t pick(const Table&, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        return pick.turn.advance(static_cast<std::uint32_t>(candidates.size()));
    }
};

}  // namespace fairlead
