// The same key goes to the same backend, on every machine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include <fairlead/strategies/detail/slot_table.hpp>
#include <fairlead/strategies/detail/stable_hash.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// By `Criteria::key`, weighted, the same on every machine, process, build and order of configuration: it
/// follows from names and weights alone. When a backend goes, returns or changes weight, exactly its own
/// share of the keys moves. Weighted rendezvous hashing (Thaler and Ravishankar 1998) at the cost of a table.
///
/// Health and load never rebuild the table. When a key's owner cannot serve, the key is hashed again with the
/// attempt's number: its own order of preference, spread over all others. Without a key: a choice by weight.
///
/// When: caches on the backends are worth more than even load. When not: few keys, or one hot key; see
/// `bounded_load`. A weight of 1 beside 65,535 may own no slot at all. Cost: hashing the key and one load.
/// Memory: 2 bytes a slot, and 256 KiB once a process.
struct ConsistentHash {
    static constexpr std::string_view name = "consistent_hash";

    /// 2^bits slots, 16 to 18: the error of equal shares is about sqrt(n / 2^(bits + 1)).
    unsigned bits = 16;

    /// Nobody gets above ceil(bounded_load * (in flight of the eligible + 1) * weight / sum of weights), at
    /// least 1; when all are above, the least loaded is taken. 0: off. E.g. 1.25 (Mirrokni, Thorup and
    /// Zadimoghaddam 2018). A pick then reads every candidate.
    double bounded_load = 0;

    static constexpr Needs needs() noexcept { return {.all_members = true, .preference = true}; }

    using Table = detail::SlotTable;

    Table build(std::span<const Candidate> candidates) const {
        return Table{candidates, std::clamp(bits, 16U, 18U)};
    }

    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        std::uint64_t hash = pick.criteria.key.empty() ? pick.rng() : detail::stable_hash(pick.criteria.key);
        const std::size_t first = table.owner(nth(hash, pick.attempt));
        if (bounded_load <= 0) return first;
        return within_bound(table, candidates, hash, pick.attempt);
    }

  private:
    static constexpr std::uint32_t most_attempts = 16;

    static std::uint64_t nth(std::uint64_t hash, std::uint32_t attempt) noexcept {
        return attempt == 0 ? hash : Rng::mix(hash + attempt);
    }

    std::size_t within_bound(const Table& table, std::span<const Candidate> candidates, std::uint64_t hash,
                             std::uint32_t attempt) const noexcept {
        // Only those that could serve count: a bound over the whole pool grows loose as backends fail.
        double in_flight = 1;
        double weights = 0;
        std::size_t least = 0;
        float least_load = std::numeric_limits<float>::infinity();
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            const auto& candidate = candidates[i];
            if (!candidate.can_take()) continue;
            in_flight += candidate.in_flight();
            weights += candidate.weight();
            const float load = static_cast<float>(candidate.in_flight() + 1) * candidate.inverse_weight();
            if (load < least_load) {
                least_load = load;
                least = i;
            }
        }
        const double a_weight = weights > 0 ? bounded_load * in_flight / weights : 0;
        for (std::uint32_t k = attempt; k < attempt + most_attempts; ++k) {
            const std::size_t chosen = table.owner(nth(hash, k));
            const auto& candidate = candidates[chosen];
            const double bound = std::max(1.0, std::ceil(a_weight * candidate.weight()));
            if (candidate.can_take() && candidate.in_flight() + 1 <= bound) return chosen;
        }
        return least;
    }
};

}  // namespace fairlead
