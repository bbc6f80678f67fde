// Options that change under a running balancer: what counts from then on, and for whom.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/fairlead.hpp>

#include <chrono>
#include <set>
#include <string>
#include <vector>

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

struct Changing {
    using Served = Balancer<RoundRobin, NoTransport, ManualClock>;

    explicit Changing(std::size_t n, Options options = seeded())
        : balancer{fleet(n), options, NoTransport{}, RoundRobin{}, clock} {
        balancer.on_event([this](const Event& event) { events.push_back(event); });
    }

    static Options seeded() {
        Options options;
        options.seed = 1;
        return options;
    }

    template <class Edit>
    void set(Edit&& edit) {
        REQUIRE_FALSE(balancer.update_options(std::forward<Edit>(edit)));
    }

    /// `times` requests, which go as `outcome` says on `name` and well elsewhere.
    void send(int times, const std::string& name, const Outcome& outcome = Outcome::server_error) {
        int all = 0;
        for (int i = 0; i < times; ++all) {
            REQUIRE(all < 1000);  // it was taken out before
            Lease lease = balancer.select();
            REQUIRE(lease);
            const bool there = lease->name == name;
            i += there ? 1 : 0;
            balancer.report(std::move(lease), there ? outcome : Outcome{Outcome::success});
        }
    }

    BackendState state(const std::string& name) const { return figures(balancer, name).state; }

    std::set<std::string> served_by(int requests) {
        std::set<std::string> names;
        for (int i = 0; i < requests; ++i) names.insert(one(balancer));
        return names;
    }

    ManualClock clock;
    std::vector<Event> events;
    Served balancer;
};

Outcome resting_for(std::chrono::seconds time) {
    Outcome outcome{Outcome::rate_limited};
    outcome.retry_after = time;
    return outcome;
}

}  // namespace

TEST_CASE("options out of their range, and those that are fixed, change nothing of all that came with them") {
    Changing c{2};
    const Options before = c.balancer.options();
    Options bad = before;
    bad.queue_limit = 7;
    bad.failure_ratio = 2.0;
    CHECK(c.balancer.set_options(bad) == Errc::bad_option);
    for (const auto edit : {+[](Options& o) { o.timing = false; }, +[](Options& o) { o.seed = 2; }}) {
        Options fixed = before;
        fixed.max_retries = 9;
        edit(fixed);
        CHECK(c.balancer.set_options(fixed) == Errc::fixed_option);
    }
    CHECK(c.balancer.options() == before);
    CHECK(c.balancer.max_retries() == before.max_retries);
    CHECK(c.events.empty());
    // A seed that is not given is no wish for another.
    Options unseeded = before;
    unseeded.seed.reset();
    CHECK_FALSE(c.balancer.set_options(unseeded));
    CHECK(c.balancer.options() == before);
}

TEST_CASE("a set that was replaced can still be read; one that comes back is the same one") {
    Changing c{1};
    const Options& first = c.balancer.options();
    c.set([](Options& o) { o.queue_limit = 3; });
    CHECK(first.queue_limit == Options{}.queue_limit);
    CHECK(c.balancer.options().queue_limit == 3);
    CHECK(count(c.events, Event::Kind::options_changed) == 1);
    c.set([](Options& o) { o.queue_limit = Options{}.queue_limit; });
    CHECK(&c.balancer.options() == &first);
    c.set([](Options&) {});  // no change, no event
    CHECK(count(c.events, Event::Kind::options_changed) == 2);
}

TEST_CASE("what was changed by itself stands until a set says otherwise about that very thing") {
    Changing c{1};
    c.balancer.set_max_retries(7);
    REQUIRE_FALSE(c.balancer.set_failure_threshold(8));
    c.set([](Options& o) { o.queue_limit = 3; });
    CHECK(c.balancer.max_retries() == 7);
    CHECK(c.balancer.failure_threshold() == 8);
    c.set([](Options& o) { o.failure_threshold = 2; });
    CHECK(c.balancer.failure_threshold() == 2);
    CHECK(c.balancer.max_retries() == 7);
}

