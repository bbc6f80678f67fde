// Streams that break behind the gateway, on real sockets: the client sees one answer, or a broken one.
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "mock_llm/mock_llm.hpp"
#include "programs/chat_stream.hpp"
#include "programs/recorder.hpp"
#include "programs/world.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"

namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::body_of;
using test::chat;
using test::post;
using test::read_chat_stream;
using test::World;

/// 20 s of the engine that is to be killed, which is done when it has begun.
constexpr int many_tokens = 2'000;

json forty_tokens() {
    return {{"model", "m"},
            {"stream", true},
            {"stream_options", {{"include_usage", true}}},
            {"max_tokens", 40},
            {"messages", json::array({{{"role", "user"}, {"content", "Hello"}}})}};
}

bool ended_well(const std::string& answer) { return answer.ends_with("0\r\n\r\n"); }

std::string name_in(const std::string& head) {
    const auto at = head.find("X-Mock-Name: ") + 13;
    return head.substr(at, head.find('\r', at) - at);
}

double metric(World& world, const std::string& name) {
    const auto text = body_of(world.ask(test::get("/metrics")));
    const auto at = text.find("\n" + name + " ");
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + name.size() + 2));
}

/// Three engines, the first at a pace at which its streams can be met in their middle.
struct Fleet : World {
    Fleet() {
        settings.stream_continuation = true;
        settings.options.ejection = false;
        for (const std::string name : {"a", "b", "c"}) {
            mock_llm::Options options;
            options.name = name;
            options.model = "m";
            if (name == "a") options.speed.tokens_per_second = 100;
            engines.emplace_back(name, &backend(options));
            settings.backends.back().priority = name == "a" ? 0 : 1;
        }
    }

    mock_llm::MockLlm& engine(const std::string& name) {
        for (auto& [each, found] : engines) {
            if (each == name) return *found;
        }
        throw std::out_of_range{name};
    }

    std::vector<std::pair<std::string, mock_llm::MockLlm*>> engines{};
};

/// What a client gets of a stream when its engine is killed after some events.
std::string with_engine_killed(Fleet& fleet, json request) {
    request["max_tokens"] = many_tokens;
    auto client = fleet.connect();
    client.send(post(chat, request.dump(), "Connection: close\r\n"));
    auto got = client.read_until("\r\n\r\n");
    for (int i = 0; i < 5; ++i) got += client.read_until("\n\n");
    CHECK(name_in(got) == "a");
    fleet.engine("a").stop();
    return got + client.read_all();
}

std::string head_of_stream(std::string_view more = "") {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + std::string{more} + "\r\n";
}

std::string first_event(std::string_view text) {
    return R"(data: {"id":"first","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":")" +
           std::string{text} + "\"}}]}\n\n";
}

/// An engine whose stream ends after one event.
void breaks_after_the(test::RawPeer::Connection& c) {
    c.read_request();
    c.send(head_of_stream() + first_event("The "));
}

}  // namespace

TEST_CASE("a client whose engine is killed in mid-stream gets the whole text exactly once, from another") {
    Fleet fleet;
    fleet.start();
    auto request = forty_tokens();
    request["max_tokens"] = many_tokens;
    const auto unbroken =
        test::RawClient{fleet.engine("b").url()}.send(post(chat, request.dump())).read_response();
    REQUIRE(ended_well(unbroken));
    const auto got = with_engine_killed(fleet, forty_tokens());
    CHECK(ended_well(got));
    CHECK(read_chat_stream(body_of(got)) == read_chat_stream(body_of(unbroken)));
    CHECK(metric(fleet, "fairlead_stream_continuations_total") == 1);
    CHECK(metric(fleet, "fairlead_stream_continuations_joined_total") == 1);
    CHECK(fleet.eventually([&] { return fleet.in_flight() == 0; }));
    const auto totals = fleet.gateway().balancer().totals();
    CHECK(totals.failed == 1);  // the engine that was killed
    CHECK(totals.succeeded == 1);
    CHECK(totals.retries == 1);
    for (const auto& each : fleet.gateway().balancer().snapshot()) {
        CHECK(each.tokens_in_flight == 0);
        CHECK(each.decoding == 0);
    }
}

