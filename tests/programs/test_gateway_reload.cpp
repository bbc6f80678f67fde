// The settings of a gateway that runs change: its own, the balancer's, and those of requests under way.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "programs/world.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/tls_peer.hpp"

namespace {

using fairlead::test::RawPeer;
using test::chat;
using test::get;
using test::hello;
using test::post;
using test::RawClient;
using test::status_of;
using test::World;
using namespace std::chrono_literals;

const std::string admin_status = "/api/v1/load_balancer/status";

std::string keyed(const std::string& target, const std::string& key) {
    return "GET " + target + " HTTP/1.1\r\nHost: test\r\nX-API-Key: " + key + "\r\n\r\n";
}

std::string served(const std::string& name) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(name.size()) + "\r\n\r\n" + name;
}

/// Applies what `edit` makes of the world's settings.
template <class Edit>
fairlead::ReloadReport change(World& world, Edit&& edit) {
    const fairlead::Settings before = world.settings;
    edit(world.settings);
    return world.gateway().reload(before, world.settings);
}

/// Answers a completion when it is told to.
class Gate {
  public:
    ~Gate() { open(); }
    void open() {
        const std::lock_guard lock{mutex_};
        is_open_ = true;
        changed_.notify_all();
    }
    std::string url() const { return peer_.url(); }

  private:
    std::mutex mutex_{};
    std::condition_variable changed_{};
    bool is_open_ = false;
    RawPeer peer_{[this](RawPeer::Connection& c) {
        while (!c.read_request().empty()) {
            std::unique_lock lock{mutex_};
            changed_.wait(lock, [this] { return is_open_; });
            c.send(served("done"));
        }
    }};
};

}  // namespace

TEST_CASE("an alias, the affinity header, the body limit and the keys change between two requests") {
    World world;
    world.backend("a", "m");
    world.backend("b", "other");
    world.settings.admin_key = "first";
    world.settings.strategy = "consistent_hash";
    world.start();
    auto client = world.connect();  // one connection, before and after
    const std::string nick = R"({"model":"nick","messages":[]})";
    const auto status = [&](const std::string& request) {
        return status_of(client.send(request).read_response());
    };
    CHECK(status(post(chat, nick)) == 404);
    CHECK(status(keyed(admin_status, "first")) == 200);
    CHECK(status(get("/metrics")) == 200);

    const auto report = change(world, [](fairlead::Settings& settings) {
        settings.model_aliases["nick"] = "m";
        settings.admin_key = "second";
        settings.metrics_key_required = true;
        settings.affinity_header = "X-Session";
        settings.max_body_bytes = 100;
    });
    CHECK(report.settings == std::vector<std::string>{"admin_key", "metrics_key_required", "affinity_header",
                                                      "model_aliases", "max_body_bytes"});
    CHECK(report.of_host.empty());
    CHECK(status(post(chat, nick)) == 200);
    CHECK(status(keyed(admin_status, "first")) == 401);
    CHECK(status(keyed(admin_status, "second")) == 200);
    CHECK(status(get("/metrics")) == 401);
    CHECK(status(post(chat, std::string(101, ' '))) == 413);
}

TEST_CASE("a new affinity header ties the requests that carry it to one backend") {
    World world;
    for (const auto* name : {"a", "b", "c", "d"}) world.backend(name);
    world.settings.strategy = "consistent_hash";
    world.start();
    const auto backends = [&] {
        std::vector<std::string> names;
        for (int i = 0; i < 20; ++i) {
            const auto body =
                R"({"model":"m","messages":[{"role":"user","content":")" + std::to_string(i) + "\"}]}";
            const auto answer = world.ask(post(chat, body, "X-Session: me\r\n"));
            const auto at = answer.find("X-Fairlead-Backend: ");
            names.push_back(answer.substr(at, answer.find("\r\n", at) - at));
        }
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
        return names.size();
    };
    CHECK(backends() > 1);
    change(world, [](fairlead::Settings& settings) { settings.affinity_header = "X-Session"; });
    CHECK(backends() == 1);
}

TEST_CASE("a refusal for a full queue says when to come again; a lower limit refuses newcomers alone") {
    Gate gate;
    World world;
    world.backend_at("a", gate.url()).max_connections = 1;
    world.settings.options.queue_limit = 2;
    world.settings.options.health_check = false;
    world.start();
    const auto waiting = [&](std::size_t n) {
        return world.eventually([&] { return world.gateway().balancer().totals().queue.waiting == n; });
    };
    auto first = world.connect();
    first.send(post(chat, hello));
    REQUIRE(world.eventually([&] { return world.in_flight() == 1; }));
    auto second = world.connect();
    second.send(post(chat, hello));
    REQUIRE(waiting(1));
    auto third = world.connect();
    third.send(post(chat, hello));
    REQUIRE(waiting(2));
    const auto refused = world.ask(post(chat, hello));
    CHECK(status_of(refused) == 503);
    CHECK(refused.find("\r\nRetry-After: 1\r\n") != std::string::npos);  // nothing is known of the pace yet

    change(world, [](fairlead::Settings& settings) { settings.options.queue_limit = 1; });
    CHECK(world.gateway().balancer().totals().queue.waiting == 2);
    CHECK(status_of(world.ask(post(chat, hello))) == 503);
    change(world, [](fairlead::Settings& settings) { settings.options.queue_limit = 3; });
    auto fourth = world.connect();
    fourth.send(post(chat, hello));
    REQUIRE(waiting(3));
    gate.open();
    for (auto* client : {&first, &second, &third, &fourth}) CHECK(status_of(client->read_response()) == 200);
}

