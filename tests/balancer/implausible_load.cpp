// What a host tells of an engine's load that no engine can mean.
#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/prefix_affinity.hpp>

#include <cmath>
#include <limits>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

namespace {

using namespace fairlead;

TEST_CASE("a figure that cannot be counts as not told, and spoils no choice") {
    test::ManualClock clock;
    Balancer<PrefixAffinity, NoTransport, test::ManualClock> balancer{test::fleet(3), {}, {}, {}, clock};
    const auto load = [&] { return test::figures(balancer, "b0").load; };
    constexpr double infinite = std::numeric_limits<double>::infinity();
    for (const double odd : {1e300, infinite, -1.0, std::nan("")}) {
        INFO(odd);
        CHECK_FALSE(balancer.report_load("b0", {.running = odd,
                                                .waiting = odd,
                                                .waiting_tokens = odd,
                                                .cache_use = odd,
                                                .process_start = odd,
                                                .at = clock.now()}));
        CHECK_FALSE(load().running);
        CHECK_FALSE(load().waiting);
        CHECK_FALSE(load().waiting_tokens);
        CHECK_FALSE(load().cache_use);
        for (const auto& each : balancer.explain({.tokens = 100})) CHECK(std::isfinite(each.cost));
    }
    CHECK_FALSE(balancer.report_load("b0", {.running = 3.0, .cache_use = 7.0, .at = clock.now()}));
    CHECK(load().running->value == 3.0);
    CHECK_FALSE(load().cache_use);
}

}  // namespace
