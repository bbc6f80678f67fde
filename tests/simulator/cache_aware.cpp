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

constexpr std::array<std::uint32_t, 3> three{1, 1, 1};
using Prompt = std::vector<std::uint64_t>;

Criteria of(const Prompt& prompt) {
    Criteria criteria;
    criteria.prefix = prompt;
    return criteria;
}

TEST_CASE("threshold rule: a prompt that is new goes where least was sent, its continuation after it") {
    Candidates candidates{three};
    Picks<ThresholdCacheAware> pick{candidates};
    const Prompt a{1, 2, 3, 4};
    const Prompt b{11, 12, 13};
    const Prompt c{21, 22, 23, 24, 25};
    CHECK(pick(of(a)) == 0);
    CHECK(pick(of(b)) == 1);
    CHECK(pick(of(c)) == 2);
    CHECK(pick(of({1, 2, 3, 4, 5, 6, 7})) == 0);     // four of seven
    CHECK(pick(of({21, 22, 23, 24, 30, 31})) == 2);  // four of six
    CHECK(pick(of({11, 12, 13, 14, 15, 16})) == 1);  // half is not more than half, but it was sent least
    CHECK(pick(of({1, 2, 40, 41, 42})) == 1);        // two of five: where least was sent
}

TEST_CASE("threshold rule: over 32 more in flight, and over 1.1 times as many, only load counts") {
    Candidates candidates{three};
    Picks<ThresholdCacheAware> pick{candidates};
    const Prompt prompt{1, 2, 3, 4};
    CHECK(pick(of(prompt)) == 0);
    candidates.set_in_flight(0, 32);
    CHECK(pick(of(prompt)) == 0);
    candidates.set_in_flight(0, 33);
    candidates.set_in_flight(2, 1);
    CHECK(pick(of(prompt)) == 1);
    candidates.set_in_flight(0, 433);
    candidates.set_in_flight(1, 400);
    candidates.set_in_flight(2, 401);
    CHECK(pick(of(prompt)) == 0);  // 33 more, but not a tenth
}

TEST_CASE("scorers: the cached part counts three, an empty queue two, free cache two") {
    fairlead::Time now{};
    inference::Profile profile;
    profile.room = 16'000;
    std::vector<inference::Engine> engines(3, inference::Engine{profile});
    const auto board = std::make_shared<Board>(now, engines);
    Candidates candidates{three};
    Picks<WeightedScorers> pick{candidates, WeightedScorers{board, 100}};
    const Prompt prompt{1, 2, 3, 4};
    const auto first = pick(of(prompt));
    CHECK(pick(of(prompt)) == first);
    // A queue there, and half of its cache in use: 3 + 0 + 1 against 0 + 2 + 2. What was read stays for 50
    // ms.
    for (std::uint64_t id = 0; id < 30; ++id) engines[first].submit(id, {{}, 10'000, 10}, now);
    CHECK(engines[first].figures().used == Approx(10'010 / 16'000.0));
    CHECK(pick(of(prompt)) == first);
    now += std::chrono::milliseconds{50};
    const auto other = pick(of(prompt));
    CHECK(other != first);
    CHECK(pick(of(prompt)) == other);
    CHECK(pick(of({1, 2, 9, 9})) == other);
}

TEST_CASE("scorers: what was sent long ago is believed to be gone") {
    const fairlead::Time now{};
    std::vector<inference::Engine> engines(2, inference::Engine{inference::Profile{}});
    const auto board = std::make_shared<Board>(now, engines);
    const std::array<std::uint32_t, 1> one{1};
    Candidates candidates{one};
    const WeightedScorers scorers{board, 4};
    Picks<WeightedScorers> pick{candidates, scorers};
    CHECK(pick(of({1, 2, 3})) == 0);
    CHECK(pick(of({11, 12, 13})) == 0);
    // With a second backend that knows none of it: both are equal for the first prompt but for its first
    // block.
    Candidates two{std::array<std::uint32_t, 2>{1, 1}};
    std::array<int, 2> counts{};
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Picks<WeightedScorers> again{two, WeightedScorers{board, 4}, seed};
        again(of({1, 2, 3}));
        const auto chosen = again(of({1, 2, 3}));
        ++counts[chosen];
    }
    CHECK(counts[0] > 0);
    CHECK(counts[1] > 0);
}

}  // namespace
