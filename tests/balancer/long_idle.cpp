// What a balancer knows after hours and days in which nobody asked it: times are kept modulo 78 hours.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/least_connections.hpp>
#include <fairlead/strategies/prefix_affinity.hpp>
#include <fairlead/strategies/response_time.hpp>

#include <array>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

template <class S>
struct Idle {
    explicit Idle(const Options& options = {}) : balancer{fleet(2), seeded(options), {}, {}, clock} {}

    static Options seeded(Options options) {
        options.seed = 1;
        return options;
    }

    ManualClock clock;
    Balancer<S, NoTransport, ManualClock> balancer;
};

// Below half of the circle, above it, and once round.
constexpr std::array<std::chrono::hours, 6> idle_times{1h, 38h, 40h, 62h, 77h, 79h};

TEST_CASE("however long it was idle, a balancer finds out which backend is the slower") {
    for (const auto idle : idle_times) {
        Idle<ResponseTime> f;
        f.clock.advance(idle);
        std::vector<std::pair<Time, Lease>> open;  // until when
        int slow = 0;
        for (int step = 0; step < 6000; ++step) {  // 20 ms each, two minutes
            f.clock.advance(20ms);
            const Time now = f.clock.now();
            for (auto& [end, lease] : open) {
                if (end <= now) f.balancer.report(std::move(lease), Outcome::success);
            }
            std::erase_if(open, [](const auto& each) { return !each.second; });
            Lease lease = f.balancer.select();
            const bool is_slow = lease->name == "b0";
            if (is_slow && step >= 3000) ++slow;
            open.emplace_back(now + (is_slow ? 1s : 100ms), std::move(lease));
        }
        INFO("idle for " << idle.count() << " h");
        // Ten times slower, and one at a time: at most the tenth of 3,000 that its latency leaves it. Half
        // when nothing is known of latencies.
        CHECK(slow < 300);
        const auto shown = figures(f.balancer, "b0");
        CHECK(shown.slowness > 2);
        CHECK(shown.average_response_time > 900ms);
        CHECK(shown.average_response_time < 1100ms);
    }
}

TEST_CASE("however long it was idle before, a failure is forgotten in time") {
    for (const auto idle : idle_times) {
        Idle<LeastConnections> f;
        one(f.balancer);
        f.clock.advance(idle);
        std::string_view other[] = {"b1"};
        REQUIRE(one(f.balancer, Outcome::server_error, {.exclude = other}) == "b0");
        int chosen = 0;
        for (int i = 0; i < 1000; ++i) {
            f.clock.advance(1s);
            Lease lease = f.balancer.select();
            if (lease->name == "b0") ++chosen;
            f.clock.advance(100ms);
            f.balancer.report(std::move(lease), Outcome::success);
        }
        INFO("idle for " << idle.count() << " h");
        CHECK(chosen > 400);  // half of them but for 10 means of 0.1 s, up to 1 s: 500, sd 16
    }
}

TEST_CASE("a failure just before it fell idle does not count for as long as that lasted") {
    for (const auto idle : {Duration{0s}, Duration{1min}, Duration{1h}, Duration{40h}}) {
        Idle<ResponseTime> f;
        int failed_ones = 0;
        const auto requests = [&](int n) {
            failed_ones = 0;
            for (int i = 0; i < n; ++i) {  // one in 100 ms, of 20 ms each
                Lease lease = f.balancer.select();
                if (lease->name == "b0") ++failed_ones;
                f.clock.advance(20ms);
                f.balancer.report(std::move(lease), Outcome::success);
                f.clock.advance(80ms);
            }
        };
        requests(1000);
        const std::vector<std::string_view> other{"b1"};
        Lease lease = f.balancer.select({.exclude = other});
        f.clock.advance(20ms);
        f.balancer.report(std::move(lease), Outcome::from_status(500));
        f.clock.advance(idle);
        requests(1000);
        INFO("idle for " << std::chrono::duration_cast<std::chrono::minutes>(idle).count() << " min");
        CHECK(failed_ones >= 400);
        const auto shown = figures(f.balancer, "b0");
        CHECK(shown.response_time_sum < 60s);
    }
}

TEST_CASE("what an engine told long ago is not trusted again, however long ago it is") {
    for (const auto age : idle_times) {
        Idle<PrefixAffinity> f;
        REQUIRE_FALSE(f.balancer.report_load("b0", {.running = 30.0, .waiting = 0.0, .at = f.clock.now()}));
        for (const Duration step : {Duration{1min}, Duration{age}}) {
            // In the first minute it is found to be too old: then no turn of the circle makes it new.
            f.clock.advance(step);
            int chosen = 0;
            REQUIRE_FALSE(
                f.balancer.report_load("b1", {.running = 0.0, .waiting = 0.0, .at = f.clock.now()}));
            for (int i = 0; i < 1000; ++i) {
                f.clock.advance(1ms);
                if (one(f.balancer, Outcome::success, {.tokens = 100}) == "b0") ++chosen;
            }
            INFO("told " << age.count() << " h ago");
            CHECK(chosen > 350);  // as likely as the other one: 500, sd 16, but for what was cached
        }
    }
}

TEST_CASE("what an engine told is not trusted in a pick that reads no clock: it may be of any age") {
    Options options;
    options.timing = false;
    Idle<PrefixAffinity> f{options};
    REQUIRE_FALSE(f.balancer.report_load("b0", {.running = 30.0, .at = f.clock.now()}));
    f.clock.advance(1h);
    REQUIRE_FALSE(f.balancer.report_load("b1", {.running = 0.0, .at = f.clock.now()}));
    for (const auto& each : f.balancer.explain({.tokens = 100})) CHECK(each.decoding == 0);
}

}  // namespace
