// What engines say of their load, as the balancer shows it.
#include <fairlead/balancer/balancer.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

namespace {

using namespace fairlead;
using namespace std::chrono_literals;

struct Told {
    test::ManualClock clock;
    Balancer<RoundRobin, NoTransport, test::ManualClock> balancer{test::fleet(2), {}, {}, {}, clock};

    LoadFigures load(std::string_view name) const { return test::figures(balancer, name).load; }

    LoadReport report() const {
        LoadReport report;
        report.at = clock.now();
        return report;
    }
};

TEST_CASE("what an engine says is shown with its age, what it does not say stays unset") {
    Told fleet;
    CHECK_FALSE(fleet.load("b0").running);
    auto report = fleet.report();
    report.running = 7;
    report.cache_blocks = 100;
    CHECK_FALSE(fleet.balancer.report_load("b0", report));
    fleet.clock.advance(300ms);
    REQUIRE(fleet.load("b0").running);
    CHECK(fleet.load("b0").running->value == 7);
    CHECK(fleet.load("b0").running->age == 300ms);
    CHECK(fleet.load("b0").cache_blocks == 100U);
    CHECK_FALSE(fleet.load("b0").waiting);
    CHECK_FALSE(fleet.load("b0").cache_use);
    CHECK_FALSE(fleet.load("b1").running);
    CHECK(fleet.balancer.report_load("b9", report) == make_error_code(Errc::unknown_backend));
}

TEST_CASE("each figure ages by itself, and after three intervals it is unset") {
    Told fleet;
    auto first = fleet.report();
    first.running = 1;
    first.waiting = 2;
    CHECK_FALSE(fleet.balancer.report_load("b0", first));
    fleet.clock.advance(2s);
    auto second = fleet.report();
    second.waiting = 3;
    CHECK_FALSE(fleet.balancer.report_load("b0", second));
    CHECK(fleet.load("b0").running->age == 2s);
    CHECK(fleet.load("b0").waiting->age == 0s);
    fleet.clock.advance(1s + 1ms);
    CHECK_FALSE(fleet.load("b0").running);
    CHECK(fleet.load("b0").waiting->value == 3);
}

TEST_CASE("another server behind the name has said nothing yet") {
    Told fleet;
    auto report = fleet.report();
    report.running = 1;
    CHECK_FALSE(fleet.balancer.report_load("b0", report));
    CHECK_FALSE(fleet.balancer.update("b0", [](BackendConfig& config) { config.weight = 2; }));
    CHECK(fleet.load("b0").running);
    CHECK_FALSE(fleet.balancer.update("b0", [](BackendConfig& config) { config.url = "http://other:1"; }));
    CHECK_FALSE(fleet.load("b0").running);
}

}  // namespace