TEST_CASE("thresholds count from the next failure on") {
    Changing c{2};
    c.send(2, "b0");
    c.set([](Options& o) { o.failure_threshold = 5; });
    c.send(2, "b0");
    CHECK(c.state("b0") == BackendState::healthy);
    c.set([](Options& o) { o.failure_threshold = 3; });
    c.send(1, "b0");
    CHECK(c.state("b0") == BackendState::unhealthy);
    c.set([](Options& o) { o.success_threshold = 1; });
    c.clock.advance(11s);
    c.served_by(2);  // one trial is enough now
    CHECK(c.state("b0") == BackendState::healthy);
}

TEST_CASE("without ejection the ejected serve at once, and nobody is ejected until it is back") {
    Changing c{2};
    c.send(3, "b0");
    REQUIRE(c.state("b0") == BackendState::unhealthy);
    c.set([](Options& o) { o.ejection = false; });
    CHECK(c.state("b0") == BackendState::healthy);
    CHECK(c.served_by(4).contains("b0"));
    c.send(20, "b0");
    CHECK(c.state("b0") == BackendState::healthy);
    c.set([](Options& o) { o.ejection = true; });
    CHECK(c.state("b0") == BackendState::healthy);
    c.send(3, "b0");
    CHECK(c.state("b0") == BackendState::unhealthy);
}

TEST_CASE("an ejection keeps its end, unless max_ejection would have it over sooner") {
    Options options = Changing::seeded();
    options.base_ejection = 100s;
    options.ejection_jitter = 0;
    Changing c{2, options};
    c.send(3, "b0");
    c.set([](Options& o) { o.base_ejection = 1s; });
    c.clock.advance(50s);
    c.served_by(2);
    CHECK(c.state("b0") == BackendState::unhealthy);
    c.set([](Options& o) { o.max_ejection = 20s; });
    c.clock.advance(19s);
    c.served_by(2);
    CHECK(c.state("b0") == BackendState::unhealthy);
    c.clock.advance(1s);
    c.served_by(2);
    CHECK(c.state("b0") != BackendState::unhealthy);
}

TEST_CASE("a rest keeps its end, unless rest_max would have it over sooner; 0 ends all rests") {
    Changing c{2};
    c.send(1, "b0", resting_for(50s));
    REQUIRE(c.state("b0") == BackendState::resting);
    c.set([](Options& o) { o.rest_max = 10s; });
    CHECK(c.state("b0") == BackendState::resting);
    c.clock.advance(10s);
    c.served_by(2);
    CHECK(c.state("b0") == BackendState::healthy);
    c.send(1, "b0", resting_for(50s));
    REQUIRE(c.state("b0") == BackendState::resting);
    c.set([](Options& o) { o.rest_max = 0s; });
    CHECK(c.state("b0") == BackendState::healthy);
    c.send(1, "b0", resting_for(50s));
    CHECK(c.state("b0") == BackendState::healthy);
}

TEST_CASE("how many may be out, and when there are too few, is asked of the new options at once") {
    Options options = Changing::seeded();
    options.max_ejected = 1.0;
    Changing c{4, options};
    for (const auto* name : {"b0", "b1"}) c.send(3, name);
    CHECK(c.served_by(20) == std::set<std::string>{"b2", "b3"});
    c.set([](Options& o) { o.panic_threshold = 0.6; });
    CHECK(count(c.events, Event::Kind::panic_entered) == 1);
    CHECK(c.served_by(20).size() == 4);
    c.set([](Options& o) { o.panic_threshold = 0.0; });
    CHECK(count(c.events, Event::Kind::panic_left) == 1);
    c.set([](Options& o) { o.max_ejected = 0.5; });
    c.send(5, "b2");
    CHECK(c.state("b2") == BackendState::healthy);
    CHECK(count(c.events, Event::Kind::ejection_refused) == 1);
    c.set([](Options& o) { o.max_ejected = 0.75; });
    c.send(1, "b2");
    CHECK(c.state("b2") == BackendState::unhealthy);
}

