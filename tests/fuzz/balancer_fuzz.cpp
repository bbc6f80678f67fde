// A strategy's whole life, whatever happens: a balancer against the slow references of who may serve and whom
// a strategy may choose, step by step. The bytes say what happens.
//
// Not judged here: ejection by `failure_ratio`, whose buckets the references would have to count as the
// library does (tests/resilience/budget_and_ratio.cpp judges them); how a choice falls that chance makes: by
// weight, of a priority that is not whole, or within a slow start (tests/strategies and tests/balancer judge
// the shares); and what `response_time` knows of slowness, which is taken as shown (tests/simulation judges
// it).
#include <array>

#include "balancer/driven_pair.hpp"
#include "fuzz.hpp"

namespace {

using fairlead::test::ByteChance;

void fuzz_balancer(std::string_view input) {
    using namespace fairlead;
    ByteChance chance{input};
    test::PairPlan plan{.options = test::pair_options(), .strategies = {}, .wide = true};
    constexpr std::uint32_t strategies = AnyStrategy::count;
    const std::uint32_t first = chance.below(strategies);
    for (std::uint32_t i = 0; i < strategies; ++i)
        plan.strategies.push_back(static_cast<StrategyKind>((first + i) % strategies));
    constexpr std::array shares{0.0, 0.5, 0.34, 1.0};
    Options& options = plan.options;
    options.panic_threshold = shares[chance.below(4)];
    options.max_ejected = shares[chance.below(4)];
    const std::uint32_t thresholds = chance.below(12);
    options.failure_threshold = 1 + thresholds % 4;
    options.success_threshold = 1 + thresholds / 4;
    const std::uint32_t switches = chance.below(256);
    options.timing = (switches & 1U) == 0;
    options.probe_ends_ejection = (switches & 2U) != 0;
    options.latency_to = (switches & 4U) != 0 ? LatencyTo::last_byte : LatencyTo::first_byte;
    options.rest_max = std::chrono::seconds{(switches & 8U) != 0 ? 0 : 60};
    if ((switches & 16U) != 0) options.subset_limit = 1;
    if ((switches & 32U) != 0) options.slow_start = std::chrono::seconds{8};
    if ((switches & 64U) != 0) options.overprovisioning = 1.4;
    if ((switches & 128U) != 0) options.hash_bounded_load = 1.25;
    // Room for all blocks that an input can name, or for hardly any; the defaults take time to set up.
    options.prefix_cache_blocks = (switches & 1U) != 0 ? 16 : 4'096;
    options.prefix_memory = std::size_t{4} << 20;
    try {
        test::DrivenPair pair{chance, plan};
        while (!pair.chance().is_spent()) {
            if (pair.chance().below(8) == 0) {
                pair.offered();
            } else {
                pair.step();
            }
        }
        pair.recover();
    } catch (const std::logic_error& mistake) {
        test::must(false, mistake.what());
    }
}

const fairlead::test::FuzzRegistration balancer_body{"balancer", fuzz_balancer};

}  // namespace
