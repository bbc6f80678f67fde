// The one with the least work outstanding, in tokens.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <fairlead/strategies/detail/pick_least.hpp>
#include <fairlead/strategies/strategy.hpp>
#include <fairlead/strategies/weighted_random.hpp>

namespace fairlead {

/// The least (tokens in flight + requests in flight + 1) / weight, where a request's tokens are its prompt's
/// (`Criteria::tokens`) until the first byte, then what its answer is expected to have
/// (`Criteria::answer_tokens`) or has so far (`Balancer::came`); ties at random, exact up to 64 candidates,
/// beyond that the best of three draws by weight. Requests that say nothing count one each, so it is then
/// `LeastConnections`.
///
/// When: prompts of very unlike length. When not: where no estimate is given. Cost: as `LeastConnections`,
/// and two more atomic additions for a request that gives its tokens.
struct LeastTokens {
    static constexpr std::string_view name = "least_tokens";

    using Table = detail::AliasTable;

    Table build(std::span<const Candidate> candidates) const { return WeightedRandom{}.build(candidates); }

    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        return detail::pick_least(candidates, table, pick.rng, [](const Candidate& candidate) {
            return (static_cast<float>(candidate.tokens()) + static_cast<float>(candidate.load() + 1)) *
                   candidate.inverse_weight();
        });
    }
};

}  // namespace fairlead
