// The gateway's admin API and metrics, over real connections, with traffic under way.
#include <atomic>
#include <string>
#include <thread>
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
using Json = nlohmann::json;

namespace {

const std::string api = "/api/v1/load_balancer";

std::string request(std::string_view method, const std::string& path, const std::string& body = "",
                    const std::string& headers = "X-API-Key: right\r\n") {
    return std::string{method} + " " + path + " HTTP/1.1\r\nHost: test\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

Json data_of(const std::string& response) { return Json::parse(body_of(response))["data"]; }

}  // namespace

TEST_CASE("the admin API answers on the main port, to who has the key") {
    World world;
    world.backend("a");
    world.settings.admin_key = "right";
    world.start();
    CHECK(status_of(world.ask(post(chat, hello))) == 200);
    const auto answer = world.ask(request("GET", api + "/status"));
    CHECK(status_of(answer) == 200);
    CHECK(data_of(answer)["overall_statistics"]["total_requests"] == 1);
    CHECK(status_of(world.ask(request("GET", api + "/status", "", "X-API-Key: wrong\r\n"))) == 401);
    CHECK(status_of(world.ask(request("GET", api + "/nowhere"))) == 404);
    CHECK(status_of(world.ask(request("POST", api + "/backends/%2e%2e/enable"))) == 404);
    CHECK(status_of(world.ask(request("POST", api + "/backends/../enable"))) == 404);
    CHECK(status_of(world.ask(request("PUT", api + "/strategy", std::string((1 << 20) + 1, ' ')))) == 413);
}

TEST_CASE("without a key the gateway's admin API is open to this machine alone") {
    World world;
    world.backend("a");
    world.start();
    CHECK(status_of(world.ask(request("GET", api + "/status", "", ""))) == 403);  // "Host: test"
    CHECK(status_of(world.ask("GET " + api + "/status HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200);
}

TEST_CASE("an admin address of its own takes the API off the main one") {
    World world;
    world.backend("a");
    world.settings.admin_key = "right";
    world.settings.metrics_key_required = true;
    world.admin_listen = "127.0.0.1:0";
    world.start();
    CHECK(status_of(world.ask(request("GET", api + "/status"))) == 404);
    const auto ask = [&](const std::string& what) {
        return test::RawClient{world.gateway().admin_url()}.send(what).read_response();
    };
    CHECK(status_of(ask(request("GET", api + "/status"))) == 200);
    CHECK(status_of(ask(request("POST", chat, hello))) == 404);
    CHECK(status_of(ask(request("POST", chat, hello, ""))) == 401);
    CHECK(status_of(ask(get("/health"))) == 200);
    CHECK(status_of(ask(get("/metrics"))) == 401);
    CHECK(status_of(ask(request("GET", "/metrics"))) == 200);
    CHECK(status_of(world.ask(request("GET", "/metrics", "", "Authorization: Bearer right\r\n"))) == 200);
}

TEST_CASE("metrics need no key, are Prometheus text, and have a name's series together") {
    World world;
    world.backend("a \"b\"");
    world.settings.admin_key = "right";
    world.start();
    world.ask(post(chat, hello));
    const auto answer = world.ask(get("/metrics"));
    CHECK(status_of(answer) == 200);
    CHECK(answer.find("Content-Type: text/plain; version=0.0.4") != std::string::npos);
    CHECK(answer.find("fairlead_requests_total{backend=\"a \\\"b\\\"\",outcome=\"success\"} 1\n") !=
          std::string::npos);
    CHECK(status_of(world.ask(request("POST", "/metrics"))) == 405);
}

TEST_CASE("a backend that is added at run time serves its model, and a removed one's model is unknown") {
    World world;
    world.backend("a", "m");
    auto& b = world.backend("b", "n");
    world.settings.backends.pop_back();
    world.settings.admin_key = "right";
    world.start();
    const Json config{{"name", "b"}, {"url", b.url()}, {"model_name", "n"}};
    CHECK(status_of(world.ask(request("POST", api + "/backends", config.dump()))) == 200);
    const std::string ask_n = post(chat, R"({"model":"n","messages":[]})");
    CHECK(world.ask(ask_n).find("X-Fairlead-Backend: b\r\n") != std::string::npos);
    CHECK(status_of(world.ask(request("DELETE", api + "/backends/b"))) == 200);
    CHECK(world.ask(ask_n).find("X-Fairlead-Backend: a\r\n") != std::string::npos);  // one model: any name
}

TEST_CASE("2,000 admin changes under full traffic: no request fails, no figure is lost") {
    constexpr int changes = 2'000;  // 200 a second for 10 s, as fast as they go
    World world{2};
    for (const char* name : {"a", "b", "c"}) world.backend(name);
    auto& extra = world.backend("extra");
    const Json config{{"name", "extra"}, {"url", extra.url()}, {"model_name", "m"}, {"weight", 2}};
    world.settings.backends.pop_back();
    world.settings.admin_key = "right";
    world.settings.options.max_retries = 0;  // nothing may be hidden
    world.start();

    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> good{0};
    std::atomic<std::uint64_t> bad{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i) {
        clients.emplace_back([&] {
            auto client = world.connect();
            while (!stop.load(std::memory_order_relaxed)) {
                const bool ok = status_of(client.send(post(chat, hello)).read_response()) == 200;
                (ok ? good : bad).fetch_add(1, std::memory_order_relaxed);
            }
            // Who leaves with the answer's last byte may leave before the gateway has seen its end.
            client.send(get("/health")).read_response();
        });
    }
    const char* strategies[] = {"round_robin",       "weighted_round_robin", "random",
                                "least_connections", "consistent_hash",      "response_time"};
    auto admin = world.connect();
    int refused = 0;
    std::uint64_t shown = 0;
    int falls = 0;
    for (int i = 0; i < changes; ++i) {
        std::string change;
        switch (i % 8) {
            case 0:
                change = request("POST", api + "/backends/a/disable");
                break;
            case 1:
                change = request("POST", api + "/backends", config.dump());
                break;
            case 2:
                change =
                    request("PUT", api + "/backends/b", R"({"weight": )" + std::to_string(1 + i % 9) + "}");
                break;
            case 3:
                change = request("POST", api + "/backends/a/enable");
                break;
            case 4:
                change = request("PUT", api + "/strategy",
                                 Json{{"strategy", strategies[i / 8 % 6]}, {"max_retries", 0}}.dump());
                break;
            case 5:
                change = request("DELETE", api + "/backends/extra");
                break;
            case 6:
                change = request("POST", api + "/backends/c/drain");
                break;
            default:
                change = request("POST", api + "/backends/c/enable");
        }
        refused += status_of(admin.send(change).read_response()) != 200 ? 1 : 0;
        if (i % 100 != 0) continue;
        const auto status = data_of(admin.send(request("GET", api + "/status")).read_response());
        const auto total = status["overall_statistics"]["total_requests"].get<std::uint64_t>();
        falls += total < shown ? 1 : 0;
        shown = total;
    }
    stop.store(true, std::memory_order_relaxed);
    for (auto& client : clients) client.join();
    CHECK(refused == 0);
    CHECK(bad.load(std::memory_order_relaxed) == 0);
    CHECK(falls == 0);
    CHECK(good.load(std::memory_order_relaxed) > 0);
    const auto totals = world.gateway().balancer().totals();
    CHECK(totals.completed == good.load(std::memory_order_relaxed));
    CHECK(totals.succeeded == totals.completed);
    std::uint64_t picks = 0;
    for (const auto& [strategy, count] : totals.picks) picks += count;
    CHECK(picks == good.load(std::memory_order_relaxed));
}
