// consistent_hash with a bounded load: nobody far above its share, whatever the keys.
#include "support/candidates.hpp"
#include "support/catch.hpp"

#include <fairlead/strategies/any_strategy.hpp>
#include <fairlead/strategies/consistent_hash.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

constexpr ConsistentHash bounded{.bounded_load = 1.25};

/// max(1, ceil(5/4 in_flight weight / weights)), in integers; `in_flight` includes the request to come.
std::uint64_t bound_of(std::uint64_t in_flight, std::uint64_t weight, std::uint64_t weights) {
    return std::max<std::uint64_t>(1, (5 * in_flight * weight + 4 * weights - 1) / (4 * weights));
}

TEST_CASE("one hot key is spread so that nobody is above its bound") {
    Candidates candidates{std::vector<std::uint32_t>(4, 1)};
    Picks<ConsistentHash> picks{candidates, bounded};
    std::vector<std::uint32_t> held(4, 0);
    for (std::uint32_t q = 0; q < 400; ++q) {
        const auto chosen = picks({.key = "hot"});
        candidates.set_in_flight(chosen, ++held[chosen]);
        CHECK(held[chosen] <= bound_of(q + 1, 1, 4));
    }
}

/// Some backends of unlike weights whose loads are drawn anew, some of them full, some excluded.
struct Fleet {
    explicit Fleet(Rng& rng) {
        const std::uint32_t n = 1 + rng.below(20);
        const std::uint32_t heaviest = rng.below(2) == 0 ? 4 : 100;
        for (std::uint32_t i = 0; i < n; ++i) {
            weights.push_back(1 + rng.below(heaviest));
            candidates.add("backend-" + std::to_string(i), weights[i], limit);
        }
    }

    void draw_loads(Rng& rng) {
        loads.clear();
        exclude.clear();
        eligible.clear();
        in_flight = 1;
        sum = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const bool full = rng.below(5) == 0;
            const bool excluded = rng.below(8) == 0;
            loads.push_back(full ? limit : rng.below(rng.below(2) == 0 ? 3 : limit));
            candidates.set_in_flight(i, loads[i]);
            if (excluded) exclude.push_back(candidates.span()[i].name());
            if (full || excluded) continue;
            eligible.push_back(i);
            in_flight += loads[i];
            sum += weights[i];
        }
    }

    bool is_eligible(std::size_t i) const {
        return std::find(eligible.begin(), eligible.end(), i) != eligible.end();
    }
    bool is_below(std::size_t i) const { return loads[i] + 1 <= bound_of(in_flight, weights[i], sum); }

    static constexpr std::uint32_t limit = 30;
    Candidates candidates{};
    std::vector<std::uint32_t> weights{};
    std::vector<std::uint32_t> loads{};
    std::vector<std::string_view> exclude{};
    std::vector<std::size_t> eligible{};
    std::uint64_t in_flight = 1;
    std::uint64_t sum = 0;
};

TEST_CASE("the bound holds for every choice, counted over the eligible alone") {
    // With c above 1 somebody eligible is always below: the bounds add up to c (Q + 1) at least, which Q
    // requests do not fill.
    Rng rng{31};
    int own = 0;
    int other = 0;
    for (int n = 0; n < 40; ++n) {
        Fleet fleet{rng};
        Picks<ConsistentHash> picks{fleet.candidates, bounded};
        for (int loads = 0; loads < 50; ++loads) {
            fleet.draw_loads(rng);
            if (fleet.eligible.empty()) continue;
            const std::string key = "key" + std::to_string(loads);
            const Criteria criteria{.key = key, .exclude = fleet.exclude};
            const auto chosen = picks(criteria);
            REQUIRE(fleet.is_eligible(chosen));
            CHECK(fleet.is_below(chosen));
            const auto owner = picks.table.owner(detail::stable_hash(key));
            const bool owner_serves = fleet.is_eligible(owner) && fleet.is_below(owner);
            if (owner_serves) CHECK(chosen == owner);
            ++(owner_serves ? own : other);
        }
    }
    CHECK(own > 100);  // both kinds came up
    CHECK(other > 100);
}

TEST_CASE("with a bound that nobody is below, the least loaded is taken, and never an excluded one") {
    Candidates candidates;
    candidates.add("light", 1);
    candidates.add("heavy", 4);
    candidates.add("idle", 100);
    candidates.add("busy", 4);
    candidates.set_in_flight(0, 3);   // 4 / 1
    candidates.set_in_flight(1, 9);   // 10 / 4
    candidates.set_in_flight(3, 10);  // 11 / 4
    const std::string_view exclude[] = {"idle"};
    ConsistentHash strict;
    strict.bounded_load = 0.01;
    Picks<ConsistentHash> picks{candidates, strict};
    for (int i = 0; i < 50; ++i) {
        const std::string key = "key" + std::to_string(i);
        CHECK(picks({.key = key, .exclude = exclude}) == 1);
    }
}

TEST_CASE("a light backend below its bound is found where the least loaded is a heavy one above its own") {
    // c (Q + 1) / W = 0.5 * 7 / 16: heavy may have ceil(2.19) = 3 and has 6, (6 + 1) / 10 of a load; the
    // light ones may have 1 each, 1 / 1 of a load. Whichever is looked at first.
    for (const std::size_t heavy : {0U, 6U}) {
        Candidates candidates;
        for (std::size_t i = 0; i < 7; ++i) {
            if (i == heavy) {
                candidates.add("heavy", 10);
            } else {
                candidates.add("light-" + std::to_string(i - (i > heavy ? 1 : 0)), 1);
            }
        }
        candidates.set_in_flight(heavy, 6);
        ConsistentHash half;
        half.bounded_load = 0.5;
        Picks<ConsistentHash> picks{candidates, half};
        // Heavy owns 10 / 16 of the slots, so 0.625^16 of the keys prefer it 16 times over: 5 of 10,000.
        for (int i = 0; i < 10'000; ++i) {
            const std::string key = "key" + std::to_string(i);
            if (picks({.key = key}) == heavy) FAIL("above its bound");
        }
    }
}

TEST_CASE("a bound that is a whole number is not one more by rounding") {
    // 5/4 * 40 * 11 / 22 is 25; in floating point with the division first, 26 after rounding up.
    Candidates candidates;
    candidates.add("a", 11);
    candidates.add("b", 11);
    candidates.set_in_flight(0, 25);
    candidates.set_in_flight(1, 14);
    Picks<ConsistentHash> picks{candidates, bounded};
    for (int i = 0; i < 100; ++i) {
        const std::string key = "key" + std::to_string(i);
        CHECK(picks({.key = key}) == 1);
    }
}

TEST_CASE("the bound of the options counts where the strategy has none of its own, by its name, too") {
    Options options;
    options.hash_bounded_load = 1.25;
    ConsistentHash own{.bounded_load = 2};
    own.follow(options);
    CHECK(own.bounded_load == 2);
    AnyStrategy named{StrategyKind::consistent_hash};
    named.follow(options);
    Candidates candidates{std::vector<std::uint32_t>(4, 1)};
    Picks<AnyStrategy> picks{candidates, named};
    std::vector<std::uint32_t> held(4, 0);
    for (std::uint32_t q = 0; q < 40; ++q) {
        const auto chosen = picks({.key = "hot"});
        candidates.set_in_flight(chosen, ++held[chosen]);
        CHECK(held[chosen] <= bound_of(q + 1, 1, 4));
    }
}

}  // namespace
