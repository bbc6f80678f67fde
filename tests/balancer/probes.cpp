// What probes found, told to the balancer: several at once, about servers that may be gone by then.
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

namespace {

using namespace fairlead;
using namespace fairlead::test;

TEST_CASE("several findings of one round are told together, and unknown names among them are passed over") {
    Balancer<> balancer{fleet(4)};
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    const std::vector<ProbeFinding> findings{{"b0", 0, false}, {"nobody", 0, false}, {"b2", 0, false}};
    balancer.probed(findings);
    CHECK(count(events, Event::Kind::state_changed) == 2);
    for (int i = 0; i < 8; ++i) {
        const auto name = one(balancer);
        CHECK((name == "b1" || name == "b3"));
    }
    const std::vector<ProbeFinding> back{{"b0", 0, true}, {"b2", 0, true}};
    balancer.probed(back);
    CHECK(figures(balancer, "b0").state == BackendState::healthy);
    CHECK(count(events, Event::Kind::state_changed) == 4);
}

TEST_CASE("three of three backends that fail in one round make one panic, not one for every order") {
    Balancer<> balancer{fleet(3)};
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    const std::vector<ProbeFinding> all{{"b0", 0, false}, {"b1", 0, false}, {"b2", 0, false}};
    balancer.probed(all);
    CHECK(count(events, Event::Kind::panic_entered) == 1);
    // One snapshot, so panic is looked at once, after the last of them.
    CHECK(events.back().kind == Event::Kind::panic_entered);
}

TEST_CASE("a finding about a server that no longer stands behind the name is ignored") {
    Balancer<> balancer{fleet(2)};
    const auto before = figures(balancer, "b0").incarnation;
    CHECK(before != 0);
    SECTION("after another url") {
        balancer.update("b0", [](BackendConfig& config) { config.url = "http://elsewhere"; });
    }
    SECTION("after another key") {
        balancer.update("b0", [](BackendConfig& config) { config.api_key = "k"; });
    }
    SECTION("after it was removed and added again") {
        auto config = figures(balancer, "b0").config;
        balancer.remove("b0");
        balancer.add(config);
    }
    CHECK(figures(balancer, "b0").incarnation != before);
    const std::vector<ProbeFinding> late{{"b0", before, false}};
    balancer.probed(late);
    CHECK(figures(balancer, "b0").probe_ok);
}

TEST_CASE("any other change keeps the incarnation and what probes found") {
    Balancer<> balancer{fleet(2)};
    const auto before = figures(balancer, "b0").incarnation;
    balancer.probed("b0", false);
    balancer.update("b0", [](BackendConfig& config) { config.weight = 7; });
    CHECK(figures(balancer, "b0").incarnation == before);
    CHECK_FALSE(figures(balancer, "b0").probe_ok);
    const std::vector<ProbeFinding> passed{{"b0", before, true}};
    balancer.probed(passed);
    CHECK(figures(balancer, "b0").state == BackendState::healthy);
}

TEST_CASE("a probe changes neither disabled nor draining, no count and no average") {
    Balancer<> balancer{fleet(2)};
    balancer.disable("b0");
    balancer.drain("b1");
    const auto before = balancer.snapshot();
    const std::vector<ProbeFinding> failed{{"b0", 0, false}, {"b1", 0, false}};
    const std::vector<ProbeFinding> passed{{"b0", 0, true}, {"b1", 0, true}};
    balancer.probed(failed);
    balancer.probed(passed);
    const auto after = balancer.snapshot();
    CHECK(after[0].state == BackendState::disabled);
    CHECK(after[1].state == BackendState::draining);
    CHECK(balancer.select().error() == Errc::all_disabled);
    for (std::size_t i = 0; i < 2; ++i) {
        CHECK(after[i].completed == before[i].completed);
        CHECK(after[i].failed == before[i].failed);
        CHECK(after[i].average_response_time == before[i].average_response_time);
        CHECK(after[i].slowness == before[i].slowness);
    }
}

TEST_CASE("a watcher is told beside the host's callback, for as long as it is held") {
    Balancer<> balancer{fleet(1)};
    std::string order;
    balancer.on_event([&](const Event&) { order += 'h'; });
    auto watching = balancer.watch([&](const Event&) { order += 'w'; });
    balancer.add(fleet(2)[1]);
    CHECK(order == "wh");
    watching.reset();
    balancer.remove("b1");
    CHECK(order == "whh");
}

}  // namespace
