// The simulation: what goes in comes out, time is the engines', and what happens has the effect it says.
#include "simulator/simulation.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <string>
#include <vector>

#include "simulator/contestants.hpp"
#include "simulator/generator.hpp"
#include "simulator/run.hpp"
#include "support/catch.hpp"

namespace {

using namespace simulator;
using namespace std::chrono_literals;

Trace traffic(std::size_t requests, std::uint64_t seed = 1) {
    Traffic numbers;
    numbers.requests = requests;
    numbers.seed = seed;
    return generate(numbers);
}

/// One request each `between`, each of its own blocks.
Trace evenly(std::size_t requests, Duration between, std::uint32_t prompt_tokens,
             std::uint32_t output_tokens) {
    Trace trace(requests);
    std::uint64_t id = 0;
    for (std::size_t i = 0; i < requests; ++i) {
        trace[i].at = between * static_cast<std::int64_t>(i);
        trace[i].prompt_tokens = prompt_tokens;
        trace[i].output_tokens = output_tokens;
        for (std::uint32_t block = 0; block < prompt_tokens / 512; ++block) trace[i].ids.push_back(id++);
    }
    return trace;
}

Scenario of(const Trace& trace) {
    Scenario scenario;
    scenario.trace = &trace;
    return scenario;
}

std::uint64_t sum(const std::vector<std::uint64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

TEST_CASE("simulation: every request is served, shed or failed, under every strategy") {
    const auto trace = traffic(400);
    auto scenario = of(trace);
    scenario.backends = 3;
    scenario.max_connections = 20;
    scenario.happenings = {{Happening::Kind::restart, 30s, 1, 10s, 1}};
    for (const auto& contestant : contestants()) {
        INFO(contestant.name);
        const auto result = simulate(scenario, contestant);
        CHECK(result.requests == trace.size());
        CHECK(result.served.size() + result.shed + result.failed == trace.size());
        CHECK(sum(result.sent) == result.requests - result.shed + result.retries);
        CHECK(result.pick_times.size() >= result.requests + result.retries);
        CHECK(result.pick_times.size() <= result.requests + result.retries + result.failed);
    }
}

TEST_CASE("simulation: the same seed gives the same result, with chance in every part of it") {
    const auto trace = traffic(300);
    auto scenario = of(trace);
    scenario.gateways = 4;
    for (const std::string strategy : {"random", "response_time", "weighted_scorers"}) {
        const auto first = run(scenario, strategy);
        const auto second = run(scenario, strategy);
        REQUIRE(first.served.size() == second.served.size());
        for (std::size_t i = 0; i < first.served.size(); ++i) {
            REQUIRE(first.served[i].first_token == second.served[i].first_token);
            REQUIRE(first.served[i].backend == second.served[i].backend);
        }
        auto other = scenario;
        other.seed = 2;
        CHECK_FALSE(run(other, strategy).sent == first.sent);
    }
}

TEST_CASE("simulation: a request alone takes what the engine needs for it") {
    const auto trace = evenly(10, 10s, 4'096, 101);
    const auto figures = summary_of(run(of(trace), "round_robin"));
    CHECK(figures.mean == Approx(2 * 0.020 + 4'096 / 8'000.0));
    CHECK(figures.per_token == Approx(0.0203));
    CHECK(figures.hit_rate == 0);
    CHECK(figures.imbalance == Approx(8 * 2 / 10.0));
}

TEST_CASE(
    "simulation: a backend of half the speed takes twice as long for all it does, after a restart, too") {
    const auto trace = evenly(20, 10s, 4'096, 101);
    auto scenario = of(trace);
    scenario.backends = 1;
    scenario.speeds = {0.5, 0.25};
    scenario.happenings = {{Happening::Kind::restart, 95s, 0, {}, 1}};
    const auto slow = run(scenario, "round_robin");
    for (const auto& each : slow.served) {
        CHECK(each.first_token == Approx(2 * (2 * 0.020 + 4'096 / 8'000.0)));
        CHECK(each.per_token == Approx(2 * 0.0203));
    }
    // One that is added has the speed of its place in the list, or the engine's own.
    scenario.happenings = {{Happening::Kind::add, 0s, 0, {}, 1}, {Happening::Kind::add, 0s, 0, {}, 1}};
    for (const auto& each : run(scenario, "round_robin").served) {
        const double times = each.backend == 0 ? 2 : each.backend == 1 ? 4 : 1;
        CHECK(each.per_token == Approx(times * 0.0203));
    }
}

TEST_CASE("simulation: weights are told to the gateways") {
    const auto trace = evenly(20, 10s, 1'000, 10);
    auto scenario = of(trace);
    scenario.backends = 2;
    scenario.weights = {1, 3};
    // One request at a time: the heavier one has the least load for its weight whenever one comes.
    CHECK(run(scenario, "least_connections").sent == std::vector<std::uint64_t>{0, 20});
}

TEST_CASE("simulation: a faster trace is the same requests in less time") {
    const auto trace = evenly(9, 10s, 1'000, 10);
    auto scenario = of(trace);
    scenario.load = 2;
    const auto result = run(scenario, "round_robin");
    CHECK(result.served.back().arrived == Approx(40));
    CHECK(result.seconds < 41);
}

TEST_CASE("simulation: a queue that never ends grows as the work that cannot be done") {
    // One engine, a second of prefill twice a second: the n-th waits for n / 2 seconds.
    const auto trace = evenly(100, 500ms, 8'000, 1);
    auto scenario = of(trace);
    scenario.backends = 1;
    const auto result = run(scenario, "round_robin");
    const double busy = 100 * (1 + 8'000 / 2'048.0 * 0.02);
    CHECK(result.served.back().first_token == Approx(busy - 49.5).margin(0.1));
}

TEST_CASE("simulation: what a backend cannot take is shed, and counted so") {
    const auto trace = evenly(20, 1ms, 8'000, 100);
    auto scenario = of(trace);
    scenario.backends = 2;
    scenario.max_connections = 5;
    const auto result = run(scenario, "least_connections");
    CHECK(result.shed == 10);
    CHECK(result.served.size() == 10);
    CHECK(result.sent == std::vector<std::uint64_t>{5, 5});
}

TEST_CASE("simulation: a request longer than the engine's room fails, and is not tried elsewhere") {
    const auto trace = evenly(3, 1s, 8'000, 100);
    auto scenario = of(trace);
    scenario.engine.room = 5'000;
    const auto result = run(scenario, "round_robin");
    CHECK(result.failed == 3);
    CHECK(result.retries == 0);
}

TEST_CASE("simulation: a restart breaks what is under way, which is tried elsewhere, and forgets the cache") {
    // The same prompt each second, to one of two backends in turn.
    auto trace = evenly(20, 1s, 1'024, 20);
    for (auto& request : trace) request.ids = {1, 2};
    auto scenario = of(trace);
    scenario.backends = 2;
    scenario.happenings = {{Happening::Kind::restart, 10'050ms, 0, {}, 1}};
    const auto result = run(scenario, "round_robin");
    CHECK(result.served.size() == 20);
    CHECK(result.retries == 1);
    const auto cold = std::count_if(result.served.begin(), result.served.end(),
                                    [](const Served& one) { return one.cached_tokens == 0; });
    CHECK(cold == 3);  // the first of each, and the first one of the restarted
}

TEST_CASE("simulation: a backend that is away refuses, is ejected, and comes back") {
    const auto trace = evenly(400, 500ms, 1'000, 20);
    auto scenario = of(trace);
    scenario.backends = 4;
    scenario.happenings = {{Happening::Kind::restart, 50s, 2, 20s, 1}};
    const auto result = run(scenario, "least_connections");
    CHECK(result.served.size() == 400);
    CHECK(result.retries >= 3);
    CHECK(result.retries <= 10);
    const auto served_in = [&](double from, double to) {
        return std::count_if(result.served.begin(), result.served.end(), [&](const Served& one) {
            return one.backend == 2 && one.arrived >= from && one.arrived < to;
        });
    };
    CHECK(served_in(50, 70) == 0);
    CHECK(served_in(100, 200) > 20);
}

TEST_CASE("simulation: a backend that is added serves") {
    const auto trace = evenly(100, 1s, 1'000, 20);
    auto scenario = of(trace);
    scenario.backends = 2;
    scenario.gateways = 3;
    scenario.happenings = {{Happening::Kind::add, 50s, 0, {}, 1}};
    const auto result = run(scenario, "round_robin");
    REQUIRE(result.sent.size() == 3);
    CHECK(result.sent[2] > 10);
    CHECK(result.sent[2] < 24);
}

TEST_CASE("simulation: another system prompt makes all that is cached useless") {
    auto trace = evenly(20, 1s, 1'024, 20);
    for (auto& request : trace) request.ids = {1, 2};
    auto scenario = of(trace);
    scenario.backends = 1;
    scenario.happenings = {{Happening::Kind::prompt, 9'500ms, 0, {}, 1}};
    const auto result = run(scenario, "round_robin");
    for (std::size_t i = 0; i < 20; ++i) {
        CHECK((result.served[i].cached_tokens == 0) == (i == 0 || i == 10));
    }
}

TEST_CASE("simulation: gateways see their own requests only") {
    // Alone, least_connections never has two at one of four while another is free; four that do not see each
    // other have.
    const auto trace = evenly(400, 400ms, 6'000, 20);
    auto scenario = of(trace);
    scenario.backends = 4;
    const double together = summary_of(run(scenario, "least_connections")).p99;
    scenario.gateways = 4;
    const double apart = summary_of(run(scenario, "least_connections")).p99;
    CHECK(together == Approx(6'000 / 8'000.0 + 3 * 0.02).margin(0.05));
    CHECK(apart > 1.5 * together);
}

TEST_CASE("simulation: a gateway counts the tokens of its streams as they come, and no others'") {
    // One long answer, of which 1,400 tokens have come after half a minute, when short requests begin: ten of
    // them are under way at a time, with fewer tokens all together.
    auto trace = evenly(1, 0s, 100, 3'000);
    for (int i = 0; i < 100; ++i) trace.push_back({30s + std::chrono::milliseconds{100 * i}, 10, 40, {}, 0});
    auto scenario = of(trace);
    scenario.backends = 2;
    const auto sent_beside_it = [&](const char* strategy) {
        const auto result = run(scenario, strategy);
        const auto last =
            std::max_element(result.served.begin(), result.served.end(),
                             [](const auto& a, const auto& b) { return a.arrived > b.arrived; });
        return result.sent[last->backend] - 1;
    };
    CHECK(sent_beside_it("least_tokens") == 0);
    CHECK(sent_beside_it("least_connections") > 40);
    // Of two gateways the other one knows nothing of it: half of its requests, a quarter of all, go there.
    scenario.gateways = 2;
    const auto sent = sent_beside_it("least_tokens");
    CHECK(sent > 10);
    CHECK(sent < 40);
}

TEST_CASE("simulation: wrong estimates reach the strategy, not the engine") {
    const auto trace = traffic(200);
    auto scenario = of(trace);
    const auto right = run(scenario, "round_robin");
    scenario.estimate = 3;
    const auto wrong = run(scenario, "round_robin");
    CHECK(summary_of(wrong).mean == summary_of(right).mean);
    scenario.estimate = 1;
    const auto tokens = run(scenario, "least_tokens");
    scenario.happenings = {{Happening::Kind::estimates, 20s, 0, {}, 1e-6}};  // one token each
    CHECK_FALSE(run(scenario, "least_tokens").sent == tokens.sent);
}

TEST_CASE("result: quantiles are the nearest rank") {
    CHECK(quantile({}, 0.5) == 0);
    CHECK(quantile({3}, 0.99) == 3);
    std::vector<double> values(100);
    std::iota(values.rbegin(), values.rend(), 1);
    CHECK(quantile(values, 0.5) == 50);
    CHECK(quantile(values, 0.9) == 90);
    CHECK(quantile(values, 0.99) == 99);
    CHECK(quantile(values, 1) == 100);
}

TEST_CASE("result: intervals hold the requests that arrived in them") {
    Result result;
    result.sent = {2, 1};
    result.served = {{5, 1, 0, 100, 50, 0}, {59, 3, 0, 300, 150, 1}, {130, 2, 0, 100, 0, 0}};
    const auto timeline = timeline_of(result, 60);
    REQUIRE(timeline.size() == 3);
    CHECK(timeline[0].mean == Approx(2));
    CHECK(timeline[0].hit_rate == Approx(0.5));
    CHECK(timeline[0].served == std::vector<std::uint64_t>{1, 1});
    CHECK(timeline[1].served == std::vector<std::uint64_t>{0, 0});
    CHECK(timeline[2].begin == 120);
    CHECK(timeline[2].mean == Approx(2));
}

}  // namespace
