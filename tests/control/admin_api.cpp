// The admin API's calls: what each does and answers, and what the service before got wrong.
#include <string>

#include "control/admin_support.hpp"

using namespace std::chrono_literals;
using admin_test::Admin;
using admin_test::Json;
using fairlead::Outcome;

TEST_CASE("status tells mode, strategy, counts and overall statistics") {
    Admin admin;
    admin.request();
    admin.request(Outcome::server_error);
    auto data = admin.status();
    CHECK(data["enabled"] == true);
    CHECK(data["mode"] == "multi_backend");
    CHECK(data["strategy"] == "round_robin");
    CHECK(data["total_backends"] == 2);
    CHECK(data["healthy_backends"] == 2);
    CHECK(data["unhealthy_backends"] == 0);
    CHECK(data["health_check_running"] == true);
    CHECK(data["available_backends"] == Json{"a", "b"});
    CHECK(data["overall_statistics"]["total_requests"] == 2);
    CHECK(data["overall_statistics"]["success_rate"] == 0.5);

    admin.call("POST", "/backends/a/disable");
    data = admin.status();
    CHECK(data["healthy_backends"] == 1);
    CHECK(data["unhealthy_backends"] == 1);
    CHECK(data["available_backends"] == Json{"b"});
}

TEST_CASE("a call without requests so far has a success rate of 1 and a mean of 0") {
    Admin admin;
    const auto statistics = admin.status()["overall_statistics"];
    CHECK(statistics["success_rate"] == 1.0);
    CHECK(statistics["average_response_time"] == 0.0);
}

TEST_CASE("a path may carry a query, and only whole paths count") {
    Admin admin;
    CHECK(admin.call("GET", "/status?verbose=1").status == 200);
    for (const char* path :
         {"", "/", "/Status", "/status/", "/status/x", "//status", "/backends/", "/backends//enable",
          "/backends/a/enable/x", "/health_check", "/health_check/pause", "x", "/a/b/c/d/e"}) {
        INFO(path);
        CHECK(admin.call("GET", path).status == 404);
    }
}

TEST_CASE("backends shows each one's config, without its key, and figures") {
    Admin admin;
    const auto answer = admin.call("GET", "/backends");
    CHECK(answer.status == 200);
    const auto& a = answer.body["data"]["backends"]["a"];
    CHECK(a["config"]["url"] == "http://a:1");
    CHECK(a["config"]["weight"] == 3);
    CHECK(a["config"]["timeout"] == 30.0);
    CHECK(a["metrics"]["status"] == "healthy");
    CHECK(a["metrics"]["last_check_time"] == 0.0);
    CHECK(a["metrics"]["last_error"].is_null());
    CHECK(answer.body["data"]["strategy"] == "round_robin");
    CHECK(answer.body["data"]["healthy_backends"] == 2);
}

TEST_CASE("the metrics of a backend follow its requests and probes") {
    Admin admin;
    admin.call("DELETE", "/backends/b");
    auto lease = admin.balancer.select();
    CHECK(admin.metrics("a")["active_connections"] == 1);
    admin.balancer.report(std::move(lease), Outcome::success);
    admin.request(Outcome::from_status(503));
    auto a = admin.metrics("a");
    CHECK(a["active_connections"] == 0);
    CHECK(a["total_requests"] == 2);
    CHECK(a["successful_requests"] == 1);
    CHECK(a["failed_requests"] == 1);
    CHECK(a["success_rate"] == 0.5);
    CHECK(a["consecutive_failures"] == 1);
    CHECK(a["last_error"] == "server_error: HTTP status 503");
    CHECK(a["outcomes"]["server_error"] == 1);

    admin.request();
    admin.health.reports["a"] = {.ok = false,
                                 .last_error = "connection refused",
                                 .consecutive_failures = 2,
                                 .last_check_time = std::chrono::system_clock::time_point{1500ms}};
    a = admin.metrics("a");
    CHECK(a["last_check_time"] == 1.5);
    CHECK(a["last_error"] == "health check: connection refused");
}

TEST_CASE("a backend that is added serves, with priority, tags and limits as they were sent") {
    Admin admin;
    const auto answer =
        admin.call("POST", "/backends", R"({"name": "new-backend", "url": "http://192.168.8.8:8000",
        "model_name": "qwenOmni7", "api_key": "sk-secret-c", "weight": 2, "max_connections": 7, "timeout": 1.5,
        "priority": 4, "tags": ["fast", "x"]})");
    CHECK(answer.status == 200);
    CHECK(answer.body["status"] == "success");
    CHECK(answer.body["message"] == "backend \"new-backend\" was added");
    const auto config = admin.config("new-backend");
    CHECK(config["priority"] == 4);
    CHECK(config["tags"] == Json{"fast", "x"});
    CHECK(config["max_connections"] == 7);
    CHECK(config["timeout"] == 1.5);
    CHECK(admin.balancer.select({.model = "qwenOmni7"})->api_key == "sk-secret-c");
}

