// Who may serve: model, tags, exclusion, priorities, panic, and subsets that do not eat the memory.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <map>
#include <set>

namespace {

using namespace fairlead;
using namespace fairlead::test;

std::set<std::string> serving(Balancer<>& balancer, const Criteria& criteria = {}) {
    std::set<std::string> seen;
    for (int i = 0; i < 64; ++i) seen.insert(one(balancer, Outcome::success, criteria));
    return seen;
}

TEST_CASE("a request for a model goes to the backends that serve it, and a model nobody knows is an error") {
    auto backends = fleet(4);
    backends[0].model_name = backends[1].model_name = "qwen";
    backends[2].model_name = "llama";
    backends[3].model_name = "llama";
    Balancer<> balancer{backends};
    CHECK(serving(balancer, {.model = "qwen"}) == std::set<std::string>{"b0", "b1"});
    CHECK(serving(balancer, {.model = "llama"}) == std::set<std::string>{"b2", "b3"});
    CHECK(balancer.select({.model = "gpt"}).error() == Errc::unknown_model);
    CHECK(serving(balancer).size() == 4);
}

TEST_CASE("a backend without a model name serves whatever it is asked for") {
    auto backends = fleet(2);
    backends[0].model_name = "qwen";
    Balancer<> balancer{backends};
    CHECK(serving(balancer, {.model = "qwen"}) == std::set<std::string>{"b0", "b1"});
    CHECK(serving(balancer, {.model = "anything"}) == std::set<std::string>{"b1"});
}

TEST_CASE("all tags of a request must be there") {
    auto backends = fleet(3);
    backends[0].tags = {"fast", "eu"};
    backends[1].tags = {"fast"};
    Balancer<> balancer{backends};
    const std::string_view fast[] = {"fast"};
    const std::string_view both[] = {"eu", "fast"};
    const std::string_view unknown[] = {"fast", "moon"};
    CHECK(serving(balancer, {.tags = fast}) == std::set<std::string>{"b0", "b1"});
    CHECK(serving(balancer, {.tags = both}) == std::set<std::string>{"b0"});
    CHECK(balancer.select({.tags = unknown}).error() == Errc::unknown_tags);
}

TEST_CASE("excluded backends are not chosen") {
    Balancer<> balancer{fleet(3)};
    const std::string_view excluded[] = {"b0", "b2"};
    CHECK(serving(balancer, {.exclude = excluded}) == std::set<std::string>{"b1"});
}

TEST_CASE("a higher priority number serves only when no backend of a lower one can") {
    auto backends = fleet(3, 2);
    backends[2].priority = 1;
    Balancer<> balancer{backends};
    std::vector<Lease> leases;
    for (int i = 0; i < 4; ++i) {
        leases.push_back(balancer.select());
        CHECK(leases.back()->priority == 0);
    }
    Lease spare = balancer.select();
    CHECK(spare->name == "b2");
    balancer.report(std::move(leases[0]), Outcome::success);
    CHECK(balancer.select()->priority == 0);
    balancer.disable("b0");
    balancer.disable("b1");
    CHECK(one(balancer) == "b2");
}

TEST_CASE("with overprovisioning a priority that is not whole leaves its share to the next") {
    // 10 in priority 0, 5 of them down by their probes: 1.4 * 0.5 = 0.7 stays. 20,000 requests: the share's
    // standard deviation is 0.0033, and 0.03 is nine of them.
    Options options;
    options.overprovisioning = 1.4;
    options.seed = 1;
    auto backends = fleet(12);
    backends[10].priority = backends[11].priority = 1;
    Balancer<> balancer{backends, options};
    for (int i = 0; i < 5; ++i) balancer.probed("b" + std::to_string(i), false);
    int first = 0;
    for (int i = 0; i < 20'000; ++i) {
        Lease lease = balancer.select();
        if (lease->priority == 0) ++first;
        balancer.report(std::move(lease), Outcome::success);
    }
    CHECK(first / 20'000.0 == Approx(0.7).margin(0.03));
}

TEST_CASE("a priority that chance passed over serves when no lower one has a place") {
    // b0 is down, so that half of what comes passes over b1. Were that the last word, 50 requests in a row
    // would be served with probability 1e-15, and with 6e-7 if a refusal were thought over once.
    Options options;
    options.overprovisioning = 1.0;
    options.seed = 1;
    auto backends = fleet(3);
    backends[2].priority = 1;
    backends[2].max_connections = 1;
    Balancer<> balancer{backends, options};
    balancer.probed("b0", false);
    const std::string_view first[] = {"b1"};
    const std::string_view lower[] = {"b2"};
    for (int i = 0; i < 50; ++i) CHECK(one(balancer, Outcome::success, {.exclude = lower}) == "b1");
    const Lease held = balancer.select({.exclude = first});
    REQUIRE(held->name == "b2");
    std::vector<Lease> leases;
    for (int i = 0; i < 50; ++i) {
        leases.push_back(balancer.select());
        REQUIRE(leases.back());
        CHECK(leases.back()->name == "b1");
    }
    CHECK(balancer.select().error() == Errc::all_full);
}

TEST_CASE("a priority in the middle that chance passed over serves when those around it have no place") {
    Options options;
    options.overprovisioning = 1.0;
    options.seed = 1;
    auto backends = fleet(4);
    backends[0].max_connections = backends[3].max_connections = 1;
    backends[1].priority = backends[2].priority = 1;  // b1 is down: half passes over b2
    backends[3].priority = 2;
    Balancer<> balancer{backends, options};
    balancer.probed("b1", false);
    const std::string_view outer[] = {"b0", "b3"};
    for (int i = 0; i < 50; ++i) CHECK(one(balancer, Outcome::success, {.exclude = outer}) == "b2");
    const std::string_view but_first[] = {"b2", "b3"};
    const std::string_view but_last[] = {"b0", "b2"};
    const Lease first = balancer.select({.exclude = but_first});
    const Lease last = balancer.select({.exclude = but_last});
    REQUIRE(first->name == "b0");
    REQUIRE(last->name == "b3");
    for (int i = 0; i < 50; ++i) CHECK(one(balancer) == "b2");
}

TEST_CASE("when none is healthy the unhealthy of the lowest priority serve, and it is told once") {
    auto backends = fleet(4);
    backends[3].priority = 1;
    Balancer<> balancer{backends};
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    balancer.disable("b0");
    for (const char* name : {"b1", "b2", "b3"}) balancer.probed(name, false);
    CHECK(serving(balancer) == std::set<std::string>{"b1", "b2"});
    CHECK(count(events, Event::Kind::panic_entered) == 1);
    balancer.probed("b3", true);
    CHECK(serving(balancer) == std::set<std::string>{"b3"});
    CHECK(count(events, Event::Kind::panic_left) == 1);
}

TEST_CASE("with a panic threshold of one half two of four are enough, and one is not") {
    Options options;
    options.panic_threshold = 0.5;
    Balancer<> balancer{fleet(4), options};
    balancer.probed("b0", false);
    balancer.probed("b1", false);
    CHECK(serving(balancer) == std::set<std::string>{"b2", "b3"});
    balancer.probed("b2", false);
    CHECK(serving(balancer).size() == 4);
}

TEST_CASE("one on trial is not healthy: when nobody else is, it serves more than one request at a time") {
    // b1 is half open and its trial hangs when b0's probe fails: without panic all others would be refused.
    ManualClock clock;
    Options options;
    options.ejection_jitter = 0;
    Balancer<RoundRobin, NoTransport, ManualClock> balancer{fleet(2), options, {}, {}, clock};
    const std::string_view b0[] = {"b0"};
    for (int i = 0; i < 3; ++i) one(balancer, Outcome::connect_error, {.exclude = b0});
    REQUIRE(figures(balancer, "b1").state == BackendState::unhealthy);
    clock.advance(std::chrono::seconds{10});
    const Lease trial = balancer.select({.exclude = b0});
    REQUIRE(trial);
    CHECK(balancer.select({.exclude = b0}).error() == Errc::all_full);  // one at a time
    balancer.probed("b0", false);
    std::vector<Lease> leases;
    std::map<std::string, int> seen;
    for (int i = 0; i < 20; ++i) {
        leases.push_back(balancer.select());
        REQUIRE(leases.back());
        ++seen[leases.back()->name];
    }
    CHECK(seen.size() == 2);
    for (auto& lease : leases) balancer.report(std::move(lease), Outcome::success);
    CHECK(figures(balancer, "b1").state == BackendState::healthy);
}

TEST_CASE("limits hold in panic too") {
    Balancer<> balancer{fleet(2, 1)};
    balancer.probed("b0", false);
    balancer.probed("b1", false);
    const Lease first = balancer.select();
    const Lease second = balancer.select();
    CHECK(first);
    CHECK(second);
    CHECK(balancer.select().error() == Errc::all_full);
}

TEST_CASE("subsets are bounded in number: strings of callers cannot eat the memory") {
    // 12 tags have 4,095 combinations, four times what is kept.
    auto backends = fleet(1);
    for (int i = 0; i < 12; ++i) backends[0].tags.push_back("t" + std::to_string(i));
    Options options;
    options.subset_limit = 64;
    Balancer<> balancer{backends, options};
    const auto all = backends[0].tags;
    for (unsigned mask = 1; mask < 4096; ++mask) {
        std::vector<std::string_view> tags;
        for (unsigned i = 0; i < 12; ++i) {
            if ((mask >> i & 1U) != 0) tags.push_back(all[i]);
        }
        REQUIRE(one(balancer, Outcome::success, {.tags = tags}) == "b0");
    }
}

TEST_CASE("a rotation goes on over a change of the fleet, for each model by itself") {
    auto backends = fleet(4);
    for (std::size_t i = 0; i < 4; ++i) backends[i].model_name = i < 2 ? "x" : "y";
    Balancer<> balancer{backends};
    std::map<std::string, int> seen;
    for (int i = 0; i < 100; ++i) {
        ++seen[one(balancer, Outcome::success, {.model = "x"})];
        ++seen[one(balancer, Outcome::success, {.model = "y"})];
        if (i % 10 == 0)
            balancer.update("b0", [&](BackendConfig& config) { config.weight = 1U + (config.weight % 7); });
    }
    // Two models that take turns: one common place would send each always to the same backend.
    for (const auto& [name, n] : seen) CHECK(n == 50);
}

TEST_CASE("who excludes all of a priority is served by the next, and everybody else is not") {
    auto backends = fleet(4);
    backends[2].priority = backends[3].priority = 1;
    Balancer<> balancer{backends};
    const std::string_view first[] = {"b0", "b1"};
    const std::string_view most[] = {"b0", "b1", "b3"};
    CHECK(serving(balancer, {.exclude = first}) == std::set<std::string>{"b2", "b3"});
    CHECK(serving(balancer, {.exclude = most}) == std::set<std::string>{"b2"});
    CHECK(serving(balancer) == std::set<std::string>{"b0", "b1"});
}

TEST_CASE("balancers of unlike seeds rotate in unlike orders, those of one seed in the same") {
    // 8 backends have 5,040 rotations: 20 seeds that give fewer than 15 of them come from no shuffle.
    const auto order = [](std::uint64_t seed) {
        Options options;
        options.seed = seed;
        Balancer<> balancer{fleet(8), options};
        std::string names;
        for (int i = 0; i < 8; ++i) names += one(balancer);
        const auto at = names.find("b0");  // wherever the thread began
        return names.substr(at) + names.substr(0, at);
    };
    std::set<std::string> orders;
    for (std::uint64_t seed = 0; seed < 20; ++seed) orders.insert(order(seed));
    CHECK(orders.size() >= 15);
    CHECK(order(3) == order(3));
}

}  // namespace
