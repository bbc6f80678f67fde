// Failure seen from requests, in virtual time.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <map>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

using TestBalancer = Balancer<RoundRobin, NoTransport, ManualClock>;

struct Fixture {
    ManualClock clock;
    Options options = without_chance();
    std::vector<Event> events;

    std::unique_ptr<TestBalancer> make(std::vector<BackendConfig> backends) {
        auto balancer =
            std::make_unique<TestBalancer>(std::move(backends), options, NoTransport{}, RoundRobin{}, clock);
        balancer->on_event([this](const Event& event) { events.push_back(event); });
        return balancer;
    }

    /// Requests until `name` was chosen `times` times and got `outcome`; the others succeed.
    static void give(TestBalancer& balancer, const std::string& name, const Outcome& outcome, int times) {
        for (int tries = 0; times > 0 && tries < 1000; ++tries) {
            Lease lease = balancer.select();
            REQUIRE(lease);
            const bool it = lease->name == name;
            balancer.report(std::move(lease), it ? outcome : Outcome{Outcome::success});
            if (it) --times;
        }
        REQUIRE(times == 0);
    }
    static bool is_chosen(TestBalancer& balancer, const std::string& name) {
        bool chosen = false;
        std::vector<Lease> leases;
        for (int i = 0; i < 12; ++i) {
            leases.push_back(balancer.select());
            chosen = chosen || leases.back()->name == name;
        }
        for (auto& lease : leases) lease = Lease{};  // cancelled: says nothing
        return chosen;
    }
};

TEST_CASE("three failures in a row make a backend unhealthy; it comes back by itself, on trial") {
    Fixture f;
    auto balancer = f.make(fleet(3));
    Fixture::give(*balancer, "b1", Outcome::connect_error, 2);
    CHECK(figures(*balancer, "b1").state == BackendState::healthy);
    Fixture::give(*balancer, "b1", Outcome::timeout, 1);
    CHECK(figures(*balancer, "b1").state == BackendState::unhealthy);
    CHECK(count(f.events, Event::Kind::ejected, "b1") == 1);
    CHECK_FALSE(Fixture::is_chosen(*balancer, "b1"));

    f.clock.advance(9999ms);
    CHECK_FALSE(Fixture::is_chosen(*balancer, "b1"));
    f.clock.advance(1ms);
    // Half open: one request at a time.
    std::vector<Lease> leases;
    int trials = 0;
    for (int i = 0; i < 9; ++i) {
        leases.push_back(balancer->select());
        if (leases.back()->name == "b1") ++trials;
    }
    CHECK(trials == 1);
    CHECK(figures(*balancer, "b1").state == BackendState::half_open);
    for (auto& lease : leases) balancer->report(std::move(lease), Outcome::success);
    CHECK(figures(*balancer, "b1").state == BackendState::half_open);  // one of two
    Fixture::give(*balancer, "b1", Outcome::success, 1);
    CHECK(figures(*balancer, "b1").state == BackendState::healthy);
    CHECK(figures(*balancer, "b1").consecutive_failures == 0);
}

TEST_CASE("a success in between clears the row of failures") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    for (int i = 0; i < 5; ++i) {
        Fixture::give(*balancer, "b1", Outcome::server_error, 2);
        Fixture::give(*balancer, "b1", Outcome::success, 1);
    }
    CHECK(count(f.events, Event::Kind::ejected) == 0);
}

TEST_CASE("a failed trial ejects again, for longer") {
    Fixture f;
    auto balancer = f.make(fleet(3));
    Fixture::give(*balancer, "b1", Outcome::connect_error, 3);
    f.clock.advance(10s);
    Fixture::give(*balancer, "b1", Outcome::connect_error, 1);
    CHECK(figures(*balancer, "b1").state == BackendState::unhealthy);
    CHECK(count(f.events, Event::Kind::ejected, "b1") == 2);
    f.clock.advance(19s);
    CHECK_FALSE(Fixture::is_chosen(*balancer, "b1"));
    f.clock.advance(1s);
    CHECK(Fixture::is_chosen(*balancer, "b1"));
}

TEST_CASE("a cancelled trial decides nothing and the next may begin") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    Fixture::give(*balancer, "b1", Outcome::connect_error, 3);
    f.clock.advance(10s);
    Fixture::give(*balancer, "b1", Outcome::cancelled, 3);
    CHECK(figures(*balancer, "b1").state == BackendState::half_open);
    Fixture::give(*balancer, "b1", Outcome::success, 2);
    CHECK(figures(*balancer, "b1").state == BackendState::healthy);
}

TEST_CASE("a long answer does not hold up a trial: its first byte passes it") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    Fixture::give(*balancer, "b1", Outcome::connect_error, 3);
    f.clock.advance(10s);
    std::vector<Lease> streams;
    for (int i = 0; i < 8; ++i) {
        streams.push_back(balancer->select());
        balancer->first_byte(streams.back());
    }
    CHECK(figures(*balancer, "b1").state == BackendState::healthy);
    CHECK(figures(*balancer, "b1").in_flight >= 2);
    for (auto& lease : streams) balancer->report(std::move(lease), Outcome::success);
    CHECK(figures(*balancer, "b1").in_flight == 0);
}

