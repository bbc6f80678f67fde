// The gateway before stand-in backends: what passes, what is refused, who is cancelled.
#include <algorithm>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "programs/world.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using test::body_of;
using test::chat;
using test::get;
using test::hello;
using test::hello_stream;
using test::post;
using test::status_of;
using test::World;

namespace {

std::string code_of(const std::string& response) {
    const auto json = nlohmann::json::parse(body_of(response), nullptr, false);
    return json.is_object() && json["error"]["code"].is_string() ? json["error"]["code"].get<std::string>()
                                                                 : "";
}

/// What the backend itself answers, to compare with what came through.
std::string direct(const mock_llm::MockLlm& backend, const std::string& request) {
    return body_of(test::RawClient{backend.url()}.send(request).read_response());
}

}  // namespace

TEST_CASE("plain and streamed answers come through byte for byte, and say who gave them") {
    World world;
    const auto& backend = world.backend("a b");
    world.start();
    const auto plain = world.ask(post(chat, hello));
    CHECK(status_of(plain) == 200);
    CHECK(body_of(plain) == direct(backend, post(chat, hello)));
    CHECK(plain.find("X-Fairlead-Backend: a%20b\r\n") != std::string::npos);
    CHECK(plain.find("Content-Length: ") != std::string::npos);

    const auto stream = world.ask(post(chat, hello_stream));
    CHECK(body_of(stream) == direct(backend, post(chat, hello_stream)));
    CHECK(stream.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
    CHECK(body_of(stream).ends_with("data: [DONE]\n\n"));
    CHECK(body_of(stream).find("\"total_tokens\"") != std::string::npos);

    CHECK(body_of(world.ask(get("/v1/models"))) == direct(backend, get("/v1/models")));
}

TEST_CASE("a stream's events are passed on as they come, not when it ends") {
    World world;
    mock_llm::Options options;
    options.name = "slow";
    options.model = "m";
    options.speed.tokens_per_second = 0.001;  // the second token would come after a quarter of an hour
    world.backend(options);
    world.start();
    auto client = world.connect();
    client.send(post(chat, hello_stream));
    CHECK(client.read_until("\n\n").find("200") != std::string::npos);
}

TEST_CASE("the model is rewritten to the chosen backend's own") {
    World world;
    world.backend("a", "model-a");
    world.backend("b", "model-b");
    world.settings.model_aliases = {{"gpt-4", "model-b"}};
    world.start();
    const auto with_model = [](const std::string& name) {
        return post(chat, R"({"messages":[],"model":")" + name + "\"}");
    };
    CHECK(world.ask(with_model("model-a")).find("X-Fairlead-Backend: a\r\n") != std::string::npos);
    // The stand-in refuses any name but its own: an alias that arrives has been rewritten.
    const auto aliased = world.ask(with_model("gpt-4"));
    CHECK(status_of(aliased) == 200);
    CHECK(aliased.find("X-Fairlead-Backend: b\r\n") != std::string::npos);

    const auto unknown = world.ask(with_model("model-c"));
    CHECK(status_of(unknown) == 404);
    CHECK(code_of(unknown) == "model_not_found");
    CHECK(status_of(world.ask(post(chat, R"({"messages":[]})"))) == 400);
    CHECK(status_of(world.ask(post(chat, "{"))) == 400);
    CHECK(status_of(world.ask(get("/v1/models"))) == 200);
}

