// The fleet changes while traffic flows.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <set>

namespace {

using namespace fairlead;
using namespace fairlead::test;

TEST_CASE("bad backends are refused with the reason, and nothing changes") {
    Balancer<> balancer{fleet(1)};
    BackendConfig config;
    config.name = "x";
    CHECK(balancer.add(config) == Errc::bad_url);
    config.url = "http://h";
    config.name = "a/b";
    CHECK(balancer.add(config) == Errc::bad_name);
    config.name = "b0";
    CHECK(balancer.add(config) == Errc::duplicate_name);
    config.name = "x";
    config.weight = 0;
    CHECK(balancer.add(config) == Errc::bad_weight);
    config.weight = 65'536;
    CHECK(balancer.add(config) == Errc::bad_weight);
    config.weight = 1;
    config.max_connections = 0;
    CHECK(balancer.add(config) == Errc::bad_max_connections);
    config.max_connections = 1 << 20;
    CHECK(balancer.add(config) == Errc::bad_max_connections);
    CHECK(balancer.snapshot().size() == 1);
    CHECK(balancer.update(config) == Errc::bad_max_connections);
    config.max_connections = 1;
    CHECK(balancer.update(config) == Errc::unknown_backend);
    CHECK(balancer.remove("x") == Errc::unknown_backend);
    CHECK(balancer.enable("x") == Errc::unknown_backend);
    CHECK_THROWS_AS((Balancer<>{{{.name = "a", .url = "ftp://h"}}}), std::invalid_argument);
}

TEST_CASE("bad options are refused by the constructor") {
    Options options;
    options.failure_threshold = 0;
    CHECK_THROWS_AS((Balancer<>{fleet(1), options}), std::invalid_argument);
}

TEST_CASE("an added backend serves at once, a removed one no more") {
    Balancer<> balancer{fleet(1)};
    REQUIRE_FALSE(balancer.add({.name = "new", .url = "http://h:1"}));
    std::set<std::string> seen;
    for (int i = 0; i < 4; ++i) seen.insert(one(balancer));
    CHECK(seen == std::set<std::string>{"b0", "new"});
    REQUIRE_FALSE(balancer.remove("b0"));
    for (int i = 0; i < 4; ++i) CHECK(one(balancer) == "new");
    REQUIRE_FALSE(balancer.remove("new"));
    CHECK(balancer.select().error() == Errc::no_backends);
}

TEST_CASE("a removed backend serves its last lease, then goes") {
    Balancer<> balancer{fleet(2)};
    Lease lease = balancer.select();
    const std::string name = lease->name;
    REQUIRE_FALSE(balancer.remove(name));
    CHECK(balancer.snapshot().size() == 1);
    CHECK(lease->name == name);
    balancer.report(std::move(lease), Outcome::success);
    CHECK(one(balancer) != name);
}

TEST_CASE("a name added again after its removal is a new backend with counters at 0") {
    Balancer<> balancer{fleet(1)};
    for (int i = 0; i < 3; ++i) one(balancer);
    Lease old = balancer.select();
    REQUIRE_FALSE(balancer.remove("b0"));
    REQUIRE_FALSE(balancer.add(fleet(1)[0]));
    CHECK(figures(balancer, "b0").completed == 0);
    CHECK(figures(balancer, "b0").in_flight == 0);
    balancer.report(std::move(old), Outcome::server_error);
    CHECK(figures(balancer, "b0").completed == 0);
    CHECK(figures(balancer, "b0").consecutive_failures == 0);
}

TEST_CASE("what a change did before it threw stands, and is told") {
    Balancer<> balancer{fleet(2)};
    std::vector<std::string> events;
    balancer.on_event([&](const Event& event) { events.emplace_back(to_string(event.kind)); });
    auto config = fleet(1).front();
    config.weight = 7;
    const auto change = [&](FleetChange& changes) {
        CHECK_FALSE(changes.update(config));
        CHECK_FALSE(changes.disable("b1"));
        throw std::runtime_error{"the host's own"};
    };
    CHECK_THROWS_AS(balancer.change(change), std::runtime_error);
    CHECK(events == std::vector<std::string>{"backend_updated", "state_changed"});
    for (int i = 0; i < 4; ++i) {
        const Lease lease = balancer.select();
        REQUIRE(lease);
        CHECK(lease->name == "b0");
        CHECK(lease->weight == 7);
    }
}

TEST_CASE("a change of weight or limit keeps the counters and the findings") {
    Balancer<> balancer{fleet(1)};
    for (int i = 0; i < 5; ++i) one(balancer);
    one(balancer, Outcome::server_error);
    REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.weight = 9; }));
    CHECK(figures(balancer, "b0").completed == 6);
    CHECK(figures(balancer, "b0").consecutive_failures == 1);
    SECTION("another URL is another server: findings start afresh, counters stay") {
        REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.url = "http://other:1"; }));
        CHECK(figures(balancer, "b0").completed == 6);
        CHECK(figures(balancer, "b0").consecutive_failures == 0);
    }
}