TEST_CASE("a priority that is not whole spills over as soon as overprovisioning says so") {
    Changing c{2};
    REQUIRE_FALSE(c.balancer.update("b1", [](BackendConfig& config) { config.priority = 1; }));
    BackendConfig sick = fleet(1)[0];
    sick.name = "sick";
    REQUIRE_FALSE(c.balancer.add(sick));
    REQUIRE_FALSE(c.balancer.probed("sick", false));
    CHECK(c.served_by(100) == std::set<std::string>{"b0"});
    c.set([](Options& o) { o.overprovisioning = 1.0; });  // half of the first priority is healthy
    CHECK(c.served_by(100) == std::set<std::string>{"b0", "b1"});
}

TEST_CASE("a ramp is as long as the options say now; who returned before there was one has none") {
    Changing c{2};
    REQUIRE_FALSE(c.balancer.disable("b0"));
    REQUIRE_FALSE(c.balancer.enable("b0"));
    c.set([](Options& o) {
        o.slow_start = 100s;
        o.slow_start_floor = 0.0;
    });
    const auto share = [&] {
        int of_b0 = 0;
        for (int i = 0; i < 200; ++i) of_b0 += one(c.balancer) == "b0" ? 1 : 0;
        return of_b0;
    };
    CHECK(share() == 100);
    REQUIRE_FALSE(c.balancer.disable("b0"));
    REQUIRE_FALSE(c.balancer.enable("b0"));
    c.clock.advance(1s);
    // It keeps 1 % of its picks and gets half of the others' second draws: 0.01 + 0.99 / 2 of its half.
    CHECK(share() < 80);
    c.set([](Options& o) { o.slow_start = 500ms; });  // over by now
    CHECK(share() == 100);
}

TEST_CASE("a failure ratio is counted over the new window, whatever the old one held") {
    Options options = Changing::seeded();
    options.failure_threshold = 1000;
    options.failure_ratio_window = 100s;
    Changing c{2, options};
    c.send(19, "b0");  // 20 would be enough
    c.set([](Options& o) { o.failure_ratio_window = 1000s; });
    c.send(10, "b0");
    CHECK(c.state("b0") == BackendState::healthy);
    c.send(10, "b0");
    CHECK(c.state("b0") == BackendState::unhealthy);
}

TEST_CASE("subsets beyond a lower limit are served too, and a higher one holds them again") {
    auto backends = fleet(6);
    for (std::size_t i = 0; i < backends.size(); ++i) backends[i].model_name = "m" + std::to_string(i);
    Balancer<RoundRobin> balancer{backends, Changing::seeded()};
    for (const std::uint32_t limit : {1U, 3U, 1000U}) {
        REQUIRE_FALSE(balancer.update_options([&](Options& o) { o.subset_limit = limit; }));
        for (int turn = 0; turn < 3; ++turn) {
            for (const auto& each : backends)
                CHECK(one(balancer, Outcome::success, {.model = each.model_name}) == each.name);
        }
    }
}

TEST_CASE("leases that are out when the options change are reported to their backends as ever") {
    Changing c{2};
    std::vector<Lease> held;
    for (int i = 0; i < 10; ++i) held.push_back(c.balancer.select());
    c.set([](Options& o) {
        o.latency_tau = 1s;
        o.failure_threshold = 100;
        o.gateways = 3;
    });
    for (auto& lease : held) {
        c.balancer.first_byte(lease);
        c.balancer.report(std::move(lease), Outcome::success);
    }
    for (const auto& each : c.balancer.snapshot()) {
        CHECK(each.in_flight == 0);
        CHECK(each.completed == 5);
    }
}

TEST_CASE("backends and options that change together are one picture") {
    Changing c{1};
    c.balancer.change([](FleetChange& fleet) {
        CHECK_FALSE(fleet.set_options([] {
            Options options = Changing::seeded();
            options.panic_threshold = 1.0;
            return options;
        }()));
        CHECK_FALSE(fleet.add({.name = "new", .url = "http://n"}));
        CHECK(fleet.update_options([](Options& o) { o.success_threshold = 0; }) == Errc::bad_option);
    });
    CHECK(c.balancer.options().panic_threshold == 1.0);
    CHECK(c.served_by(4).size() == 2);
}