TEST_CASE("where one model is served, any name and none will do") {
    World world;
    world.backend("a");
    world.backend("b");
    world.start();
    for (const auto* body : {R"({"messages":[],"model":"anything"})", R"({"messages":[]})", hello.c_str()}) {
        CHECK(status_of(world.ask(post(chat, body))) == 200);
    }
    // As curl sends it when it is not told what the text is.
    const std::string body = R"({"messages":[]})";
    CHECK(status_of(world.ask("POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Type: "
                              "application/x-www-form-urlencoded\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body)) == 200);
}

TEST_CASE("requests sent ahead are answered in order on one connection") {
    World world;
    world.backend("a");
    world.start();
    auto client = world.connect();
    client.send(get("/health") + post(chat, hello_stream) + get("/v1/models") + post(chat, hello));
    CHECK(body_of(client.read_response()) == R"({"status":"ok"})");
    CHECK(body_of(client.read_response()).ends_with("[DONE]\n\n"));
    CHECK(body_of(client.read_response()).find("\"list\"") != std::string::npos);
    CHECK(body_of(client.read_response()).find("\"chat.completion\"") != std::string::npos);
}

TEST_CASE("HEAD has no body and leaves the connection usable; Expect is met; HTTP/1.0 is served") {
    World world;
    world.backend("a");
    world.start();
    auto client = world.connect();
    client.send("HEAD /v1/models HTTP/1.1\r\nHost: test\r\n\r\n" + get("/health"));
    CHECK(status_of(client.read_response(false)) == 200);
    CHECK(body_of(client.read_response()) == R"({"status":"ok"})");

    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: " +
        std::to_string(hello.size()) + "\r\n\r\n");
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(status_of(client.send(hello).read_response()) == 200);

    const auto old = world.connect()
                         .send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " +
                               std::to_string(hello_stream.size()) + "\r\n\r\n" + hello_stream)
                         .read_all();
    CHECK(old.find("chunked") == std::string::npos);
    CHECK(old.ends_with("data: [DONE]\n\n"));
}

TEST_CASE("a client that leaves cancels the backend's work, streaming or not") {
    World world;
    mock_llm::Options options;
    options.name = "endless";
    options.model = "m";
    options.speed.tokens_per_second = 1e-6;
    auto& backend = world.backend(options);
    world.start();
    SECTION("before there is an answer") {
        auto client = world.connect();
        client.send(post(chat, hello));
        REQUIRE(world.eventually([&] { return backend.requests() == 1; }));
        client.close();
    }
    SECTION("in the middle of a stream") {
        auto client = world.connect();
        client.send(post(chat, hello_stream)).read_until("\n\n");
        client.close();
    }
    CHECK(world.eventually([&] { return backend.counters().cancelled == 1; }));
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    CHECK(world.gateway().balancer().snapshot().front().failed == 0);
}

TEST_CASE("a failing backend's requests are answered by another") {
    using mock_llm::Failure;
    for (const auto failure :
         {Failure::refuse, Failure::server_error, Failure::rate_limited, Failure::garbage}) {
        World world;
        auto& bad = world.backend("bad");
        world.backend("good");
        world.settings.options.ejection = false;
        bad.set_failure(failure);
        world.start();
        for (int i = 0; i < 8; ++i) {
            const auto response = world.ask(post(chat, hello));
            CHECK(status_of(response) == 200);
            CHECK(response.find("X-Fairlead-Backend: good") != std::string::npos);
        }
        CHECK(bad.counters().failed > 0);
    }
}

TEST_CASE("when every backend fails the last answer is passed on, or the failure is named") {
    using mock_llm::Failure;
    World world;
    auto& only = world.backend("only");
    world.settings.options.ejection = false;
    world.settings.options.rest_default = 0s;
    world.start();
    only.set_failure(Failure::server_error);
    const auto passed_on = world.ask(post(chat, hello));
    CHECK(status_of(passed_on) == 500);
    CHECK(code_of(passed_on) == "internal_error");
    only.set_failure(Failure::garbage);
    CHECK(status_of(world.ask(post(chat, hello))) == 502);
    only.stop();
    const auto gone = world.ask(post(chat, hello));
    CHECK(status_of(gone) == 502);
    CHECK(code_of(gone) == "bad_gateway");
}

TEST_CASE("a backend that does not answer in time is 504") {
    World world;
    auto& only = world.backend("only");
    world.settings.options.max_retries = 0;
    world.settings.backends.front().timeout = 50ms;
    only.set_failure(mock_llm::Failure::hang);
    world.start();
    const auto response = world.ask(post(chat, hello));
    CHECK(status_of(response) == 504);
    CHECK(code_of(response) == "timeout");
}

TEST_CASE("nobody to ask is 503 with a time to come back") {
    World world;
    world.backend("only");
    world.start();
    REQUIRE_FALSE(world.gateway().balancer().disable("only"));
    const auto response = world.ask(post(chat, hello));
    CHECK(status_of(response) == 503);
    CHECK(response.find("Retry-After: 1\r\n") != std::string::npos);
}

TEST_CASE("a stream that breaks is seen to be broken by the client") {
    World world;
    auto& only = world.backend("only");
    world.settings.options.ejection = false;
    only.set_failure(mock_llm::Failure::cut);
    world.start();
    const auto stream = world.connect().send(post(chat, hello_stream)).read_all();
    CHECK(status_of(stream) == 200);
    CHECK(stream.find("data: ") != std::string::npos);
    CHECK_FALSE(stream.ends_with("0\r\n\r\n"));
    const auto plain = world.connect().send(post(chat, hello)).read_all();
    const auto declared = std::stoul(plain.substr(plain.find("Content-Length: ") + 16));
    CHECK(body_of(plain).size() < declared);
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    CHECK(world.gateway().balancer().snapshot().front().failed >= 1);
}

TEST_CASE("an HTTP/1.0 client sees a broken stream by the reset, a whole one by the orderly end") {
    World world;
    auto& only = world.backend("only");
    world.settings.options.ejection = false;
    world.start();
    const std::string request =
        "POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " + std::to_string(hello_stream.size()) +
        "\r\n\r\n" + hello_stream;
    auto served = world.connect();
    CHECK(served.send(request).read_all().ends_with("data: [DONE]\n\n"));
    CHECK_FALSE(served.was_reset());
    only.set_failure(mock_llm::Failure::cut);
    auto cut_off = world.connect();
    const auto part = cut_off.send(request).read_all();
    CHECK(status_of(part) == 200);
    CHECK_FALSE(part.ends_with("data: [DONE]\n\n"));
    CHECK(cut_off.was_reset());
}

TEST_CASE("the affinity header's value keeps a user on one backend") {
    World world;
    for (const auto* name : {"a", "b", "c"}) world.backend(name);
    world.settings.strategy = "consistent_hash";
    world.settings.affinity_header = "X-User";
    world.start();
    const auto served_by = [&](const std::string& user) {
        const auto response = world.ask(post(chat, hello, "X-User: " + user + "\r\n"));
        const auto at = response.find("X-Fairlead-Backend: ");
        return response.substr(at + 20, 1);
    };
    std::string all;
    for (int user = 0; user < 20; ++user) {
        const auto first = served_by(std::to_string(user));
        CHECK(served_by(std::to_string(user)) == first);
        all += first;
    }
    // 20 users on one of three backends alone: 3^-19, and the hash does not change from run to run.
    CHECK(std::any_of(all.begin(), all.end(), [&](char c) { return c != all.front(); }));
}

TEST_CASE("a busy loop writes answers together: each comes whole, in its turn, and leavers spoil nothing") {
    constexpr int ahead = 20;
    World world;
    for (const auto* name : {"a", "b"}) world.backend(name);
    world.start();
    for (int round = 0; round < 3; ++round) {
        std::vector<test::RawClient> clients;
        for (int client = 0; client < 16; ++client) {
            std::string requests;
            for (int i = 0; i < ahead; ++i) {
                requests +=
                    post(chat, R"({"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":)" +
                                   std::to_string(i + 1) + "}");
            }
            clients.push_back(world.connect());
            clients.back().send(requests);
        }
        for (std::size_t client = 0; client < clients.size(); ++client) {
            if (client % 4 == 3) {
                clients[client].close();
                continue;
            }
            for (int i = 0; i < ahead; ++i) {
                const auto answer = nlohmann::json::parse(body_of(clients[client].read_response()));
                CHECK(answer["usage"]["completion_tokens"] == i + 1);
            }
        }
        CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    }
}

TEST_CASE("a backend killed under load fails no request") {
    for (const unsigned threads : {1U, 2U}) {
        World world{threads};
        world.backend("a");
        auto& victim = world.backend("b");
        world.backend("c");
        world.start();
        std::atomic<int> answered{0};
        std::atomic<int> failed{0};
        std::vector<std::thread> clients;
        constexpr int each = 60;
        for (int i = 0; i < 8; ++i) {
            clients.emplace_back([&] {
                auto client = world.connect();
                for (int k = 0; k < each; ++k) {
                    const auto response = client.send(post(chat, hello)).read_response();
                    (status_of(response) == 200 ? answered : failed).fetch_add(1, std::memory_order_relaxed);
                }
            });
        }
        CHECK(world.eventually([&] { return victim.requests() >= 20; }));
        victim.stop();
        for (auto& client : clients) client.join();
        CHECK(failed.load(std::memory_order_relaxed) == 0);
        CHECK(answered.load(std::memory_order_relaxed) == 8 * each);
        // The last answers are out a moment before they are reported.
        CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    }
}

TEST_CASE("told to stop, the gateway lets a stream end and takes no new connection") {
    std::promise<void> drained;  // before the world, whose loop keeps it
    World world;
    mock_llm::Options options;
    options.name = "a";
    options.model = "m";
    options.speed.first_token = 100ms;
    world.backend(options);
    auto& gateway = world.start();
    auto idle = world.connect();
    idle.send(get("/health")).read_response();
    auto client = world.connect();
    client.send(post(chat, hello_stream));
    REQUIRE(world.eventually([&] { return world.in_flight() == 1; }));

    gateway.stop([&] { drained.set_value(); });
    CHECK(idle.read_all().empty());
    CHECK(client.read_all().ends_with("0\r\n\r\n"));
    CHECK_THROWS(world.connect());
    client.close();
    drained.get_future().wait();
}