TEST_CASE("disabled and draining backends get nothing new; drained is told once, when the last one ended") {
    Balancer<> balancer{fleet(2)};
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    std::vector<Lease> leases;
    for (int i = 0; i < 4; ++i) leases.push_back(balancer.select());
    REQUIRE_FALSE(balancer.drain("b0"));
    REQUIRE_FALSE(balancer.disable("b1"));
    CHECK(balancer.select().error() == Errc::all_disabled);
    CHECK(figures(balancer, "b0").state == BackendState::draining);
    CHECK(figures(balancer, "b1").state == BackendState::disabled);
    CHECK(count(events, Event::Kind::drained) == 0);
    for (auto& lease : leases) balancer.report(std::move(lease), Outcome::success);
    CHECK(count(events, Event::Kind::drained, "b0") == 1);
    CHECK(count(events, Event::Kind::drained, "b1") == 0);
    REQUIRE_FALSE(balancer.enable("b0"));
    CHECK(one(balancer) == "b0");
    SECTION("draining an idle backend is told at once") {
        REQUIRE_FALSE(balancer.drain("b0"));
        CHECK(count(events, Event::Kind::drained, "b0") == 2);
    }
}

TEST_CASE("of a removed backend no change of state is told, whatever its last requests come to") {
    Balancer<> balancer{fleet(1)};
    std::vector<Event> events;
    Lease last = balancer.select();
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    balancer.remove("b0");
    balancer.add(fleet(1)[0]);  // another one of the same name
    balancer.report(std::move(last), Outcome::rate_limited);
    CHECK(count(events, Event::Kind::state_changed) == 0);
    CHECK(figures(balancer, "b0").state == BackendState::healthy);
}

TEST_CASE("events are numbered in order and tell the states") {
    Balancer<> balancer{fleet(1)};
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    balancer.disable("b0");
    balancer.enable("b0");
    balancer.add({.name = "n", .url = "http://h"});
    balancer.remove("n");
    REQUIRE(events.size() == 4);
    CHECK(events[0].kind == Event::Kind::state_changed);
    CHECK(events[0].from == BackendState::healthy);
    CHECK(events[0].to == BackendState::disabled);
    CHECK(events[1].to == BackendState::healthy);
    CHECK(events[2].kind == Event::Kind::backend_added);
    CHECK(events[3].kind == Event::Kind::backend_removed);
    for (std::size_t i = 1; i < events.size(); ++i) CHECK(events[i].number == events[i - 1].number + 1);
}

TEST_CASE("a callback may call the balancer") {
    Balancer<> balancer{fleet(2)};
    balancer.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::state_changed) one(balancer);
    });
    REQUIRE_FALSE(balancer.disable("b0"));
    CHECK(figures(balancer, "b1").completed == 1);
}

TEST_CASE("a drain calls back once, when the last request ends, or says that it was called off") {
    Balancer<RoundRobin> balancer{fleet(1)};
    std::vector<std::error_code> told;
    const auto note = [&](std::error_code how) { told.push_back(how); };
    Lease lease = balancer.select();
    REQUIRE_FALSE(balancer.drain("b0", note));
    REQUIRE_FALSE(balancer.drain("b0", note));  // a second one who wants to know
    CHECK(told.empty());
    balancer.report(std::move(lease), Outcome::success);
    CHECK(told == std::vector<std::error_code>(2));
    REQUIRE_FALSE(balancer.drain("b0", note));  // nothing is in flight: at once
    CHECK(told.size() == 3);

    REQUIRE_FALSE(balancer.enable("b0"));
    CHECK(told.size() == 3);
    lease = balancer.select();
    REQUIRE_FALSE(balancer.drain("b0", note));
    REQUIRE_FALSE(balancer.enable("b0"));
    REQUIRE(told.size() == 4);
    CHECK(told[3] == Errc::cancelled);
    REQUIRE_FALSE(balancer.drain("b0", note));
    REQUIRE_FALSE(balancer.remove("b0"));
    REQUIRE(told.size() == 5);
    CHECK(told[4] == Errc::cancelled);
    CHECK(balancer.drain("b0", note) == Errc::unknown_backend);
    CHECK(told.size() == 5);
}

}  // namespace