TEST_CASE("outcomes of requests from before the last change of state do not decide") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    std::vector<Lease> old;
    while (old.size() < 6) {
        Lease lease = balancer->select();
        if (lease->name == "b1") old.push_back(std::move(lease));
    }
    Fixture::give(*balancer, "b1", Outcome::connect_error, 3);
    f.clock.advance(10s);
    CHECK(Fixture::is_chosen(*balancer, "b1"));
    for (int i = 0; i < 3; ++i)
        balancer->report(std::move(old[static_cast<std::size_t>(i)]), Outcome::success);
    CHECK(figures(*balancer, "b1").state == BackendState::half_open);
    for (std::size_t i = 3; i < 6; ++i) balancer->report(std::move(old[i]), Outcome::connect_error);
    CHECK(figures(*balancer, "b1").state == BackendState::half_open);
}

TEST_CASE("at most half of a model's backends are ejected, and a lone one never") {
    Fixture f;
    auto backends = fleet(5);
    backends[4].model_name = "lone";
    for (std::size_t i = 0; i < 4; ++i) backends[i].model_name = "m";
    auto balancer = f.make(backends);
    for (int i = 0; i < 200; ++i) {
        one(*balancer, Outcome::connect_error, {.model = "m"});
        one(*balancer, Outcome::connect_error, {.model = "lone"});
    }
    std::map<BackendState, int> states;
    for (const auto& each : balancer->snapshot()) ++states[each.state];
    CHECK(states[BackendState::unhealthy] == 2);
    CHECK(states[BackendState::healthy] == 3);
    CHECK(figures(*balancer, "b4").state == BackendState::healthy);
    CHECK(count(f.events, Event::Kind::ejection_refused, "b4") == 1);
}

TEST_CASE("more than half of the requests failing ejects, though never three in a row") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    // Two of three fail: consecutive counts alone never see it.
    for (int i = 0; i < 180 && figures(*balancer, "b1").state == BackendState::healthy; ++i) {
        Fixture::give(*balancer, "b1", i % 3 == 2 ? Outcome::success : Outcome::server_error, 1);
        f.clock.advance(50ms);
    }
    CHECK(figures(*balancer, "b1").state == BackendState::unhealthy);
    const auto total = figures(*balancer, "b1").completed;
    CHECK(total >= 20);
    CHECK(total <= 30);
}

TEST_CASE("an ejected backend whose probe passes stays out until its trial") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    Fixture::give(*balancer, "b1", Outcome::connect_error, 3);
    balancer->probed("b1", true);
    CHECK(figures(*balancer, "b1").state == BackendState::unhealthy);
    SECTION("and one whose probe fails meanwhile serves only when both are over") {
        balancer->probed("b1", false);
        f.clock.advance(10s);
        CHECK_FALSE(Fixture::is_chosen(*balancer, "b1"));
        balancer->probed("b1", true);
        CHECK(Fixture::is_chosen(*balancer, "b1"));
    }
}

TEST_CASE("a disabled backend stays disabled whatever is found out about it") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    Fixture::give(*balancer, "b1", Outcome::connect_error, 3);
    balancer->disable("b1");
    balancer->probed("b1", false);
    balancer->probed("b1", true);
    f.clock.advance(60s);
    CHECK_FALSE(Fixture::is_chosen(*balancer, "b1"));
    CHECK(figures(*balancer, "b1").state == BackendState::disabled);
    balancer->enable("b1");
    CHECK(Fixture::is_chosen(*balancer, "b1"));
    CHECK(figures(*balancer, "b1").state == BackendState::half_open);  // the findings stayed
}

TEST_CASE("a rest after a 429 is no failure, counts as full, and ends by itself") {
    Fixture f;
    auto balancer = f.make(fleet(2));
    Fixture::give(*balancer, "b1", Outcome::server_error, 2);
    Outcome busy = Outcome::from_status(429);
    busy.retry_after = 3s;
    Fixture::give(*balancer, "b1", busy, 1);
    CHECK(figures(*balancer, "b1").state == BackendState::resting);
    CHECK(figures(*balancer, "b1").consecutive_failures == 2);  // neither added nor cleared
    CHECK(figures(*balancer, "b1").in_flight == 0);             // and its place is free
    CHECK_FALSE(Fixture::is_chosen(*balancer, "b1"));
    Fixture::give(*balancer, "b0", busy, 1);
    Lease refused = balancer->select();
    CHECK(refused.error() == Errc::all_resting);
    REQUIRE(refused.retry_after());
    CHECK(*refused.retry_after() == 3s);
    f.clock.advance(3s);
    CHECK(balancer->select());
    CHECK(figures(*balancer, "b1").state == BackendState::healthy);
    Fixture::give(*balancer, "b1", Outcome::server_error, 1);
    CHECK(figures(*balancer, "b1").state == BackendState::unhealthy);  // the third in a row
}

TEST_CASE("without an own word a 429 rests 5 s, and no rest is longer than 60 s") {
    Fixture f;
    auto balancer = f.make(fleet(1));
    one(*balancer, Outcome::rate_limited);
    CHECK(*balancer->select().retry_after() == 5s);
    f.clock.advance(5s);
    Outcome forever = Outcome::rate_limited;
    forever.retry_after = 24h;
    one(*balancer, forever);
    CHECK(*balancer->select().retry_after() == 60s);
}

TEST_CASE("with rest_max at 0 nobody rests, and nothing is told") {
    Fixture f;
    f.options.rest_max = 0s;
    auto balancer = f.make(fleet(1));
    const std::size_t told = f.events.size();
    Outcome busy = Outcome::rate_limited;
    busy.retry_after = 30s;
    for (int i = 0; i < 3; ++i) CHECK(one(*balancer, busy) == "b0");
    CHECK(figures(*balancer, "b0").state == BackendState::healthy);
    CHECK(f.events.size() == told);
}

}  // namespace
