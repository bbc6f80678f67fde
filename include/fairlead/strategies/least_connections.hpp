// The one with the least in flight.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <fairlead/strategies/detail/pick_least.hpp>
#include <fairlead/strategies/strategy.hpp>
#include <fairlead/strategies/weighted_random.hpp>

namespace fairlead {

/// The least (in flight + 1) / weight, ties at random: exact up to 64 candidates, beyond that the best of
/// three draws by weight. A failed request goes on counting as in flight, for this choice only, for 10 mean
/// latencies of the pool: a backend that fails in 1 ms must not look idle.
///
/// Weights mean concurrency here: a backend of weight 4 gets four times as many at once, and while the pool
/// is idle, light ones may get nothing.
///
/// When: requests of unlike cost, which is what language models have. When not: many balancers on one fleet,
/// where each sees little of the load. Cost: one cache line a candidate, up to 64.
struct LeastConnections {
    static constexpr std::string_view name = "least_connections";

    using Table = detail::AliasTable;

    Table build(std::span<const Candidate> candidates) const { return WeightedRandom{}.build(candidates); }

    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        return detail::pick_least(candidates, table, pick.rng, [](const Candidate& candidate) {
            return static_cast<float>(candidate.load() + 1) * candidate.inverse_weight();
        });
    }
};

}  // namespace fairlead
