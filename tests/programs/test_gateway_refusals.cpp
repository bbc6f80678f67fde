// What the gateway refuses by itself: ambiguous, too large, not its business. The backends never hear of it.
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "programs/world.hpp"
#include "support/catch.hpp"

using test::body_of;
using test::chat;
using test::get;
using test::hello;
using test::post;
using test::status_of;
using test::World;

TEST_CASE("what is not under /v1/ is not relayed") {
    World world;
    const auto& backend = world.backend("a");
    world.start();
    for (const auto* target : {"/metricsx", "/v2/models", "/v1", "*"}) {
        INFO(target);
        CHECK(status_of(world.ask(get(target))) >= 400);
    }
    CHECK(status_of(world.ask(get("/v1/../metrics"))) == 400);
    CHECK(status_of(world.ask(get("/v1/%2e%2e/metrics"))) == 400);
    CHECK(backend.counters().requests == 0);
    CHECK(status_of(world.ask(get("/health"))) == 200);
    CHECK(status_of(world.ask(get("/"))) == 200);
    CHECK(status_of(world.ask("GET http://any.host/v1/models HTTP/1.1\r\nHost: any.host\r\n\r\n")) == 200);
}

TEST_CASE("a request whose framing is ambiguous is refused, the connection closed, the backend left alone") {
    World world;
    const auto& backend = world.backend("a");
    world.start();
    const std::string start = "POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\n";
    struct Case {
        std::string request;
        int status;
    };
    const std::vector<Case> cases{
        {start + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {start + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400},
        {start + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400},
        {start + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400},
        {start + "Content-Length: 2, 2\r\n\r\n{}", 400},
        {start + "Content-Length: -1\r\n\r\n", 400},
        {start + "Content-Length: 2x\r\n\r\n{}", 400},
        {start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
        {start + "Transfer-Encoding: identity\r\n\r\n{}", 400},
        {start + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
        {start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
        {start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
        {start + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}0\r\n\r\n", 400},
        {start + "Transfer-Encoding: chunked\r\n\r\nx\r\n{}\r\n0\r\n\r\n", 400},
        {start + "Host: other\r\n\r\n", 400},
        {start + "X: a\r\n folded\r\n\r\n", 400},
        {start + "X : a\r\n\r\n", 400},
        {start + "X: a\n\r\n", 400},
        {"POST /v1/chat/completions HTTP/1.1\r\n\r\n", 400},
        {"POST /v1/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"GET /v1/\xC3\xA9 HTTP/1.1\r\nHost: test\r\n\r\n", 400},
        {"GET /v1/models HTTP/2.0\r\nHost: test\r\n\r\n", 505},
        // Not ambiguous: methods that there are not, or not here.
        {"nonsense\r\n\r\n", 501},
        {"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", 501},
    };
    for (const auto& each : cases) {
        INFO(each.request);
        // Were the rest taken for a second request, there would be a second answer.
        const auto response = world.connect().send(each.request + get("/health")).read_all();
        CHECK(status_of(response) == each.status);
        CHECK(response.find("Connection: close\r\n") != std::string::npos);
        CHECK(response.find("HTTP/1.1 200") == std::string::npos);
        CHECK(nlohmann::json::parse(body_of(response))["error"]["message"].is_string());
    }
    CHECK(backend.counters().requests == 0);
}

TEST_CASE("TRACE is not relayed: a backend that echoes it would show the key that it was sent") {
    World world;
    auto& backend = world.backend("a");
    world.start();
    for (const auto* target : {"/v1/chat/completions", "/v1/models", "/tokenize", "/health", "*"}) {
        INFO(target);
        const auto response = world.ask(std::string{"TRACE "} + target + " HTTP/1.1\r\nHost: test\r\n\r\n");
        CHECK(status_of(response) == 405);
        CHECK(response.find("\r\nAllow: GET, ") != std::string::npos);
        CHECK(nlohmann::json::parse(body_of(response))["error"]["message"].is_string());
    }
    CHECK(backend.counters().requests == 0);
}

TEST_CASE("what follows an upgrade with a body is the next request, and both are answered") {
    World world;
    const auto& backend = world.backend("a");
    world.start();
    auto client = world.connect();
    client.send(post(chat, hello, "Connection: Upgrade\r\nUpgrade: websocket\r\n") + get("/health"));
    CHECK(body_of(client.read_response()).find("\"chat.completion\"") != std::string::npos);
    CHECK(body_of(client.read_response()) == R"({"status":"ok"})");
    CHECK(backend.counters().requests == 1);
}

TEST_CASE("too large a body is 413, too large a head is 431") {
    World world;
    const auto& backend = world.backend("a");
    world.settings.max_body_bytes = 1000;
    world.start();
    const std::string large(2000, 'x');
    CHECK(status_of(world.connect().send(post(chat, large)).read_all()) == 413);
    CHECK(
        status_of(world.connect()
                      .send("POST /v1/x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                            large)
                      .read_all()) == 413);
    CHECK(status_of(world.connect()
                        .send("GET /v1/models HTTP/1.1\r\nHost: test\r\nX: " + std::string(100'000, 'x'))
                        .read_all()) == 431);
    CHECK(backend.counters().requests == 0);
}
