// The smoothest order in which backends of unlike weights can take turns.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace fairlead::detail {

/// The longest period for n backends: 65,536 turns tell weights 1 and 65,535 apart; 16 for each backend keep
/// the rounding of many below 1/16. In 2 bytes each: 128 KiB, 512 KiB for 10,000.
inline std::uint64_t longest_period(std::size_t n) noexcept {
    return std::max<std::uint64_t>(65'536, std::bit_ceil(std::uint64_t{16} * n));
}

/// Weights as turns in a period of at most `longest_period`: as they are, divided by what they have in
/// common, where that fits; else rounded by largest remainders to exactly that many.
///
/// Who deserves less than one turn gets one, and the others share what remains in proportion, each less than
/// one turn off. So those turns are taken from the others: less than 1/16 of what they deserve, since there
/// are at least 16 turns for each backend; nothing where everybody deserves a turn. O(n log n). Throws
/// std::bad_alloc.
inline std::vector<std::uint32_t> turns_of(std::span<const std::uint32_t> weights) {
    std::vector<std::uint32_t> turns{weights.begin(), weights.end()};
    std::uint32_t common = 0;
    std::uint64_t sum = 0;
    for (const auto weight : turns) {
        common = std::gcd(common, weight);
        sum += weight;
    }
    if (common == 0) return turns;
    std::uint64_t left = longest_period(turns.size());
    if (sum / common <= left) {
        for (auto& turn : turns) turn /= common;
        return turns;
    }
    std::vector<std::pair<std::uint32_t, std::size_t>> by_weight;
    by_weight.reserve(turns.size());
    for (const auto turn : turns) by_weight.emplace_back(turn, by_weight.size());
    std::sort(by_weight.begin(), by_weight.end());
    // From the lightest on: a turn given beyond its due leaves the others less, so each is asked anew.
    std::vector<std::pair<std::uint64_t, std::size_t>> remainders;
    std::uint64_t given = 0;
    for (const auto& [weight, i] : by_weight) {
        const std::uint64_t share = left * weight;  // < 2^21 * 2^16
        if (share < sum) {
            turns[i] = 1;
            sum -= weight;
            --left;
            continue;
        }
        turns[i] = static_cast<std::uint32_t>(share / sum);
        given += share / sum;
        remainders.emplace_back(share % sum, i);
    }
    std::sort(remainders.begin(), remainders.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    // The remainders add up to `left - given` times `sum`, each below `sum`: there are more of them than
    // that.
    for (std::size_t k = 0; given < left; ++k, ++given) ++turns[remainders[k].second];
    return turns;
}

/// Who is due by when: the least of some deadlines in [0, period), each member in at most once. A list for
/// each deadline and a bit for each list that is not empty, so that everything takes a few steps.
class DueQueue {
  public:
    /// Throws std::bad_alloc.
    DueQueue(std::uint32_t period, std::size_t members)
        : first_(period, nobody), next_(members, nobody), bits_(period / 64 + 1), words_(period / 4096 + 1) {}

    void push(std::uint32_t deadline, std::uint32_t who) noexcept {
        next_[who] = first_[deadline];
        first_[deadline] = who;
        bits_[deadline / 64] |= std::uint64_t{1} << (deadline % 64);
        words_[deadline / 4096] |= std::uint64_t{1} << (deadline / 64 % 64);
    }

    /// One with the least deadline. None is below `from`, and there is one.
    std::uint32_t pop(std::uint32_t from) noexcept {
        std::size_t group = from / 4096;
        while (words_[group] == 0) ++group;
        const std::size_t word = group * 64 + static_cast<std::size_t>(std::countr_zero(words_[group]));
        const std::size_t deadline = word * 64 + static_cast<std::size_t>(std::countr_zero(bits_[word]));
        const std::uint32_t who = first_[deadline];
        first_[deadline] = next_[who];
        if (first_[deadline] == nobody) {
            bits_[word] &= bits_[word] - 1;
            if (bits_[word] == 0) words_[group] &= words_[group] - 1;
        }
        return who;
    }

  private:
    static constexpr std::uint32_t nobody = 0xffff'ffff;
    std::vector<std::uint32_t> first_;
    std::vector<std::uint32_t> next_;
    std::vector<std::uint64_t> bits_;   // a bit a deadline
    std::vector<std::uint64_t> words_;  // a bit a word of `bits_`
};

/// Chairman assignment (Tijdeman, "The chairman assignment problem", Discrete Mathematics 32, 1980): at each
/// turn, of those whose quota allows another, the one with the earliest deadline. With W the sum, and turns
/// counted from 0, the j-th of i may not come before turn floor(j W / w) and must have come before turn
/// ceil((j + 1) W / w); then |count_i(k) - k w_i / W| < 1 for every i and k.
///
/// Each of `turns` is at least 1, their sum below 2^32. O(W): 262,144 turns of 10,000 take some milliseconds,
/// where heaps take ten times as long. Throws std::bad_alloc.
template <class Index>
std::vector<Index> turn_schedule(std::span<const std::uint32_t> turns) {
    const auto period = std::accumulate(turns.begin(), turns.end(), std::uint32_t{0});
    constexpr std::uint32_t nobody = 0xffff'ffff;

    // j W / w as whole + part / w, stepped on by W / w = step + odd / w: no division a turn.
    struct Quota {
        std::uint32_t whole;
        std::uint32_t part;
        std::uint32_t step;
        std::uint32_t odd;
    };
    std::vector<Quota> quotas;
    quotas.reserve(turns.size());
    std::vector<std::uint32_t> released(period, nobody);  // who may come again from this turn on: a list each
    std::vector<std::uint32_t> next(turns.size(), nobody);
    const auto release = [&](std::uint32_t turn, std::uint32_t who) {
        next[who] = released[turn];
        released[turn] = who;
    };
    for (std::uint32_t i = 0; i < turns.size(); ++i) {
        quotas.push_back({0, 0, period / turns[i], period % turns[i]});
        release(0, i);
    }

    DueQueue due{period, turns.size()};
    std::vector<Index> schedule;
    schedule.reserve(period);
    for (std::uint32_t k = 0; k < period; ++k) {
        for (std::uint32_t who = released[k]; who != nobody; who = next[who]) {
            auto& quota = quotas[who];
            quota.whole += quota.step;
            quota.part += quota.odd;
            if (quota.part >= turns[who]) {
                quota.part -= turns[who];
                ++quota.whole;
            }
            due.push(quota.whole - (quota.part == 0 ? 1U : 0U), who);  // the last turn before the deadline
        }
        const std::uint32_t who = due.pop(k);
        schedule.push_back(static_cast<Index>(who));
        const std::uint32_t again = std::max(quotas[who].whole, k + 1);
        if (again < period) release(again, who);
    }
    return schedule;
}

}  // namespace fairlead::detail
