// Beside every strategy that is quick a slow, obvious one: compared over random sequences of add, remove,
// reweight, fill and free. (bounded_load has its own in bounded_load.cpp, least_tokens and response_time
// theirs in chance.cpp.)
#include "strategies/rendezvous.hpp"
#include "support/candidates.hpp"
#include "support/catch.hpp"

#include <fairlead/strategies/consistent_hash.hpp>
#include <fairlead/strategies/least_connections.hpp>
#include <fairlead/strategies/random.hpp>
#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/strategies/weighted_random.hpp>
#include <fairlead/strategies/weighted_round_robin.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// A fleet as a plain list, changed at random; `candidates()` is what a strategy is given of it.
class ChangingFleet {
  public:
    struct One {
        std::string name;
        std::uint32_t weight;
        std::uint32_t limit;
        std::uint32_t in_flight;
    };

    ChangingFleet(std::uint64_t seed, std::uint32_t heaviest, std::uint32_t most)
        : rng{seed}, heaviest_{heaviest}, most_{most} {
        add();
    }

    /// Another membership: one added, removed or of another weight. Never empty.
    void change() {
        const std::uint32_t kind = rng.below(3);
        if (kind == 0 || all.size() == 1) {
            if (all.size() < most_) add();
        } else if (kind == 1) {
            all.erase(all.begin() + rng.below(size()));
        } else {
            all[rng.below(size())].weight = 1 + rng.below(heaviest_);
        }
        candidates_.reset();
    }

    /// One filled up or freed somewhat, the membership as it was.
    void load() {
        const auto i = rng.below(size());
        all[i].in_flight = rng.below(4) == 0 ? all[i].limit : rng.below(all[i].limit + 1);
        if (candidates_) candidates_->set_in_flight(i, all[i].in_flight);
    }

    const Candidates& candidates() {
        if (!candidates_) {
            candidates_ = std::make_unique<Candidates>();
            for (const auto& each : all) {
                candidates_->add(each.name, each.weight, each.limit);
                candidates_->set_in_flight(candidates_->size() - 1, each.in_flight);
            }
        }
        return *candidates_;
    }

    std::uint32_t size() const { return static_cast<std::uint32_t>(all.size()); }
    std::uint64_t weights() const {
        std::uint64_t sum = 0;
        for (const auto& each : all) sum += each.weight;
        return sum;
    }

    Rng rng;
    std::vector<One> all;

  private:
    void add() {
        all.push_back({"backend-" + std::to_string(made_++), 1 + rng.below(heaviest_), 1 + rng.below(20), 0});
    }

    std::uint32_t heaviest_;
    std::uint32_t most_;
    int made_ = 0;
    std::unique_ptr<Candidates> candidates_;
};

TEST_CASE("round_robin is a list and a finger: after a change it goes on from a place of the list") {
    ChangingFleet fleet{1, 5, 30};
    Turn turn{};
    std::size_t finger = 0;
    for (int change = 0; change < 2000; ++change) {
        fleet.change();
        const auto& candidates = fleet.candidates();
        Picks<RoundRobin> picks{candidates};
        picks.turn = turn;
        // The place stands; one beyond the end of a list that shrank is anywhere in it.
        const bool stands = finger < fleet.size();
        const std::size_t first = picks();
        REQUIRE(first < fleet.size());
        if (stands) CHECK(first == finger);
        finger = (first + 1) % fleet.size();
        for (std::uint32_t i = fleet.rng.below(70); i > 0; --i) {
            fleet.load();  // does not matter to it
            if (picks() != finger) FAIL("not the next of the list");
            finger = (finger + 1) % fleet.size();
        }
        turn = picks.turn;
    }
}

TEST_CASE("weighted_round_robin takes, at every turn, one of those whose deadline is nearest") {
    // Slowly: with w turns of W, the j-th turn of a backend (from 0) is allowed from turn floor(j W / w) on
    // and must come before turn ceil((j + 1) W / w). All are looked at each turn.
    ChangingFleet fleet{2, 12, 20};
    for (int change = 0; change < 250; ++change) {
        fleet.change();
        Picks<WeightedRoundRobin> picks{fleet.candidates()};
        if (picks.table.turns.empty()) continue;  // equal weights: a rotation
        std::vector<std::uint32_t> weights;
        for (const auto& each : fleet.all) weights.push_back(each.weight);
        const auto turns = detail::turns_of(weights);
        std::uint64_t period = 0;
        for (const auto each : turns) period += each;
        std::vector<std::uint64_t> had(turns.size(), 0);
        const auto deadline = [&](std::size_t i) {
            return ((had[i] + 1) * period + turns[i] - 1) / turns[i];
        };
        for (std::uint64_t k = 0; k < period; ++k) {
            std::uint64_t nearest = ~std::uint64_t{0};
            for (std::size_t i = 0; i < turns.size(); ++i) {
                if (had[i] < turns[i] && had[i] * period / turns[i] <= k)
                    nearest = std::min(nearest, deadline(i));
            }
            const auto chosen = picks();
            if (had[chosen] * period / turns[chosen] > k) FAIL("before it may");
            if (deadline(chosen) != nearest || nearest <= k) FAIL("not the nearest deadline");
            ++had[chosen];
        }
        CHECK(std::equal(had.begin(), had.end(), turns.begin(), turns.end()));
    }
}

