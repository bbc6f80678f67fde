// What engines say of their load, as the balancer shows it.
#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/prefix_affinity.hpp>

#include <array>

#include <limits>
#include <optional>
#include <vector>

#include <fairlead/strategies/prefix_affinity.hpp>

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

TEST_CASE(
    "an interval is longer where many gateways share a fleet: what is told by one of 64 counts for 19.2 s") {
    const test::ManualClock clock;
    Options options;
    options.gateways = 64;  // ten scrapes a second in all: each asks every 6.4 s
    Balancer<PrefixAffinity, NoTransport, test::ManualClock> balancer{test::fleet(1), options, {}, {}, clock};
    CHECK_FALSE(balancer.report_load("b0", {.running = 7.0, .at = clock.now()}));
    const auto shown = [&] { return test::figures(balancer, "b0").load.running.has_value(); };
    const auto counted = [&] { return balancer.explain({.tokens = 100}).front().decoding; };
    clock.advance(19s);
    CHECK(shown());
    CHECK(counted() == Approx(7));  // the only one is the mean that it fades towards
    clock.advance(300ms);
    CHECK_FALSE(shown());
    CHECK(counted() == 0);
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

/// A backend that is believed to hold a prompt of 48 tokens, and its engine, which tells when it began.
struct Believed {
    test::ManualClock clock;
    Balancer<PrefixAffinity, NoTransport, test::ManualClock> balancer{test::fleet(1), {}, {}, {}, clock};
    std::vector<std::uint64_t> blocks{11, 22, 33};
    Criteria prompt{.tokens = 48, .prefix = blocks};

    /// Tokens that are believed to be left after such a report.
    float left_after(std::optional<double> process_start) {
        CHECK(test::one(balancer, Outcome::success, prompt) == "b0");
        CHECK(balancer.explain(prompt).front().cached == 48);
        const LoadReport report{.running = 1, .process_start = process_start, .at = clock.now()};
        CHECK_FALSE(balancer.report_load("b0", report));
        CHECK(test::figures(balancer, "b0").load.running);
        return balancer.explain(prompt).front().cached;
    }
};

TEST_CASE("an engine that began at another time than it said before holds nothing any more") {
    Believed engine;
    CHECK(engine.left_after(std::nullopt) == 48);
    CHECK(engine.left_after(1e9) == 48);  // there was none to compare with
    CHECK(engine.left_after(1e9) == 48);
    CHECK(engine.left_after(1e9 + 60) == 0);
    CHECK(engine.left_after(1e9 + 60) == 48);
    CHECK(engine.left_after(1e9) == 0);  // a clock that was set back
}

TEST_CASE("an engine's start that is unknown, or a little off, is no restart") {
    Believed engine;
    CHECK(engine.left_after(1e9) == 48);
    CHECK(engine.left_after(1e9 + 0.5) == 48);
    CHECK(engine.left_after(1e9 - 0.5) == 48);
    // Worked out from a clock that drifts.
    for (int i = 1; i <= 5; ++i) CHECK(engine.left_after(1e9 - 0.5 + 0.9 * i) == 48);
    for (const auto unknown :
         {std::optional<double>{}, std::optional{std::numeric_limits<double>::quiet_NaN()},
          std::optional{std::numeric_limits<double>::infinity()}})
        CHECK(engine.left_after(unknown) == 48);
    CHECK(engine.left_after(1e9 + 4.5) == 48);
    CHECK(engine.left_after(1e9 + 6) == 0);
}

TEST_CASE("an engine's start is compared with that of another server no more") {
    Believed engine;
    const auto change = [&](auto&& how) { CHECK_FALSE(engine.balancer.update("b0", how)); };
    CHECK(engine.left_after(1e9) == 48);
    change([](BackendConfig& config) { config.url = "http://other:1"; });
    CHECK(engine.left_after(2e9) == 48);
    change([](BackendConfig& config) { config.api_key = "other"; });
    CHECK(engine.left_after(1e9) == 48);
    change([](BackendConfig& config) { config.weight = 2; });
    CHECK(engine.left_after(2e9) == 0);
}

TEST_CASE("an explanation is of the moment that a choice would look at, without timing, too") {
    std::array<float, 2> waiting{};
    for (const bool timing : {false, true}) {
        const test::ManualClock clock;
        Options options;
        options.timing = timing;
        Balancer<PrefixAffinity, NoTransport, test::ManualClock> balancer{
            test::fleet(2), options, {}, {}, clock};
        // One rests, so that the clock is looked at.
        balancer.report(balancer.select(), Outcome::rate_limited);
        CHECK_FALSE(balancer.report_load("b0", {.waiting_tokens = 1000.0, .at = clock.now()}));
        CHECK_FALSE(balancer.report_load("b1", {.waiting_tokens = 0.0, .at = clock.now()}));
        clock.advance(2s);
        for (const auto& each : balancer.explain({.tokens = 100})) {
            if (each.name == "b0") waiting.at(timing ? 1 : 0) = each.waiting;
        }
    }
    CHECK(waiting[1] > 600);
    CHECK(waiting[1] < 800);  // of 1,000, on the way to the mean
    CHECK(waiting[0] == waiting[1]);
}

}  // namespace
