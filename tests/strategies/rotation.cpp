// round_robin and weighted_round_robin: how smooth their order is.
#include "support/candidates.hpp"
#include "support/catch.hpp"

#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/strategies/weighted_round_robin.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

TEST_CASE("any n consecutive picks of round_robin visit each backend once, from any start") {
    for (const std::uint32_t n : {1U, 2U, 7U, 100U, 10'000U}) {
        const Candidates candidates{std::vector<std::uint32_t>(n, 1)};
        Picks<RoundRobin> picks{candidates};
        picks.turn.position = 0xdeadbeefU;
        for (int round = 0; round < 3; ++round) {
            std::set<std::size_t> seen;
            for (std::uint32_t i = 0; i < n; ++i) seen.insert(picks());
            CHECK(seen.size() == n);
        }
    }
}

TEST_CASE("threads that start evenly spaced are so in a rotation of any length") {
    for (const std::uint32_t n : {4U, 5U, 64U, 1000U}) {
        const Candidates candidates{std::vector<std::uint32_t>(n, 1)};
        for (std::uint32_t thread = 1; thread < 4; ++thread) {
            Picks<RoundRobin> picks{candidates};
            picks.turn.position = thread << 30;  // quarters of all that a place can be
            CHECK(picks() == n * thread / 4);
        }
    }
}

/// |count_i(k) - k w_i / W| < 1 for every i and k, in integers: |count W - k w| < W. And each has its turns.
void check_schedule(const std::vector<std::uint32_t>& weights) {
    const auto turns = detail::turns_of(weights);
    const auto schedule = detail::turn_schedule<std::uint16_t>(turns);
    std::int64_t period = 0;
    for (const auto turn : turns) period += turn;
    REQUIRE(static_cast<std::int64_t>(schedule.size()) == period);
    std::vector<std::int64_t> count(weights.size(), 0);
    // Between two turns of one backend its difference only falls, so it is enough to look just before and
    // after each of its own turns, and at the end.
    std::int64_t worst = 0;
    for (std::int64_t k = 0; k < period; ++k) {
        const auto who = schedule[static_cast<std::size_t>(k)];
        worst = std::max(worst, std::abs(count[who] * period - k * turns[who]));
        ++count[who];
        worst = std::max(worst, std::abs(count[who] * period - (k + 1) * turns[who]));
    }
    CHECK(worst < period);
    for (std::size_t i = 0; i < weights.size(); ++i) CHECK(count[i] == turns[i]);
}

TEST_CASE("the turns of weighted_round_robin are never a whole turn off") {
    check_schedule({1});
    check_schedule({3, 1});
    check_schedule({1, 2, 3, 4, 5});
    check_schedule({65'535, 1});
    check_schedule({65'535, 65'535, 65'534, 1, 1});
    std::vector<std::uint32_t> one_heavy(101, 1);
    one_heavy[0] = 100;
    check_schedule(one_heavy);
    Rng rng{4};
    std::vector<std::uint32_t> many(10'000);
    for (auto& weight : many) weight = 1 + rng.below(65'535);
    check_schedule(many);
    for (int i = 0; i < 60; ++i) {
        std::vector<std::uint32_t> weights(1 + rng.below(i % 10 == 0 ? 300 : 20));
        for (auto& weight : weights) weight = 1 + rng.below(rng.below(2) == 0 ? 10 : 1000);
        check_schedule(weights);
    }
}

/// What `turns_of` promises of weights that are too many or too unlike for a period.
void check_rounding(const std::vector<std::uint32_t>& weights) {
    const auto turns = detail::turns_of(weights);
    const auto n = static_cast<std::uint64_t>(weights.size());
    std::uint64_t most = 65'536;
    while (most < 16 * n) most *= 2;
    const auto period = std::accumulate(turns.begin(), turns.end(), std::uint64_t{0});
    const auto sum = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
    CHECK(period <= most);
    CHECK(*std::min_element(turns.begin(), turns.end()) >= 1);
    const bool all_deserve_one = *std::min_element(weights.begin(), weights.end()) * most >= sum;
    double above = 0;  // the most that somebody has above what it deserves, in turns
    double below = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const double due =
            static_cast<double>(weights[i]) * static_cast<double>(period) / static_cast<double>(sum);
        above = std::max(above, turns[i] - due);
        below = std::max(below, (all_deserve_one ? due : due * 15 / 16) - turns[i]);
    }
    CHECK(above <= 1.0);
    CHECK(below < 1.0);
}

TEST_CASE("weights that do not fit a period are rounded to the longest, nobody losing all its turns") {
    // Within one turn of what is due; where turns beyond their due went to the lightest, the others are up to
    // 1/16 and one turn short.
    Rng rng{5};
    for (const std::size_t n : {std::size_t{2}, std::size_t{100}, std::size_t{10'000}}) {
        std::vector<std::uint32_t> weights(n);
        for (auto& weight : weights) weight = 30'000 + rng.below(35'536);
        check_rounding(weights);
    }
    // Some heavy, the others entitled to less than a turn.
    for (const auto& [heavy, light] : {std::pair{1, 200}, {2, 100}, {10, 4000}, {2000, 2096}, {5000, 5000}}) {
        std::vector<std::uint32_t> weights(static_cast<std::size_t>(heavy + light), 1);
        std::fill_n(weights.begin() + light / 2, heavy, 65'535);
        check_rounding(weights);
    }
    for (int i = 0; i < 30; ++i) {
        std::vector<std::uint32_t> weights(2 + rng.below(3000));
        for (auto& weight : weights) weight = 1 + rng.below(1U << rng.below(17)) % 65'535;
        check_rounding(weights);
    }
}

TEST_CASE("a thread strays by less than two turns over any window, wherever it starts") {
    const std::vector<std::uint32_t> weights{5, 1, 1, 3};
    const Candidates candidates{weights};
    for (std::uint32_t start = 0; start < 10; ++start) {
        Picks<WeightedRoundRobin> picks{candidates};
        picks.turn.position = start;
        std::vector<double> count(4, 0);
        for (int k = 1; k <= 60; ++k) {
            ++count[picks()];
            for (std::size_t i = 0; i < 4; ++i)
                CHECK(std::abs(count[i] - k * static_cast<double>(weights[i]) / 10.0) < 2.0);
        }
    }
}

TEST_CASE("equal weights need no table") {
    const Candidates candidates{std::vector<std::uint32_t>(5, 7)};
    Picks<WeightedRoundRobin> picks{candidates};
    CHECK(picks.table.turns.empty());
    std::set<std::size_t> seen;
    for (int i = 0; i < 5; ++i) seen.insert(picks());
    CHECK(seen.size() == 5);
}

}  // namespace
