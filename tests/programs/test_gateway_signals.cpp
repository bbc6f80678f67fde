// The engines' own load through the gateway, over real sockets: who tells it, who does not, who leaves.
#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "mock_llm/mock_llm.hpp"
#include "programs/world.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"

namespace {

using namespace std::chrono_literals;
using fairlead::test::RawPeer;
using test::body_of;
using test::chat;
using test::hello;
using test::hello_stream;
using test::post;
using test::World;

mock_llm::Options engine(const std::string& name, bool metrics = true) {
    mock_llm::Options options;
    options.name = name;
    options.model = "m";
    options.metrics = metrics;
    options.speed.cache_blocks = 100;
    return options;
}

fairlead::LoadFigures load_of(World& world, const std::string& name) {
    for (auto& backend : world.gateway().balancer().snapshot()) {
        if (backend.config.name == name) return backend.load;
    }
    return {};
}

}  // namespace

TEST_CASE("an engine behind a proxy without metrics is balanced as the others are") {
    World world;
    world.settings.strategy = GENERATE("least_tokens", "prefix_affinity");
    world.settings.options.load_monitor = true;
    world.settings.options.load_interval = 250ms;
    world.backend(engine("open"));
    auto sglang = engine("sglang");
    sglang.sglang = true;
    world.backend(sglang);
    auto& closed = world.backend(engine("closed", false));
    world.start();
    REQUIRE(world.eventually(
        [&] { return load_of(world, "open").running && load_of(world, "sglang").waiting_tokens; }));
    CHECK(load_of(world, "open").cache_blocks == 100U);
    CHECK(load_of(world, "open").running->value == 0);
    CHECK_FALSE(load_of(world, "closed").running);

    std::map<std::string, int> served;
    auto client = world.connect();
    for (int i = 0; i < 90; ++i) {
        const auto body = R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"number )" +
                          std::to_string(i) + "\"}]}";
        const auto response = client.send(post(chat, body)).read_response();
        const auto at = response.find("X-Mock-Name: ") + 13;
        ++served[response.substr(at, response.find('\r', at) - at)];
    }
    // Idle backends are drawn from at random: of 90, 30 each with a standard deviation of 4.5; four of them.
    for (const std::string name : {"open", "sglang", "closed"}) {
        INFO(name);
        CHECK((served[name] >= 12 && served[name] <= 48));
    }
    CHECK(closed.counters().finished == static_cast<std::uint64_t>(served["closed"]));
    CHECK(world.gateway().load().standing("closed")->problem == "HTTP status 404");

    // An engine that was asked while it served has told of one.
    std::string metrics;
    CHECK(world.eventually([&] {
        metrics = body_of(world.ask(test::get("/metrics")));
        return metrics.find("fairlead_engine_requests_running{backend=\"open\"} 0\n") != std::string::npos;
    }));
    CHECK(metrics.find("fairlead_engine_requests_running{backend=\"closed\"}") == std::string::npos);
}

TEST_CASE("a request's tokens are a quarter of its bytes until its answer begins, then its events") {
    const std::string path = GENERATE("/v1/chat/completions", "/v1/responses");
    std::promise<void> begin;
    RawPeer peer{[answer = begin.get_future().share()](RawPeer::Connection& connection) {
        if (connection.read_request().empty()) return;
        answer.wait();
        std::string events;
        for (int i = 0; i < 5; ++i) events += "data: {}\n\n";
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + events);
        connection.wait_for_close();
    }};
    World world;
    world.settings.strategy = "least_tokens";
    world.backend_at("a", peer.url());
    world.start();
    const auto figures = [&] { return world.gateway().balancer().snapshot().front(); };
    auto client = world.connect();
    client.send(post(path, hello));
    CHECK(world.eventually([&] { return figures().waiting_tokens == hello.size() / 4; }));
    begin.set_value();
    CHECK(world.eventually([&] { return figures().waiting_tokens == 0 && figures().tokens_in_flight == 5; }));
    client.close();
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
}

TEST_CASE("an answer's header tells the load, when it is asked for, and the client sees none of it") {
    World world;
    world.settings.options.load_headers = true;
    world.backend(engine("a"));
    world.start();
    const auto answer = world.ask(post(chat, hello));
    CHECK(test::status_of(answer) == 200);
    CHECK(answer.find("endpoint-load-metrics") == std::string::npos);
    REQUIRE(load_of(world, "a").waiting);
    CHECK(load_of(world, "a").waiting->value == 0);
    // Who asks by himself gets what he asked for.
    auto own = post(chat, hello);
    own.insert(own.find("\r\n") + 2, "endpoint-load-metrics-format: JSON\r\n");
    CHECK(world.ask(own).find("endpoint-load-metrics: JSON {") != std::string::npos);
}

