// The rules of other routers choose as those do.
#include "simulator/cache_aware.hpp"

#include <array>
#include <vector>

#include "support/candidates.hpp"
#include "support/catch.hpp"

namespace {

using namespace simulator;
using fairlead::Criteria;
using fairlead::test::Candidates;
using fairlead::test::Picks;
using Prompt = std::vector<std::uint64_t>;

/// A rule with its state, told of each of its picks.
template <class Rule>
class Router {
  public:
    explicit Router(const Candidates& candidates, Rule rule = Rule{}, std::uint64_t seed = 1)
        : picks_{candidates, std::move(rule), seed} {
        picks_.table.learn_from(state_);
    }
    std::size_t operator()(const Prompt& prompt) {
        Criteria criteria;
        criteria.prefix = prompt;
        const std::size_t chosen = picks_(criteria);
        picks_.strategy.picked(state_, picks_.candidates.span()[chosen].id(), criteria);
        return chosen;
    }
    const typename Rule::State& state() const { return state_; }

  private:
    typename Rule::State state_{};
    Picks<Rule> picks_;
};

constexpr std::array<std::uint32_t, 3> three{1, 1, 1};
TEST_CASE("threshold rule: a prompt that is new goes where least was sent, its continuation after it") {
    Candidates candidates{three};
    Router<ThresholdCacheAware> pick{candidates};
    const Prompt a{1, 2, 3, 4};
    const Prompt b{11, 12, 13};
    const Prompt c{21, 22, 23, 24, 25};
    CHECK(pick(a) == 0);
    CHECK(pick(b) == 1);
    CHECK(pick(c) == 2);
    CHECK(pick({1, 2, 3, 4, 5, 6, 7}) == 0);     // four of seven
    CHECK(pick({21, 22, 23, 24, 30, 31}) == 2);  // four of six
    CHECK(pick({11, 12, 13, 14, 15, 16}) == 1);  // half is not more than half, but it was sent least
    CHECK(pick({1, 2, 40, 41, 42}) == 1);        // two of five: where least was sent
}

TEST_CASE("threshold rule: over 32 more in flight, and over 1.1 times as many, only load counts") {
    Candidates candidates{three};
    Router<ThresholdCacheAware> pick{candidates};
    const Prompt prompt{1, 2, 3, 4};
    CHECK(pick(prompt) == 0);
    candidates.set_in_flight(0, 32);
    CHECK(pick(prompt) == 0);
    candidates.set_in_flight(0, 33);
    candidates.set_in_flight(2, 1);
    CHECK(pick(prompt) == 1);
    candidates.set_in_flight(0, 433);
    candidates.set_in_flight(1, 400);
    candidates.set_in_flight(2, 401);
    CHECK(pick(prompt) == 0);  // 33 more, but not a tenth
}

TEST_CASE("scorers: the cached part counts three, an empty queue two, free cache two") {
    fairlead::Time now{};
    inference::Profile profile;
    profile.room = 16'000;
    std::vector<inference::Engine> engines(3, inference::Engine{profile});
    const auto board = std::make_shared<Board>(now, engines);
    Candidates candidates{three};
    Router<WeightedScorers> pick{candidates, WeightedScorers{board, 100}};
    const Prompt prompt{1, 2, 3, 4};
    const auto first = pick(prompt);
    CHECK(pick(prompt) == first);
    // A queue there, and half of its cache in use: 3 + 0 + 1 against 0 + 2 + 2. What was read stays for 50
    // ms.
    for (std::uint64_t id = 0; id < 30; ++id) engines[first].submit(id, {{}, 10'000, 10}, now);
    CHECK(engines[first].figures().used == Approx(10'010 / 16'000.0));
    CHECK(pick(prompt) == first);
    now += std::chrono::milliseconds{50};
    const auto other = pick(prompt);
    CHECK(other != first);
    CHECK(pick(prompt) == other);
    CHECK(pick({1, 2, 9, 9}) == other);
}

TEST_CASE("scorers: what was sent long ago is believed to be gone") {
    const fairlead::Time now{};
    std::vector<inference::Engine> engines(1, inference::Engine{inference::Profile{}});
    const auto board = std::make_shared<Board>(now, engines);
    const std::array<std::uint32_t, 1> one{1};
    Candidates candidates{one};
    Router<WeightedScorers> pick{candidates, WeightedScorers{board, 4}};
    CHECK(pick({1, 2, 3}) == 0);
    CHECK(pick({11, 12, 13}) == 0);
    const auto& believed = pick.state().caches.at(0);
    CHECK(believed.size() == 4);
    CHECK(believed.holds(13));
    CHECK(believed.holds(1));
    CHECK_FALSE(believed.holds(2));
}

}  // namespace
