// The same key goes to the same backend, on every machine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include <fairlead/model/options.hpp>
#include <fairlead/strategies/detail/slot_table.hpp>
#include <fairlead/strategies/detail/stable_hash.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// By `Criteria::key`, weighted, the same on every machine, process, build and order of configuration: it
/// follows from names and weights alone. When a backend goes, returns or changes weight, exactly its own
/// share of the keys moves. Weighted rendezvous hashing (Thaler and Ravishankar 1998) at the cost of a table.
///
/// Health and load never rebuild the table. When a key's owner cannot serve, the key is hashed again with the
/// attempt's number: its own order of preference, spread over all others. Without a key: by the
/// leading blocks of `Criteria::prefix`, the stateless alternative to `PrefixAffinity` (with `bounded_load`);
/// without these too, a choice by weight.
///
/// When: caches on the backends are worth more than even load. When not: few keys, or one hot key; see
/// `bounded_load`. A weight of 1 beside 65,535 may own no slot at all. Cost: hashing the key and one load.
/// Memory: 2 bytes a slot, and 4 bytes a slot once a process: 384 KiB as it comes.
struct ConsistentHash {
    static constexpr std::string_view name = "consistent_hash";

    /// 2^bits slots, 16 to 18: the error of equal shares is about sqrt(n / 2^(bits + 1)).
    unsigned bits = 16;

    /// Nobody gets above ceil(bounded_load * (in flight of the eligible + 1) * weight / sum of weights), at
    /// least 1; when all are above, the least loaded is taken. 0: off. E.g. 1.25 (Mirrokni, Thorup and
    /// Zadimoghaddam 2018). A pick then reads every candidate.
    double bounded_load = 0;

    /// Where there is no key but a prefix: so many of its leading blocks (or all) are the key. Never the
    /// first alone, which a fleet's common system prompt makes the same for everyone: 64 are 1,024 tokens.
    unsigned leading_blocks = 64;

    /// What the balancer's options say where the strategy itself says nothing.
    void follow(const Options& options) noexcept {
        if (bounded_load == 0) bounded_load = options.hash_bounded_load;
    }

    static constexpr Needs needs() noexcept { return {.all_members = true, .preference = true}; }

    using Table = detail::SlotTable;

    Table build(std::span<const Candidate> candidates) const {
        return Table{candidates, std::clamp(bits, 16U, 18U)};
    }

    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        const std::uint64_t hash = hash_of(pick);
        if (bounded_load > 0) return within_bound(table, candidates, pick, hash);
        return table.owner(nth(hash, pick.attempt));
    }

  private:
    std::uint64_t hash_of(const Pick& pick) const noexcept {
        const Criteria& criteria = pick.criteria;
        if (!criteria.key.empty()) return detail::stable_hash(criteria.key);
        if (criteria.prefix.empty()) return pick.rng();
        // Chained, so the last of them stands for all.
        const std::size_t last = std::min<std::size_t>(criteria.prefix.size(), std::max(1U, leading_blocks));
        return Rng::mix(criteria.prefix[last - 1]);
    }

    /// Of a key's order of preference, before the least loaded is taken. With c = 1.25 at most 1 / c of all
    /// weight can be at its bound, and 0.8^16 is 3 %.
    static constexpr std::uint32_t most_attempts = 16;

    static std::uint64_t nth(std::uint64_t hash, std::uint32_t attempt) noexcept {
        return attempt == 0 ? hash : Rng::mix(hash + attempt);
    }

    static bool is_eligible(const Candidate& candidate, const Criteria& criteria) noexcept {
        return candidate.can_take() && std::find(criteria.exclude.begin(), criteria.exclude.end(),
                                                 candidate.name()) == criteria.exclude.end();
    }

    std::size_t within_bound(const Table& table, std::span<const Candidate> candidates, const Pick& pick,
                             std::uint64_t hash) const noexcept {
        // Only those that could serve count: a bound over the whole pool grows loose as backends fail.
        double in_flight = 1;
        double weights = 0;
        for (const auto& candidate : candidates) {
            if (!is_eligible(candidate, pick.criteria)) continue;
            in_flight += candidate.in_flight();
            weights += candidate.weight();
        }
        if (weights <= 0) return table.owner(nth(hash, pick.attempt));
        // Divided last: the quotient of exact numbers is exact where it is whole, and `ceil` then adds none.
        const auto is_below = [&](const Candidate& candidate) {
            const double bound = std::ceil(bounded_load * in_flight * candidate.weight() / weights);
            return candidate.in_flight() + 1 <= std::max(1.0, bound);
        };
        for (std::uint32_t k = pick.attempt; k < pick.attempt + most_attempts; ++k) {
            const std::size_t chosen = table.owner(nth(hash, k));
            const auto& candidate = candidates[chosen];
            if (is_eligible(candidate, pick.criteria) && is_below(candidate)) return chosen;
        }
        // The least loaded, of those below their bound while there are any.
        std::size_t least = 0;
        float least_load = std::numeric_limits<float>::infinity();
        bool below = false;
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            const auto& candidate = candidates[i];
            if (!is_eligible(candidate, pick.criteria)) continue;
            const bool its = is_below(candidate);
            const float load = static_cast<float>(candidate.in_flight() + 1) * candidate.inverse_weight();
            if (its == below ? load >= least_load : below) continue;
            below = its;
            least_load = load;
            least = i;
        }
        return least;
    }
};

}  // namespace fairlead
