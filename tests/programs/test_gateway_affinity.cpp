// prefix_affinity on real sockets beside the simulator: the same traffic, the same engines, the same hits.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "mock_llm/mock_llm.hpp"
#include "programs/recorder.hpp"
#include "programs/world.hpp"
#include "simulator/contestants.hpp"
#include "simulator/generator.hpp"
#include "simulator/result.hpp"
#include "simulator/scenario.hpp"
#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using test::body_of;
using test::post;
using test::Recorder;
using test::World;

constexpr std::uint32_t block_tokens = 16;

/// A chat fleet in small: three seconds of traffic for three engines that keep up with it.
simulator::Trace chat_traffic() {
    simulator::Traffic traffic;
    traffic.requests = 300;
    traffic.rate = 100;
    traffic.common_tokens = 64;
    traffic.applications = 6;
    traffic.system_tokens = 200;
    traffic.turns = 4;
    traffic.opening_tokens = 300;
    traffic.question_tokens = 40;
    traffic.attachment_share = 0;
    traffic.answer_tokens = 8;
    traffic.think_seconds = 0.3;
    traffic.burst_seconds = 1;
    traffic.block_tokens = block_tokens;
    traffic.seed = 7;
    return simulator::generate(traffic);
}

inference::Profile fast_engine() {
    inference::Profile profile;
    profile.prefill_rate = 100'000;
    profile.step = 1ms;
    profile.step_per_decoding = 20us;
    profile.cache_blocks = 1'500;
    profile.block_tokens = block_tokens;
    return profile;
}

/// Text with as many tokens, whose blocks are equal where the trace's are.
std::string prompt_of(const simulator::Request& request, std::size_t index) {
    std::string text;
    for (const auto id : request.ids) {
        std::string block = "block " + std::to_string(id) + " ";
        block.resize(std::size_t{block_tokens} * 4, static_cast<char>('a' + id % 26));
        text += block;
    }
    text.resize(std::size_t{request.prompt_tokens} * 4 - 1, static_cast<char>('a' + index % 26));
    return text;
}

std::uint64_t counter(const std::string& metrics, const std::string& name) {
    const auto at = metrics.find("\n" + name + "{");
    REQUIRE(at != std::string::npos);
    return static_cast<std::uint64_t>(std::stod(metrics.substr(metrics.find("} ", at) + 2)));
}

/// Plays the trace through the gateway, each request at its time or when a client is free; returns the
/// engines' own count: the share of prompt tokens that they found in their caches.
double hit_rate_on_sockets(const simulator::Trace& trace, const std::string& strategy) {
    World world{2};
    world.settings.strategy = strategy;
    world.settings.options.load_monitor = true;
    world.settings.options.load_interval = 250ms;
    std::vector<mock_llm::MockLlm*> engines;
    for (const std::string name : {"a", "b", "c"}) {
        mock_llm::Options options;
        options.name = name;
        options.model = "m";
        options.speed.model = fast_engine();
        options.speed.max_batch = fast_engine().max_batch;
        options.speed.cache_blocks = fast_engine().cache_blocks;
        options.speed.block_tokens = block_tokens;
        engines.push_back(&world.backend(options));
    }
    world.start();
    REQUIRE(world.eventually([&] {
        const auto all = world.gateway().balancer().snapshot();
        return std::all_of(all.begin(), all.end(), [](const auto& each) { return each.load.cache_blocks; });
    }));

    const auto begin = std::chrono::steady_clock::now();
    std::atomic<std::size_t> next{0};
    std::atomic<int> bad{0};
    const auto play = [&] {
        auto client = world.connect();
        for (std::size_t i = 0; (i = next.fetch_add(1)) < trace.size();) {
            const auto& request = trace[i];
            const nlohmann::json body{
                {"model", "m"}, {"max_tokens", request.output_tokens}, {"prompt", prompt_of(request, i)}};
            std::this_thread::sleep_until(begin +
                                          request.at);  // the traffic's own pace, not a wait for something
            const auto answer = client.send(post("/v1/completions", body.dump())).read_response();
            if (test::status_of(answer) != 200) ++bad;
        }
    };
    std::vector<std::thread> clients;
    for (int i = 0; i < 32; ++i) clients.emplace_back(play);
    for (auto& client : clients) client.join();
    CHECK(bad == 0);

    double asked = 0;
    double hits = 0;
    for (const auto* engine : engines) {
        const auto metrics =
            "\n" + test::RawClient{engine->url()}.send(test::get("/metrics")).read_response();
        asked += static_cast<double>(counter(metrics, "vllm:prefix_cache_queries_total"));
        hits += static_cast<double>(counter(metrics, "vllm:prefix_cache_hits_total"));
    }
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    for (const auto& backend : world.gateway().balancer().snapshot()) CHECK(backend.tokens_in_flight == 0);
    return hits / asked;
}

double hit_rate_foretold(const simulator::Trace& trace, const std::string& strategy) {
    simulator::Scenario scenario;
    scenario.trace = &trace;
    scenario.backends = 3;
    scenario.engine = fast_engine();
    const auto* const contestant = simulator::find_contestant(strategy);
    REQUIRE(contestant != nullptr);
    return simulator::summary_of(simulator::simulate(scenario, *contestant)).hit_rate;
}

}  // namespace

TEST_CASE("the engines' own hit counters show what the simulator foretells", "[figures]") {
    const auto trace = chat_traffic();
    const double foretold = hit_rate_foretold(trace, "prefix_affinity");
    const double shown = hit_rate_on_sockets(trace, "prefix_affinity");
    const double random = hit_rate_on_sockets(trace, "random");
    WARN("prefix_affinity: " << 100 * foretold << " % foretold, " << 100 * shown
                             << " % on sockets; random on sockets: " << 100 * random << " %");
    CHECK(shown > foretold - 0.1);
    CHECK(shown < foretold + 0.1);
    CHECK(shown > random + 0.1);  // it is the affinity that does it
}

TEST_CASE("several gateways bring a new conversation to the same backend, each by itself") {
    Recorder a;
    Recorder b;
    Recorder c;
    const auto set_up = [&](World& world, std::uint64_t seed) {
        world.settings.strategy = "prefix_affinity";
        world.settings.options.gateways = 2;
        world.settings.options.seed = seed;
        world.backend_at("a", a.url());
        world.backend_at("b", b.url());
        world.backend_at("c", c.url());
        world.start();
    };
    World one;
    World other;
    set_up(one, 1);
    set_up(other, 2);
    const auto served_by = [](const World& world, const std::string& body) {
        const auto answer = world.ask(post(test::chat, body));
        const auto at = answer.find("X-Fairlead-Backend: ");
        return answer.substr(at + 20, 1);
    };
    std::string seen;
    for (int i = 0; i < 12; ++i) {
        const std::string body = R"({"model":"m","messages":[{"role":"user","content":")" +
                                 std::string(2000, static_cast<char>('a' + i)) + "\"}]}";
        const auto backend = served_by(one, body);
        CHECK(served_by(other, body) == backend);
        seen += backend;
    }
    // All on one by chance: 3^-11, and the hash does not change from run to run.
    CHECK(seen.find_first_not_of(seen.front()) != std::string::npos);
}