TEST_CASE("a stream that cannot or may not be continued breaks as before") {
    Fleet fleet;
    auto request = forty_tokens();
    switch (GENERATE(0, 1, 2, 3, 4)) {
        case 0:
            fleet.settings.stream_continuation = false;
            break;
        case 1:
            request["tools"] = json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}});
            break;
        case 2:
            fleet.settings.options.max_retries = 0;
            break;
        case 3:
            fleet.settings.options.retry_on.connect_error = false;
            break;
        default:
            fleet.settings.options.retry_budget_ratio = 0;
            fleet.settings.options.retry_budget_min = 0;
    }
    fleet.start();
    const auto got = with_engine_killed(fleet, request);
    CHECK_FALSE(ended_well(got));
    CHECK(read_chat_stream(body_of(got)).done == 0);
    CHECK(fleet.gateway().balancer().totals().failed == 1);
    CHECK(metric(fleet, "fairlead_stream_continuations_total") == 0);
}

TEST_CASE("every engine in turn may break, as often as further tries are allowed") {
    Fleet fleet;
    fleet.settings.options.max_retries = GENERATE(1U, 2U);
    for (auto& [name, engine] : fleet.engines) engine->set_failure(mock_llm::Failure::cut);
    fleet.start();
    const auto got = fleet.connect().send(post(chat, forty_tokens().dump())).read_all();
    CHECK_FALSE(ended_well(got));
    const auto retries = fleet.gateway().balancer().max_retries();
    CHECK(fleet.gateway().balancer().totals().retries == retries);
    CHECK(fleet.gateway().balancer().totals().failed == retries + 1);
    // Of 40 tokens the first says 21, of the 19 left the second 10, of the nine left the third 5.
    std::string words;
    for (int i = 0; i < 3; ++i)
        words += "The quick tide carries every rope through its own fairlead and none of them is tangled. ";
    std::size_t end = 0;
    for (int i = 0; i < (retries == 1 ? 31 : 36); ++i) end = words.find(' ', end) + 1;
    CHECK(read_chat_stream(body_of(got)).text == words.substr(0, end));
}

TEST_CASE(
    "a stalled stream, and one that ends without its marker, go on elsewhere; half an event is not seen") {
    const bool stalls = GENERATE(false, true);
    test::RawPeer first{[stalls](test::RawPeer::Connection& c) {
        c.read_request();
        c.send(head_of_stream() + first_event("The ") + first_event("quick ") +
               "data: {\"choices\":[{\"index\":0,\"del");
        if (stalls) c.wait_for_close();
    }};
    World world;
    world.settings.stream_continuation = true;
    world.backend_at("first", first.url()).idle_timeout = 20ms;
    world.backend("second");
    world.settings.backends.back().priority = 1;
    world.start();
    auto request = forty_tokens();
    request["max_tokens"] = 4;
    const auto got = world.ask(post(chat, request.dump()));
    CHECK(ended_well(got));
    const auto stream = read_chat_stream(body_of(got));
    CHECK(stream.text == "The quick tide carries ");
    CHECK(stream.roles == 2);  // both are the first engine's own: nothing of what has passed is changed
    CHECK(stream.done == 1);
    CHECK(stream.identities == std::set<std::string>{"first 7 m"});
    CHECK(stream.finish == std::vector<std::string>{"length"});
    CHECK(stream.usage->at("completion_tokens") == 4);
    for (const auto& each : world.gateway().balancer().snapshot())
        CHECK(each.failed == (each.config.name == "first" ? 1 : 0));
}

TEST_CASE("behind the end marker nothing is asked for and nothing follows, however the connection ends") {
    const bool finishes = GENERATE(true, false);
    test::RawPeer first{[finishes](test::RawPeer::Connection& c) {
        c.read_request();
        const std::string finish = R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";
        const auto end = (finishes ? finish + "\n\n" : "") + "data: [DONE]\n\n";
        const auto text = first_event("The ") + end;
        c.send(head_of_stream("Content-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"));
        char size[20];
        std::snprintf(size, sizeof size, "%zx\r\n", text.size());
        c.send(size + text + "\r\n");  // and no last chunk
    }};
    World world;
    world.settings.stream_continuation = true;
    world.backend_at("first", first.url());
    world.backend("second");
    world.settings.backends.back().priority = 1;
    world.start();
    const auto got = world.ask(post(chat, forty_tokens().dump()));
    CHECK(ended_well(got));
    const auto stream = read_chat_stream(body_of(got));
    CHECK(stream.text == "The ");
    CHECK(stream.done == 1);
    CHECK(metric(world, "fairlead_stream_continuations_total") == 0);
    CHECK(world.gateway().balancer().snapshot().front().failed == 1);
}