TEST_CASE("a new path for health checks is what the next probes ask for") {
    std::atomic<int> on_new_path{0};
    RawPeer engine{[&](RawPeer::Connection& c) {
        for (std::string request; !(request = c.read_request()).empty();) {
            if (!request.starts_with("GET /alive ")) {
                c.send(served("a"));
                continue;
            }
            on_new_path.fetch_add(1, std::memory_order_acq_rel);
            c.send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
        }
    }};
    World world;
    world.backend_at("a", engine.url());
    world.backend("b");
    world.settings.options.health_check_interval = 5ms;
    world.settings.options.failure_threshold = 2;
    world.start();
    const auto probe_ok = [&] { return world.gateway().balancer().snapshot()[0].probe_ok; };
    REQUIRE(world.eventually([&] { return world.gateway().health().last("a").has_value(); }));
    CHECK(probe_ok());
    change(world, [](fairlead::Settings& settings) { settings.options.health_check_path = "/alive"; });
    REQUIRE(world.eventually([&] { return !probe_ok(); }));
    CHECK(on_new_path >= 2);
    // Without health checks what they found counts no more.
    change(world, [](fairlead::Settings& settings) { settings.options.health_check = false; });
    REQUIRE(world.eventually(probe_ok));
    CHECK_FALSE(world.gateway().health().running());
    change(world, [](fairlead::Settings& settings) { settings.options.health_check = true; });
    REQUIRE(world.eventually([&] { return !probe_ok(); }));
}

TEST_CASE("new authorities are trusted by the next connection; a file that holds none changes nothing") {
    using namespace fairlead::test;
    const Certificate authority{""};
    const Certificate stranger{""};
    const PemFile ca{authority};
    const PemFile other_ca{stranger};
    TlsPeer engine{Certificate{"IP:127.0.0.1", &authority}, served("tls")};
    World world;
    world.backend_at("a", "https://127.0.0.1:" + std::to_string(engine.port()));
    world.settings.tls_ca_file = other_ca.path();
    world.settings.options.health_check = false;
    world.settings.options.ejection = false;
    world.start();
    CHECK(status_of(world.ask(post(chat, hello))) == 502);
    const auto report =
        change(world, [&](fairlead::Settings& settings) { settings.tls_ca_file = ca.path(); });
    CHECK(report.settings == std::vector<std::string>{"tls_ca_file"});
    CHECK(status_of(world.ask(post(chat, hello))) == 200);

    fairlead::Settings bad = world.settings;
    bad.tls_ca_file = "/dev/null/none.pem";
    bad.model_aliases["x"] = "m";
    bad.options.queue_limit = 1;
    CHECK_THROWS(world.gateway().reload(world.settings, bad));
    CHECK(world.gateway().balancer().options().queue_limit == fairlead::Options{}.queue_limit);
    CHECK(status_of(world.ask(post(chat, hello))) == 200);
}

TEST_CASE("under load, two hundred reloads of everything at once fail no request") {
    World world{2};
    for (const auto* name : {"a", "b"}) world.backend(name);
    world.start();
    std::atomic<bool> stop{false};
    std::atomic<int> failed{0};
    std::atomic<int> answered{0};
    const auto load = [&] {
        auto client = world.connect();
        while (!stop.load(std::memory_order_relaxed)) {
            const auto answer = client.send(post(chat, hello, "X-Session: me\r\n")).read_response();
            (status_of(answer) == 200 ? answered : failed).fetch_add(1, std::memory_order_relaxed);
        }
    };
    std::vector<std::thread> clients;
    for (int i = 0; i < 3; ++i) clients.emplace_back(load);
    for (int i = 0; i < 200; ++i) {
        const auto report = change(world, [i](fairlead::Settings& settings) {
            const bool odd = i % 2 != 0;
            settings.model_aliases["nick"] = odd ? "m" : "x";
            settings.affinity_header = odd ? "X-Session" : "";
            settings.admin_key = std::to_string(i);
            settings.max_body_bytes = odd ? 1000 : 2000;
            settings.strategy = odd ? "consistent_hash" : "least_connections";
            settings.backends[0].weight = odd ? 2 : 1;
            auto& options = settings.options;
            options.health_check = odd;
            options.health_check_interval = std::chrono::milliseconds{odd ? 5 : 7};
            options.queue_limit = odd ? 10 : 20;
            options.panic_threshold = odd ? 0.5 : 0;
            options.slow_start = odd ? 10ms : 0ms;
            options.hedge_quantile = odd ? 0.99 : 0;
            options.ejection = odd;
        });
        CHECK(report.applied);
        CHECK(report.at_next_start.empty());
        const int before = answered + failed;
        REQUIRE(world.eventually([&] { return answered + failed > before; }));
    }
    stop = true;
    for (auto& client : clients) client.join();
    CHECK(failed == 0);
    CHECK(answered >= 200);
}
