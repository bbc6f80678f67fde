// Several gateways before one fleet: what each does not see costs something, and what goes wrong with one
// gateway goes no worse with sixteen. Bounds are those of the design, measured figures in brackets.
#include <chrono>
#include <string>

#include "simulator/measured.hpp"
#include "support/catch.hpp"

namespace {

using namespace simulator;
using namespace std::chrono_literals;

/// One gateway, and sixteen in each of the ways that bring back what they do not see.
struct Gateways {
    std::size_t count;
    Signals signals;
};
constexpr Gateways single_gateway{1, Signals::off};
constexpr Gateways sixteen{16, Signals::off};
constexpr Gateways sixteen_with_signals{16, Signals::on};
constexpr auto each_way = {single_gateway, sixteen, sixteen_with_signals};

Setting setting_of(const Gateways& gateways) {
    Setting setting;
    setting.gateways = gateways.count;
    setting.signals = gateways.signals;
    return setting;
}

std::string name_of(const Gateways& gateways) {
    return std::to_string(gateways.count) + (gateways.signals == Signals::on ? " and signals" : "");
}

// Of means over seeds: one seed's quarter of an hour may be beyond a bound, or far below it.
// [With 16 and 64 gateways, in brackets the range of the seeds: owner 0.89 and 0.91 (0.83 to 0.96) of prefix
// hashing, 0.63 and 0.57 (0.55 to 0.67) of least_connections; both 1.50 and 1.67 (1.40 to 1.88) of one
// gateway. Eight seeds take half a minute: 0.88 and 0.97 (0.77 to 1.12), 0.64 and 0.60 (0.55 to 0.74), 1.52
// and 1.75 (1.40 to 1.91). Beyond are the fifth, to hashing, and the eighth, to one gateway, of 64.]
TEST_CASE(
    "with many gateways an owner is as good as prefix hashing, and signals bring most of one gateway back") {
    constexpr std::uint64_t seeds = 4;
    Setting setting;
    const double alone = mean_over(setting, seeds);
    for (const std::size_t gateways : {16U, 64U}) {
        INFO(gateways << " gateways");
        setting.gateways = gateways;
        setting.signals = Signals::off;
        const double hashing = mean_over(setting, seeds, "consistent_hash");
        const double least_connections = mean_over(setting, seeds, "least_connections");
        setting.owner = false;
        const double nothing = mean_over(setting, seeds);
        setting.owner = true;
        const double owned = mean_over(setting, seeds);
        setting.signals = Signals::on;
        const double both = mean_over(setting, seeds);
        CHECK(owned < nothing);
        CHECK(both < owned);
        CHECK(owned / hashing <= 1.04);
        CHECK(owned / least_connections <= 0.80);
        CHECK(both / alone <= 1.90);
    }
}

// [0.81 to 0.92 of a ninth over four minutes, 1.05 in the busiest of these]
TEST_CASE("a backend that is added is not flooded, however many gateways see it idle") {
    for (const auto& gateways : each_way) {
        INFO(name_of(gateways));
        auto scenario = scenario_of(setting_of(gateways));
        scenario.happenings = {{Happening::Kind::add, 240s, 0, {}, 1}};
        const auto timeline = timeline_of(run(scenario, "prefix_affinity"), 60);
        REQUIRE(timeline.size() > 8);
        std::uint64_t added = 0;
        std::uint64_t total = 0;
        for (std::size_t minute = 4; minute < 8; ++minute) {
            std::uint64_t served = 0;
            for (const auto its : timeline[minute].served) served += its;
            // A ninth would be fair.
            CHECK(9 * timeline[minute].served[8] < 2 * served);
            added += timeline[minute].served[8];
            total += served;
        }
        CHECK(9 * added > total / 2);  // it gets its part from the first minutes on
    }
}

// [0.98 to 1.01 of the mean, hit rates within 0.01]
TEST_CASE("four minutes after a cache was lost or the system prompt changed all is as it would have been") {
    for (const auto& gateways : each_way) {
        const auto& undisturbed = result_of(setting_of(gateways), "prefix_affinity");
        const auto expected = between(undisturbed, 390, 700);
        for (const auto kind : {Happening::Kind::restart, Happening::Kind::prompt}) {
            INFO(name_of(gateways) << (kind == Happening::Kind::restart ? ", restart" : ", prompt"));
            auto scenario = scenario_of(setting_of(gateways));
            scenario.happenings = {{kind, 150s, 0, 5s, 1}};
            const auto disturbed = run(scenario, "prefix_affinity");
            CHECK(disturbed.served.size() == undisturbed.served.size());
            // It did something, or there would be nothing to come back from.
            const bool is_restart = kind == Happening::Kind::restart;
            CHECK((is_restart ? disturbed.retries > 0
                              : between(disturbed, 150, 180).hit_rate <
                                    between(undisturbed, 150, 180).hit_rate - 0.1));
            const auto after = between(disturbed, 390, 700);
            CHECK(after.mean / expected.mean <= 1.10);
            CHECK(after.hit_rate - expected.hit_rate >= -0.03);
        }
    }
}

// [0.98 to 1.01]
TEST_CASE("sixteen gateways that take prompts for twice or half as long lose at most a twentieth, too") {
    for (const auto& gateways : {sixteen, sixteen_with_signals}) {
        Setting setting = setting_of(gateways);
        const double right = mean_over(setting, 2);
        for (const double factor : {0.5, 2.0}) {
            INFO(name_of(gateways) << ", estimated " << factor << " times as long");
            setting.estimate = factor;
            CHECK(mean_over(setting, 2) / right <= 1.05);
        }
    }
}

// [largest share 1.06, 1.26 and 1.13 times the mean; 0.58 and 0.74 of least_connections]
TEST_CASE(
    "a common system prompt longer than prefix hashing's key makes no hot spot, with an owner neither") {
    Traffic traffic;
    traffic.requests = 1'500;
    traffic.common_tokens = 3'000;
    const auto trace = generate(traffic);
    for (const auto& gateways : each_way) {
        INFO(name_of(gateways));
        auto scenario = scenario_of(setting_of(gateways));
        scenario.trace = &trace;
        const auto own = summary_of(run(scenario, "prefix_affinity"));
        CHECK(own.imbalance < 1.3);
        if (gateways.signals == Signals::off)  // of which least_connections knows nothing
            CHECK(own.mean < summary_of(run(scenario, "least_connections")).mean);
    }
    auto scenario = scenario_of(Setting{});
    scenario.trace = &trace;
    CHECK(summary_of(run(scenario, "consistent_hash")).imbalance > 3);  // all to one of eight
}

}  // namespace