TEST_CASE("a rest that ends with a marker without a blank line ends as the client knows it") {
    test::RawPeer first{breaks_after_the};
    test::RawPeer second{[](test::RawPeer::Connection& c) {
        c.read_request();
        const auto text = first_event("quick ") + "data: [DONE]\n";
        c.send(head_of_stream("Content-Length: " + std::to_string(text.size()) + "\r\n") + text);
    }};
    World world;
    world.settings.stream_continuation = true;
    world.backend_at("first", first.url());
    world.backend_at("second", second.url()).priority = 1;
    world.start();
    const auto got = world.ask(post(chat, forty_tokens().dump()));
    CHECK(ended_well(got));
    const auto stream = read_chat_stream(body_of(got));
    CHECK(stream.text == "The quick ");
    CHECK(stream.done == 1);
}

TEST_CASE("a refusal of the rest counts against the backend that refused") {
    test::RawPeer first{breaks_after_the};
    test::Recorder second{"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"};
    World world;
    world.settings.stream_continuation = true;
    world.settings.options.max_retries = 1;
    world.backend_at("first", first.url());
    world.backend_at("second", second.url()).priority = 1;
    world.start();
    CHECK_FALSE(ended_well(world.connect().send(post(chat, forty_tokens().dump())).read_all()));
    REQUIRE(world.eventually([&] { return world.in_flight() == 0; }));
    for (const auto& each : world.gateway().balancer().snapshot()) CHECK(each.failed == 1);
}

TEST_CASE("the head of a stream does not wait for its first whole event") {
    test::RawPeer engine{[](test::RawPeer::Connection& c) {
        c.read_request();
        c.send(head_of_stream() + ": working\n");
        c.wait_for_close();
    }};
    World world;
    world.settings.stream_continuation = true;
    world.backend_at("engine", engine.url());
    world.start();
    auto client = world.connect();
    CHECK(test::status_of(client.send(post(chat, forty_tokens().dump())).read_until("\r\n\r\n")) == 200);
    client.close();
}

TEST_CASE("another engine that has no stream to give leaves the client with a broken one") {
    test::RawPeer first{breaks_after_the};
    test::Recorder second{"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"};
    World world;
    world.settings.stream_continuation = true;
    world.backend_at("first", first.url());
    world.backend_at("second", second.url()).priority = 1;
    world.start();
    const auto got = world.connect().send(post(chat, forty_tokens().dump())).read_all();
    CHECK_FALSE(ended_well(got));
    CHECK(read_chat_stream(body_of(got)).text == "The ");
    const auto asked = json::parse(body_of(second.last()));
    CHECK(asked["messages"].back() == json{{"role", "assistant"}, {"content", "The "}});
    CHECK(asked["continue_final_message"] == true);
    CHECK(asked["max_tokens"] == 39);
    CHECK(metric(world, "fairlead_stream_continuations_total") == 1);
    CHECK(metric(world, "fairlead_stream_continuations_joined_total") == 0);
}

TEST_CASE(
    "a stream that promised its length is not continued, nor one that ended but for its marker asked on") {
    const std::string text = first_event("The ");
    const bool sized = GENERATE(false, true);
    test::RawPeer first{[&](test::RawPeer::Connection& c) {
        c.read_request();
        if (sized) {
            c.send(head_of_stream("Content-Length: 1000\r\n") + text);
        } else {
            c.send(
                head_of_stream() + text +
                "data: "
                "{\"id\":\"first\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
        }
    }};
    World world;
    world.settings.stream_continuation = true;
    world.backend_at("first", first.url());
    auto& second = world.backend("second");
    world.settings.backends.back().priority = 1;
    world.start();
    auto request = forty_tokens();
    request.erase("stream_options");
    const auto got = world.connect().send(post(chat, request.dump(), "Connection: close\r\n")).read_all();
    CHECK(second.requests() == 0);
    CHECK(got.find(text) != std::string::npos);
    CHECK(got.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n") == !sized);
}

TEST_CASE("a client that leaves while the rest is asked for ends that, too") {
    test::RawPeer first{breaks_after_the};
    World world;
    world.settings.stream_continuation = true;
    world.backend_at("first", first.url());
    auto& second = world.backend("second");
    world.settings.backends.back().priority = 1;
    second.set_failure(mock_llm::Failure::hang);
    world.start();
    auto client = world.connect();
    client.send(post(chat, forty_tokens().dump()));
    client.read_until("The ");
    REQUIRE(world.eventually([&] { return second.requests() == 1; }));
    client.close();
    CHECK(world.eventually([&] { return second.counters().cancelled == 1 && world.in_flight() == 0; }));
}