TEST_CASE("prompts are cut into blocks as the engines' caches cut them, unless the settings say how long") {
    World world;
    world.settings.strategy = "prefix_affinity";
    world.settings.options.load_monitor = true;
    world.settings.options.load_interval = 250ms;
    const std::uint32_t set = GENERATE(0U, 16U, 32U);
    world.settings.options.prefix_block_tokens = set;
    auto longer = engine("long");
    longer.speed.block_tokens = 128;
    world.backend(longer);
    auto shorter = engine("short");
    shorter.speed.block_tokens = 64;
    world.backend(shorter);
    auto tiny = engine("proxied", false);
    tiny.speed.block_tokens = 1;
    world.backend(tiny);
    world.start();
    REQUIRE(world.eventually([&] {
        return load_of(world, "long").block_tokens == 128U && load_of(world, "short").block_tokens == 64U;
    }));
    CHECK(test::status_of(world.ask(post(chat, hello))) == 200);
    CHECK(world.gateway().balancer().options().prefix_block_tokens == (set == 0U ? 64U : set));

    // What is said later counts from then on, also where it is what would be usual.
    auto after = world.settings;
    after.options.prefix_block_tokens = 16;
    CHECK(world.gateway().reload(world.settings, after).applied);
    CHECK(test::status_of(world.ask(post(chat, hello))) == 200);
    CHECK(world.gateway().balancer().options().prefix_block_tokens == 16U);
}

TEST_CASE("when a client leaves its engine is free again at once, and every account is 0", "[figures]") {
    World world;
    auto options = engine("endless");
    options.speed.tokens_per_second = 1e-6;
    auto& backend = world.backend(options);
    world.start();
    const bool streams = GENERATE(false, true);
    // Many, since one would tell of the machine's mood: a middle one and the latest are shown.
    constexpr std::size_t leavers = 50;
    std::vector<double> milliseconds;
    for (std::size_t i = 1; i <= leavers; ++i) {
        auto client = world.connect();
        client.send(post(chat, streams ? hello_stream : hello));
        if (streams) client.read_until("\n\n");
        REQUIRE(world.eventually([&] { return backend.requests() == i && world.in_flight() == 1; }));
        CHECK(world.eventually(
            [&] { return world.gateway().balancer().snapshot().front().tokens_in_flight > 0; }));
        const auto left = std::chrono::steady_clock::now();
        client.close();
        REQUIRE(world.eventually([&] { return backend.counters().cancelled == i; }));
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - left;
        milliseconds.push_back(took.count());
        CHECK(world.eventually([&] { return world.in_flight() == 0; }));
        const auto figures = world.gateway().balancer().snapshot().front();
        CHECK(figures.tokens_in_flight == 0);
        CHECK(figures.waiting_tokens == 0);
        CHECK(figures.decoding == 0);
        CHECK(figures.failed == 0);
        CHECK(figures.outcomes[fairlead::Outcome::cancelled] == i);
    }
    std::sort(milliseconds.begin(), milliseconds.end());
    WARN("the engine saw its connection close " << milliseconds[leavers / 2] << " ms after the client left "
                                                << (streams ? "in mid-stream" : "before the first byte")
                                                << " (median of " << leavers
                                                << "; the latest: " << milliseconds.back() << " ms)");
}

TEST_CASE("a gateway sees in the engines' own figures what another gateway has brought") {
    World first;
    first.settings.strategy = "round_robin";
    auto slow = engine("busy");
    slow.speed.tokens_per_second = 1e-6;  // what comes here stays
    auto& busy = first.backend(slow);
    const auto only = first.settings.backends;
    first.backend(engine("idle"));
    first.backend(engine("idle too"));

    World second;
    const bool listens = GENERATE(true, false);
    second.settings.strategy = "prefix_affinity";
    second.settings.options.load_monitor = listens;
    second.settings.options.load_interval = 250ms;
    second.settings.options.gateways = 2;
    second.settings.backends = first.settings.backends;
    first.settings.backends = only;
    first.start();
    second.start();

    std::vector<test::RawClient> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(first.connect());
        clients.back().send(post(chat, hello_stream)).read_until("\n\n");
    }
    REQUIRE(busy.requests() == 4);
    // As fresh as a busy machine allows: a figure of three intervals ago counts no more.
    const auto knows = [&] {
        const auto running = load_of(second, "busy").running;
        return running && running->value == 4 && running->age < 250ms;
    };
    // To its own account all three are alike: of 12 requests four go there, give or take.
    auto client = second.connect();
    for (int i = 0; i < 12; ++i) {
        if (listens) REQUIRE(second.eventually(knows));
        CHECK(second.in_flight() == 0);  // none of those there is its own
        const auto body = R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"number )" +
                          std::to_string(i) + "\"}]}";
        CHECK(test::status_of(client.send(post(chat, body)).read_response()) == 200);
        REQUIRE(second.eventually([&] { return second.in_flight() == 0; }));
    }
    CHECK((busy.requests() == 4) == listens);
}
