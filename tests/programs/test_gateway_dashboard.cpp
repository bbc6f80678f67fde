// The dashboard's page and its stream of snapshots, over real connections.
#include <atomic>
#include <string>

#include <nlohmann/json.hpp>

#include "programs/world.hpp"
#include "support/catch.hpp"

using test::chat;
using test::get;
using test::hello;
using test::post;
using test::RawClient;
using test::status_of;
using test::World;
using Json = nlohmann::json;

namespace {

const std::string events_target = "/api/v1/load_balancer/events";
const std::string right_key = "X-API-Key: right\r\n";

std::string keyed(std::string_view method, const std::string& path, const std::string& headers = right_key) {
    return std::string{method} + " " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n";
}

bool tells(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Json next_snapshot(RawClient& client) {
    client.read_until("data: ");
    return Json::parse(client.read_until("\n\n"));
}

/// A gateway with one backend and the key "right".
struct KeyedWorld : World {
    explicit KeyedWorld(const std::string& admin_address = {}) {
        backend("a");
        settings.admin_key = "right";
        admin_listen = admin_address;
        start();
    }
    RawClient open_stream() const {
        auto client = connect();
        client.send(keyed("GET", events_target));
        return client;
    }
};

}  // namespace

TEST_CASE("the events are snapshots of what the admin API tells, and go on") {
    KeyedWorld world;
    auto client = world.open_stream();
    const auto head = client.read_until("\r\n\r\n");
    CHECK(status_of(head) == 200);
    CHECK(tells(head, "Content-Type: text/event-stream\r\n"));
    CHECK(tells(head, "Cache-Control: no-store\r\n"));
    const auto first = next_snapshot(client);
    CHECK(first["status"]["data"]["total_backends"] == 1);
    CHECK(first["backends"]["data"]["backends"]["a"]["metrics"]["total_requests"] == 0);
    CHECK(first["strategy"]["data"]["available_strategies"].is_array());
    CHECK(status_of(world.ask(post(chat, hello))) == 200);
    const auto second = next_snapshot(client);
    CHECK(second["backends"]["data"]["backends"]["a"]["metrics"]["total_requests"] == 1);
}

TEST_CASE("the events are for who has the key, and can only be read") {
    KeyedWorld world;
    const auto refusal = world.ask(keyed("GET", events_target, ""));
    CHECK(status_of(refusal) == 401);
    CHECK(tells(refusal, "WWW-Authenticate: Bearer\r\n"));
    CHECK(status_of(world.ask(keyed("GET", events_target, "X-API-Key: wrong\r\n"))) == 401);
    CHECK(status_of(world.ask(keyed("POST", events_target, ""))) == 401);
    CHECK(status_of(world.ask(keyed("POST", events_target))) == 405);
    CHECK(status_of(world.ask(keyed("GET", events_target + "/more"))) == 404);
    CHECK(status_of(world.ask(keyed("GET", events_target + "ful"))) == 404);
    CHECK(world.gateway().events().size() == 0);
}

TEST_CASE("without a key the events are for this machine alone") {
    World world;
    world.backend("a");
    world.start();
    CHECK(status_of(world.ask(keyed("GET", events_target, ""))) == 403);  // "Host: test"
    auto client = world.connect();
    client.send("GET " + events_target + "?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(next_snapshot(client)["status"]["status"] == "success");
}

TEST_CASE("a stream of events ends with its client") {
    KeyedWorld world;
    auto client = world.open_stream();
    next_snapshot(client);
    CHECK(world.eventually([&] { return world.gateway().events().size() == 1; }));
    client.close();
    CHECK(world.eventually([&] { return world.gateway().events().size() == 0; }));
}

TEST_CASE("a stream of events does not hold up the gateway's stop") {
    KeyedWorld world;
    auto client = world.open_stream();
    next_snapshot(client);
    CHECK(world.eventually([&] { return world.gateway().events().size() == 1; }));
    std::atomic<bool> drained{false};
    world.gateway().stop([&] { drained.store(true, std::memory_order_release); });
    const auto rest = client.read_all();
    CHECK(rest.ends_with("0\r\n\r\n"));
    client.close();
    // Without the stop of the streams this would never come; the limit of `read_all` has found it before.
    while (!drained.load(std::memory_order_acquire)) std::this_thread::yield();
}

TEST_CASE("the page is for everybody, holds no figure, and may run nothing but its own script") {
    KeyedWorld world;
    const auto page = world.ask(get("/dashboard"));
    CHECK(status_of(page) == 200);
    CHECK(tells(page, "Content-Type: text/html; charset=utf-8\r\n"));
    CHECK(tells(page, "Content-Security-Policy: default-src 'none'; script-src 'nonce-"));
    CHECK(!tells(page, "unsafe"));
    CHECK(!tells(page, "{{nonce}}"));
    const auto at = page.find("'nonce-") + 7;
    const auto nonce = page.substr(at, 32);
    CHECK(page[at + 32] == '\'');
    CHECK(tells(page, "<script nonce=\"" + nonce + "\">"));
    CHECK(tells(page, "<style nonce=\"" + nonce + "\">"));
    CHECK(!tells(world.ask(get("/dashboard")), nonce));
    CHECK(status_of(world.ask(keyed("HEAD", "/dashboard"), false)) == 200);
    CHECK(status_of(world.ask(keyed("POST", "/dashboard"))) == 405);
    CHECK(status_of(world.ask(get("/dashboards"))) == 404);
}

TEST_CASE("page and events move with the admin API to an address of its own") {
    KeyedWorld world{"127.0.0.1:0"};
    CHECK(status_of(world.ask(get("/dashboard"))) == 404);
    CHECK(status_of(world.ask(keyed("GET", events_target))) == 404);
    RawClient admin{world.gateway().admin_url()};
    CHECK(status_of(admin.send(get("/dashboard")).read_response()) == 200);
    admin.send(keyed("GET", events_target));
    CHECK(next_snapshot(admin)["status"]["data"]["healthy_backends"] == 1);
}