TEST_CASE("weighted_random and random follow the shares of the list as it is, after every change") {
    ChangingFleet fleet{3, 1000, 40};
    constexpr int draws = 20'000;
    for (int change = 0; change < 60; ++change) {
        fleet.change();
        fleet.load();
        const auto seed = static_cast<std::uint64_t>(change);
        Picks<WeightedRandom> weighted{fleet.candidates(), {}, seed};
        Picks<Random> uniform{fleet.candidates(), {}, seed};
        std::vector<std::uint64_t> by_weight(fleet.size(), 0);
        std::vector<std::uint64_t> evenly(fleet.size(), 0);
        for (int i = 0; i < draws; ++i) {
            ++by_weight[weighted()];
            ++evenly[uniform()];
        }
        if (fleet.size() == 1) continue;
        // The slow way: walk along the list until the sum of weights passes the draw. Its distribution is the
        // weights themselves. Chi-square wants some 5 a cell: lighter ones are put together with the last.
        std::vector<double> expected;
        std::vector<std::uint64_t> counts;
        double light = 0;
        std::uint64_t light_count = 0;
        for (std::size_t i = 0; i < fleet.all.size(); ++i) {
            const double due =
                draws * static_cast<double>(fleet.all[i].weight) / static_cast<double>(fleet.weights());
            if (due < 5) {
                light += due;
                light_count += by_weight[i];
            } else {
                expected.push_back(due);
                counts.push_back(by_weight[i]);
            }
        }
        expected.back() += light;
        counts.back() += light_count;
        if (expected.size() > 1) CHECK(chi_square(expected, counts) < chi_square_limit(counts.size()));
        const std::vector<double> even(fleet.size(), draws / static_cast<double>(fleet.size()));
        CHECK(chi_square(even, evenly) < chi_square_limit(evenly.size()));
    }
}

TEST_CASE("least_connections is a walk along the list: nobody who can take it has less for its weight") {
    ChangingFleet fleet{4, 9, 64};
    for (int change = 0; change < 400; ++change) {
        fleet.change();
        Picks<LeastConnections> picks{fleet.candidates(), {}, static_cast<std::uint64_t>(change)};
        for (int i = 0; i < 40; ++i) {
            fleet.load();
            const auto chosen = picks();
            REQUIRE(chosen < fleet.size());
            const auto& mine = fleet.all[chosen];
            const bool somebody = std::any_of(fleet.all.begin(), fleet.all.end(),
                                              [](const auto& each) { return each.in_flight < each.limit; });
            if (!somebody) continue;
            if (mine.in_flight >= mine.limit) FAIL("it is full");
            for (const auto& other : fleet.all) {
                if (other.in_flight >= other.limit) continue;
                // (q + 1) / w compared crosswise, exact. Weights below 10 and loads below 21: unlike
                // quotients differ by 1 / 72 at least, far more than a float's rounding.
                if ((other.in_flight + 1) * mine.weight < (mine.in_flight + 1) * other.weight) {
                    FAIL("another has less");
                }
            }
        }
    }
}

TEST_CASE("consistent_hash is weighted rendezvous of the members, whatever their load") {
    ChangingFleet fleet{5, 6, 12};
    for (int change = 0; change < 60; ++change) {
        fleet.change();
        Picks<ConsistentHash> picks{fleet.candidates()};
        std::vector<std::pair<std::string_view, std::uint32_t>> members;
        for (const auto& each : fleet.all) members.emplace_back(each.name, each.weight);
        for (int i = 0; i < 200; ++i) {
            fleet.load();
            const std::string key = "key " + std::to_string(i);
            for (std::uint32_t attempt = 0; attempt < 3; ++attempt) {
                if (picks({.key = key}, attempt) != rendezvous(members, key, attempt)) {
                    FAIL("another owner");
                }
            }
        }
    }
}

}  // namespace
