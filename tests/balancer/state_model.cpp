// The model check of a backend's states: random sequences of whatever can happen, compared after every step
// with the slow reference of state_reference.hpp.
#include "balancer/driven_pair.hpp"
#include "support/catch.hpp"

#include <map>

namespace {

using namespace fairlead;
using namespace fairlead::test;

void check(std::uint64_t first_seed, const Options& options) {
    constexpr int runs = 200;
    constexpr int steps = 300;
    std::map<Event::Kind, std::uint64_t> seen;
    for (int run = 0; run < runs; ++run) {
        const std::uint64_t seed = first_seed + static_cast<std::uint64_t>(run);
        PairPlan plan{options};
        DrivenPair pair{Rng{Rng::mix(seed)}, plan};
        int at = 0;
        try {
            for (; at < steps; ++at) {
                pair.step();
                pair.offered();
            }
            pair.recover();
        } catch (const std::logic_error& mistake) {
            FAIL("seed " << seed << ", step " << at << ": " << mistake.what());
        }
        for (const auto kind : {Event::Kind::ejected, Event::Kind::ejection_refused, Event::Kind::drained,
                                Event::Kind::panic_entered, Event::Kind::panic_left}) {
            seen[kind] += pair.count(kind);
        }
    }
    // The sequences go where it is interesting: of each kind, one in every run at least, on average.
    for (const auto& [kind, n] : seen) {
        INFO(to_string(kind));
        CHECK(n >= runs / 2);
    }
}

TEST_CASE("60,000 random steps: every backend's state is the reference's, and so is who may serve") {
    check(1000, pair_options());
}

TEST_CASE("60,000 more with a panic threshold of one half") {
    Options options = pair_options();
    options.panic_threshold = 0.5;
    check(5000, options);
}

TEST_CASE("60,000 more with a slow start, and with priorities that leave some to the next") {
    Options options = pair_options();
    options.slow_start = std::chrono::seconds{8};
    options.overprovisioning = 1.4;
    check(9000, options);
}

}  // namespace
