// Who owns a key by weighted rendezvous, slowly: everybody's time of arrival is looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <fairlead/model/rng.hpp>
#include <fairlead/strategies/detail/slot_table.hpp>
#include <fairlead/strategies/detail/stable_hash.hpp>

namespace fairlead::test {

/// Of `members`, names and weights, the index of the one who owns `key` among 65,536 slots; with an `attempt`
/// above 0, the key's next in its own order of preference.
inline std::size_t rendezvous(std::span<const std::pair<std::string_view, std::uint32_t>> members,
                              std::string_view key, std::uint32_t attempt = 0) {
    static const auto times = detail::visit_times(16);
    std::uint64_t hash = detail::stable_hash(key);
    if (attempt > 0) hash = Rng::mix(hash + attempt);
    const auto slot = static_cast<std::uint32_t>(hash >> (64 - 16));
    std::size_t owner = 0;
    std::pair<std::uint64_t, std::uint64_t> first{~0ULL, ~0ULL};
    for (std::size_t i = 0; i < members.size(); ++i) {
        const auto name = detail::stable_hash(members[i].first);
        const detail::SlotOrder order{name, 16};
        // In whole numbers.
        const std::uint64_t arrives =
            std::uint64_t{times[order.visit(slot)]} * ((1U << 31) / members[i].second);
        if (std::pair{arrives, name} < first) {
            first = {arrives, name};
            owner = i;
        }
    }
    return owner;
}

}  // namespace fairlead::test
