// What prefix_affinity is held to with one gateway, on generated traffic with fixed seeds. Bounds are those
// of the design, measured figures in brackets; docs/choosing-a-strategy.md has those of a real trace.
//
// The nearer a fleet is to its limit, the more a lost hit or a wrong estimate costs: requests that queue pay
// for it, too. At 1.25 times the pace of seed 1 requests begin to queue.
#include <algorithm>
#include <string>

#include "simulator/contestants.hpp"
#include "simulator/measured.hpp"
#include "support/catch.hpp"

namespace {

using namespace simulator;

TEST_CASE(
    "prefix_affinity has the best mean and p90 at every load, near the highest hit rate, and no hot spot") {
    // 16 backends at twice the pace are as busy as 8; each finds half as many requests of its own.
    for (const std::size_t backends : {8U, 16U}) {
        for (const double load : {0.7, 1.0, 1.25}) {
            INFO(backends << " backends, load " << load);
            Setting setting;
            setting.backends = backends;
            setting.load = load * static_cast<double>(backends) / 8;
            setting.requests = 1'600;
            const auto own = figures_of(setting, "prefix_affinity");
            double hit_rate = 0;
            for (const auto& other : contestants()) {
                if (!other.is_usual || other.name == "prefix_affinity") continue;
                INFO(other.name);
                const auto its = figures_of(setting, other.name);
                CHECK(own.mean < its.mean);
                CHECK(own.p90 < its.p90);
                hit_rate = std::max(hit_rate, its.hit_rate);
            }
            CHECK(own.hit_rate > hit_rate - 0.03);
            // [1.05 to 1.20.] A hundred requests for each of sixteen: equal chances alone bring the largest
            // share to 1 + 1.8 / 10 in the mean.
            CHECK(own.imbalance < 1.3);
        }
    }
}

TEST_CASE("prefix_affinity saves the more the higher the load, with a small cache and with a large one") {
    struct Load {
        double load;
        double bound;
    };
    for (const std::size_t blocks : {1'000U, 4'000U}) {
        for (const auto& [load, bound] : {Load{0.7, 0.70}, Load{1, 0.58}, Load{1.25, 0.45}}) {
            INFO(blocks << " blocks, load " << load);
            // [by load 0.58, 0.46, 0.36 and 0.51, 0.39, 0.30 of least_connections; 0.88 of the threshold rule
            // at most; 1.29 times the hits of bounded hashing and 0.94 of those of hashing at least]
            Setting setting;
            setting.cache_blocks = blocks;
            setting.load = load;
            const auto own = figures_of(setting, "prefix_affinity");
            CHECK(own.mean / figures_of(setting, "least_connections").mean <= bound);
            CHECK(own.mean / figures_of(setting, "threshold_cache_aware").mean <= 0.92);
            CHECK(own.hit_rate / figures_of(setting, "consistent_hash_bounded").hit_rate >= 1.05);
            // Hashing without a bound on load finds what one cache as large as all would find, which nobody
            // can surpass; prefix_affinity gives up a tenth of that at most, for the load.
            CHECK(own.hit_rate / figures_of(setting, "consistent_hash").hit_rate >= 0.90);
        }
    }
}

// [0.99 to 1.02. Seed 1 alone, at load 1.25: 1.08 when prompts are taken for twice as long]
TEST_CASE("prompts estimated twice or half as long as they are cost at most a twentieth") {
    for (const double load : {0.7, 1.0, 1.25}) {
        Setting setting;
        setting.load = load;
        // Chance alone moves the mean of four seeds by 1 % at load 1.25, by less at the others.
        const std::uint64_t seeds = load > 1 ? 4 : 2;
        const double right = mean_over(setting, seeds);
        for (const double factor : {0.5, 2.0}) {
            INFO("load " << load << ", estimated " << factor << " times as long");
            setting.estimate = factor;
            CHECK(mean_over(setting, seeds) / right <= 1.05);
        }
    }
}

// [1.08 and 0.99; 1.05 to 1.13 and 0.98 to 1.00 by seed. At load 1.25 the mean is 1.16: beyond the bound,
// which is for the trace's own pace. A belief of half the size finds fewer hits, and these have to be
// computed.]
TEST_CASE("a cache believed half or twice as large as it is costs at most 12 %") {
    Setting setting;
    const double right = mean_over(setting, 4);
    for (const std::size_t blocks : {1'000U, 4'000U}) {
        INFO("2,000 blocks, believed to be " << blocks);
        setting.believed_blocks = blocks;
        CHECK(mean_over(setting, 4) / right <= 1.12);
    }
}

// [1.02 when all are alike; with two at a quarter 0.91, told by weights 0.84; one at twice the speed, told,
// 0.87]
TEST_CASE(
    "speed that is learned or told helps where backends are unlike, and costs little where they are alike") {
    auto scenario = scenario_of(Setting{});
    const auto mean = [&](const char* strategy) { return summary_of(run(scenario, strategy)).mean; };
    const auto learned = [&] {
        return mean("prefix_affinity_learned_speed") / figures_of(Setting{}, "prefix_affinity").mean;
    };
    CHECK(learned() <= 1.05);
    scenario.speeds = {0.25, 0.25};
    const double unknown = mean("prefix_affinity");
    CHECK(mean("prefix_affinity_learned_speed") / unknown <= 0.95);
    scenario.weights = {1, 1, 4, 4, 4, 4, 4, 4};
    CHECK(mean("prefix_affinity") / unknown <= 0.90);
    // One that is faster than the others is an advantage, however it is known.
    scenario.speeds = {2};
    scenario.weights = {2};
    CHECK(mean("prefix_affinity") / figures_of(Setting{}, "prefix_affinity").mean <= 0.95);
}

}  // namespace
