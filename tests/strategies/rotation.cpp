// round_robin and weighted_round_robin: how smooth their order is.
#include "support/candidates.hpp"
#include "support/catch.hpp"

#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/strategies/weighted_round_robin.hpp>

#include <cmath>
#include <set>

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
    for (int i = 0; i < 60; ++i) {
        std::vector<std::uint32_t> weights(1 + rng.below(i % 10 == 0 ? 300 : 20));
        for (auto& weight : weights) weight = 1 + rng.below(rng.below(2) == 0 ? 10 : 1000);
        check_schedule(weights);
    }
}

TEST_CASE(
    "weights that do not fit a period are rounded, nobody loses all turns, and the error is below one turn") {
    Rng rng{5};
    for (const std::size_t n : {std::size_t{2}, std::size_t{100}, std::size_t{10'000}}) {
        std::vector<std::uint32_t> weights(n);
        double sum = 0;
        for (auto& weight : weights) sum += weight = 30'000 + rng.below(35'536);
        const auto turns = detail::turns_of(weights);
        double period = 0;
        for (const auto turn : turns) period += turn;
        CHECK(period <= std::max(65'536.0, 16.0 * 16'384));
        for (std::size_t i = 0; i < n; ++i) {
            CHECK(turns[i] >= 1);
            CHECK(std::abs(turns[i] - weights[i] / sum * period) < 1.0);
        }
    }
    std::vector<std::uint32_t> extreme(200, 1);
    extreme[0] = 65'535;
    for (const auto turn : detail::turns_of(extreme)) CHECK(turn >= 1);
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
            for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(count[i] - k * static_cast<double>(weights[i]) / 10.0) < 2.0);
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
