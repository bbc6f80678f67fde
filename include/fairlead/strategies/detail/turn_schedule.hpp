// The smoothest order in which backends of unlike weights can take turns.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <queue>
#include <span>
#include <utility>
#include <vector>

namespace fairlead::detail {

/// Weights as turns in a period of at most max(65,536, 16 n rounded up to a power of two): as they are,
/// divided by what they have in common, where that fits; else rounded by largest remainders, everybody
/// keeping at least one turn. The rounding errs by less than one turn, or by up to one turn for a weight that
/// deserved less.
inline std::vector<std::uint32_t> turns_of(std::span<const std::uint32_t> weights) {
    std::vector<std::uint32_t> turns{weights.begin(), weights.end()};
    std::uint32_t common = 0;
    std::uint64_t sum = 0;
    for (const auto weight : turns) {
        common = std::gcd(common, weight);
        sum += weight;
    }
    if (common == 0) return turns;
    const auto most = std::max<std::uint64_t>(65'536, std::bit_ceil(std::uint64_t{16} * turns.size()));
    if (sum / common <= most) {
        for (auto& turn : turns) turn /= common;
        return turns;
    }
    // One turn for everybody first, the rest in proportion to what a weight deserves beyond that.
    std::uint64_t given = 0;
    std::vector<std::pair<std::uint64_t, std::size_t>> remainders;
    for (std::size_t i = 0; i < turns.size(); ++i) {
        const std::uint64_t share = most * weights[i];  // < 2^20 * 2^16
        turns[i] = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, share / sum));
        given += turns[i];
        if (share >= sum) remainders.emplace_back(share % sum, i);
    }
    std::sort(remainders.begin(), remainders.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    for (const auto& [remainder, i] : remainders) {
        if (given >= most) break;
        ++turns[i];
        ++given;
    }
    return turns;
}

/// Chairman assignment (Tijdeman, "The chairman assignment problem", Discrete Mathematics 32, 1980): at each
/// turn, of those whose quota allows another, the one with the earliest deadline. With W the sum, and turns
/// counted from 0, the j-th of i may not come before turn floor(j W / w) and must have come before turn
/// ceil((j + 1) W / w); then |count_i(k) - k w_i / W| < 1 for every i and k. O(W log n). Throws
/// std::bad_alloc.
template <class Index>
std::vector<Index> turn_schedule(std::span<const std::uint32_t> turns) {
    std::uint64_t period = 0;
    for (const auto turn : turns) period += turn;

    struct Turn {
        std::uint64_t when;  // release in one queue, deadline in the other
        std::uint32_t who;
        bool operator>(const Turn& other) const noexcept {
            return when != other.when ? when > other.when : who > other.who;
        }
    };
    using Queue = std::priority_queue<Turn, std::vector<Turn>, std::greater<>>;
    Queue waiting;
    Queue ready;
    std::vector<std::uint32_t> taken(turns.size(), 0);
    for (std::uint32_t i = 0; i < turns.size(); ++i) waiting.push({0, i});

    std::vector<Index> schedule;
    schedule.reserve(period);
    for (std::uint64_t k = 0; k < period; ++k) {
        while (!waiting.empty() && waiting.top().when <= k) {
            const std::uint32_t who = waiting.top().who;
            waiting.pop();
            const std::uint64_t next = std::uint64_t{taken[who]} + 1;
            ready.push({(next * period + turns[who] - 1) / turns[who], who});
        }
        const std::uint32_t who = ready.top().who;
        ready.pop();
        schedule.push_back(static_cast<Index>(who));
        if (++taken[who] < turns[who]) {
            waiting.push({std::uint64_t{taken[who]} * period / turns[who], who});
        }
    }
    return schedule;
}

}  // namespace fairlead::detail