TEST_CASE("a name is given once") {
    Admin admin;
    const auto answer = admin.call("POST", "/backends", R"({"name": "a", "url": "http://c:3"})");
    CHECK(answer.status == 409);
    CHECK(answer.detail() == "there is a backend \"a\" already");
    CHECK(admin.config("a")["url"] == "http://a:1");
}

TEST_CASE("nothing is added in mode single_backend") {
    auto settings = admin_test::two_backends();
    settings.mode = fairlead::Mode::single_backend;
    settings.backends.resize(1);
    Admin admin{settings};
    const auto answer = admin.call("POST", "/backends", R"({"name": "c", "url": "http://c:3"})");
    CHECK(answer.status == 409);
    CHECK(answer.detail().find("single_backend") != std::string::npos);
    CHECK(admin.status()["enabled"] == false);
    CHECK(admin.status()["mode"] == "single_backend");
}

TEST_CASE("a change keeps what it does not name, and every counter") {
    Admin admin;
    admin.call("DELETE", "/backends/b");
    admin.request();
    admin.request(Outcome::timeout);
    const auto before = admin.metrics("a");
    CHECK(admin.call("PUT", "/backends/a", R"({"weight": 9, "tags": ["t"], "priority": null})").status ==
          200);
    const auto config = admin.config("a");
    CHECK(config["weight"] == 9);
    CHECK(config["tags"] == Json{"t"});
    CHECK(config["max_connections"] == 50);
    const auto after = admin.metrics("a");
    for (const char* count : {"total_requests", "failed_requests", "consecutive_failures", "outcomes"})
        CHECK(after[count] == before[count]);
}

TEST_CASE("a change of what cannot be changed says so, and changes nothing") {
    Admin admin;
    const auto answer =
        admin.call("PUT", "/backends/a", R"({"weight": 9, "url": "http://x:1", "wieght": 2})");
    CHECK(answer.status == 422);
    CHECK(answer.detail().find("body.url: cannot be changed") != std::string::npos);
    CHECK(answer.detail().find("body.wieght: unknown field; the nearest known one is \"weight\"") !=
          std::string::npos);
    CHECK(admin.config("a")["weight"] == 3);
}

TEST_CASE(
    "a backend that requests still use in 1,000 configurations is changed later, and the answer says so") {
    Admin admin;
    admin.call("DELETE", "/backends/b");
    REQUIRE_FALSE(admin.balancer.update("a", [](fairlead::BackendConfig& a) { a.max_connections = 5000; }));
    std::vector<fairlead::Lease> held;
    std::error_code error;
    while (!error && held.size() < 2000) {
        held.push_back(admin.balancer.select());
        REQUIRE(held.back());
        error = admin.balancer.update("a", [](fairlead::BackendConfig& a) { a.weight = 1 + a.weight % 7; });
    }
    const auto weight = admin.config("a")["weight"];
    const auto refused = admin.call("PUT", "/backends/a", R"({"weight": 99})");
    CHECK(refused.status == 409);
    CHECK(refused.detail().starts_with("1,000 configurations of this backend are still used"));
    CHECK(admin.config("a")["weight"] == weight);
    held.clear();
    CHECK(admin.call("PUT", "/backends/a", R"({"weight": 99})").status == 200);
}

TEST_CASE("where there are as many backends as there can be, one more is refused with the limit") {
    struct Full : Admin::Balancer {
        using Admin::Balancer::Balancer;
        std::error_code add(const fairlead::BackendConfig&) { return fairlead::Errc::too_many_backends; }
    };
    Full balancer{admin_test::two_backends()};
    const fairlead::AdminApi api{balancer, "right", {.language = fairlead::Language::english}};
    admin_test::Answer answer;
    api.handle({"POST",
                std::string{fairlead::AdminApi::prefix} + "/backends",
                {{"X-API-Key", "right"}},
                R"({"name": "c", "url": "http://c:3"})",
                ""},
               [&](int status, fairlead::HttpHeaders headers, const std::string& text) {
                   answer = {status, std::move(headers), text, Json::parse(text, nullptr, false)};
               });
    Admin::check("POST", "/backends", answer);
    CHECK(answer.status == 409);
    CHECK(answer.detail() == "there can be at most 65,536 backends");
}

TEST_CASE("a removed backend finishes what it has, and its counts stay in the totals") {
    Admin admin;
    admin.request();
    admin.request();
    auto lease = admin.balancer.select();
    const std::string name = lease->name;
    CHECK(admin.call("DELETE", "/backends/" + name).status == 200);
    CHECK(admin.status()["total_backends"] == 1);
    CHECK(admin.status()["mode"] == "single_backend_balanced");
    CHECK(admin.status()["overall_statistics"]["total_requests"] == 2);
    admin.balancer.report(std::move(lease), Outcome::success);
    CHECK(admin.status()["overall_statistics"]["total_requests"] == 3);
    CHECK(admin.call("DELETE", "/backends/" + name).status == 404);
}

TEST_CASE("disable stops new requests, enable ends it, drain tells how many are left") {
    Admin admin;
    CHECK(admin.call("POST", "/backends/a/disable").status == 200);
    for (int i = 0; i < 4; ++i) CHECK(admin.balancer.select()->name == "b");
    CHECK(admin.metrics("a")["status"] == "disabled");
    CHECK(admin.call("POST", "/backends/a/enable").status == 200);
    CHECK(admin.metrics("a")["status"] == "healthy");

    admin.call("POST", "/backends/b/disable");
    const auto lease = admin.balancer.select();
    const auto answer = admin.call("POST", "/backends/a/drain");
    CHECK(answer.body["message"] == "backend \"a\" gets no new requests; 1 in flight");
    CHECK(admin.metrics("a")["state"] == "draining");
    CHECK(admin.metrics("a")["status"] == "disabled");
}

TEST_CASE("the strategy and what goes with it are changed together, or not at all") {
    Admin admin;
    auto answer = admin.call("GET", "/strategy");
    CHECK(answer.body["data"]["strategy"] == "round_robin");
    CHECK(answer.body["data"]["health_check_interval"] == 30.0);
    CHECK(answer.body["data"]["max_retries"] == 2);
    CHECK(answer.body["data"]["failure_threshold"] == 3);
    CHECK(answer.body["data"]["available_strategies"].size() == fairlead::AnyStrategy::count);

    answer = admin.call("PUT", "/strategy", R"({"strategy": "least_connections", "health_check_interval": 5.5,
        "max_retries": 0, "failure_threshold": 7})");
    CHECK(answer.status == 200);
    CHECK(answer.body["message"] == "strategy least_connections is in force");
    CHECK(answer.body["data"] == Json{{"strategy", "least_connections"},
                                      {"health_check_interval", 5.5},
                                      {"max_retries", 0},
                                      {"failure_threshold", 7}});
    CHECK(admin.balancer.max_retries() == 0);
    CHECK(admin.health.interval() == 5500ms);

    answer = admin.call("PUT", "/strategy",
                        R"({"strategy": "quickest", "max_retries": 5, "failure_threshold": 0})");
    CHECK(answer.status == 422);
    CHECK(answer.detail().find("unknown strategy \"quickest\"; known are: round_robin") != std::string::npos);
    CHECK(answer.detail().find("body.failure_threshold: must be >= 1, got 0") != std::string::npos);
    CHECK(admin.balancer.max_retries() == 0);
    CHECK(admin.balancer.strategy_name() == "least_connections");
    CHECK(admin.call("PUT", "/strategy", "{}").status == 200);
}

TEST_CASE("a strategy that was compiled in cannot be changed, and the answer says which it is") {
    fairlead::Balancer<fairlead::Random> balancer{{{.name = "a", .url = "http://a:1"}}};
    const fairlead::AdminApi api{balancer, "right"};
    const auto ask = [&](const char* path, const char* method, const char* body) {
        std::string told;
        api.handle({method,
                    std::string{fairlead::AdminApi::prefix}.append(path),
                    {{"X-API-Key", "right"}},
                    body,
                    ""},
                   [&](int status, const fairlead::HttpHeaders&, const std::string& text) {
                       told = std::to_string(status) + ' ' + text;
                   });
        return told;
    };
    CHECK(ask("/strategy", "PUT", R"({"strategy": "round_robin"})").find("409") == 0);
    CHECK(ask("/strategy", "PUT", R"({"strategy": "random"})").find("200") == 0);
    CHECK(ask("/strategy", "PUT", R"({"health_check_interval": 1})").find("409") == 0);
    CHECK(ask("/health_check/start", "POST", "").find("409") == 0);
    CHECK(ask("/backends/a/health_check", "POST", "").find("409") == 0);
    CHECK(ask("/status", "GET", "").find("\"health_check_running\":false") != std::string::npos);
}

TEST_CASE("the periodic check is started and stopped") {
    Admin admin;
    CHECK(admin.call("POST", "/health_check/stop").status == 200);
    CHECK(admin.status()["health_check_running"] == false);
    CHECK(admin.call("POST", "/health_check/start").status == 200);
    CHECK(admin.status()["health_check_running"] == true);
}

TEST_CASE("a probe that is asked for is answered when it has ended") {
    Admin admin;
    const std::string target = std::string{fairlead::AdminApi::prefix} + "/backends/a/health_check";
    const auto probe = [&](std::error_code error, const admin_test::Report& report) {
        auto answer = admin.begin("POST", target, {{"X-API-Key", "right"}}, "", "");
        CHECK(answer->status == 0);
        REQUIRE(admin.health.asked.size() == 1);
        CHECK(admin.health.asked.front().first == "a");
        std::exchange(admin.health.asked, {}).front().second(error, report);
        Admin::check("POST", "/backends/a/health_check", *answer);
        return *answer;
    };
    auto answer = probe({}, {.ok = true, .last_check_time = std::chrono::system_clock::time_point{2s}});
    CHECK(answer.status == 200);
    CHECK(answer.body["data"]["backend"] == "a");
    CHECK(answer.body["data"]["health_status"] == "healthy");
    CHECK(answer.body["data"]["last_check_time"] == 2.0);
    CHECK(answer.body["data"]["last_error"].is_null());

    answer = probe({}, {.ok = false, .last_error = "refused", .consecutive_failures = 3});
    CHECK(answer.body["data"]["health_status"] == "unhealthy");
    CHECK(answer.body["data"]["consecutive_failures"] == 3);
    CHECK(answer.body["data"]["last_error"] == "refused");

    CHECK(probe(fairlead::Errc::cancelled, {}).status == 503);
    CHECK(probe(fairlead::Errc::unknown_backend, {}).status == 404);
    CHECK(admin.call("POST", "/backends/nobody/health_check").status == 404);
}

TEST_CASE("a backend that was removed while its probe was under way is unknown, however the probe went") {
    Admin admin;
    const std::string path = "/backends/a/health_check";
    const auto answer =
        admin.begin("POST", std::string{fairlead::AdminApi::prefix} + path, {{"X-API-Key", "right"}}, "", "");
    REQUIRE(admin.health.asked.size() == 1);
    REQUIRE(admin.call("DELETE", "/backends/a").status == 200);
    admin.health.asked.front().second({}, {.ok = true});
    Admin::check("POST", path, *answer);
    CHECK(answer->status == 404);
    CHECK(answer->detail() == "there is no backend \"a\"");
}

// --- what the service before got wrong
// -----------------------------------------------------------------------

TEST_CASE("failed requests count towards the failure threshold") {
    Admin admin;
    admin.call("PUT", "/strategy", R"({"failure_threshold": 2})");
    admin.call("POST", "/backends/b/disable");
    admin.request(Outcome::server_error);
    CHECK(admin.metrics("a")["status"] == "healthy");
    admin.call("POST", "/backends/b/enable");
    while (admin.metrics("a")["total_requests"] < 2) {
        auto lease = admin.balancer.select();
        const auto outcome = lease->name == "a" ? Outcome::server_error : Outcome::success;
        admin.balancer.report(std::move(lease), outcome);
    }
    CHECK(admin.metrics("a")["status"] == "unhealthy");
    CHECK(admin.metrics("a")["ejections"] == 1);
}

TEST_CASE("a disabled backend stays disabled through a passing health check") {
    Admin admin;
    admin.call("POST", "/backends/a/disable");
    admin.balancer.probed("a", false);
    admin.balancer.probed("a", true);
    CHECK(admin.metrics("a")["status"] == "disabled");
    CHECK(admin.balancer.select()->name == "b");
}

TEST_CASE("limits, priorities and tags that the API sets are enforced") {
    Admin admin;
    admin.call("PUT", "/backends/a", R"({"max_connections": 1, "tags": ["gpu"]})");
    admin.call("PUT", "/backends/b", R"({"priority": 1, "max_connections": 1})");
    const auto first = admin.balancer.select();
    CHECK(first->name == "a");
    const auto second = admin.balancer.select();
    CHECK(second->name == "b");
    CHECK(admin.balancer.select().error() == fairlead::Errc::all_full);
    const std::vector<std::string_view> gpu{"gpu"};
    CHECK(admin.balancer.select({.tags = gpu}).error() == fairlead::Errc::all_full);
}

TEST_CASE("another strategy or threshold resets no counter") {
    Admin admin;
    admin.request();
    admin.request(Outcome::server_error);
    const auto before = admin.call("GET", "/metrics").body["data"]["backends"];
    admin.call("PUT", "/strategy", R"({"strategy": "random", "failure_threshold": 9, "max_retries": 1})");
    const auto after = admin.call("GET", "/metrics").body["data"]["backends"];
    for (const char* name : {"a", "b"}) {
        CHECK(after[name]["total_requests"] == before[name]["total_requests"]);
        CHECK(after[name]["consecutive_failures"] == before[name]["consecutive_failures"]);
    }
}
