// What the tests of the admin API share: a balancer, a health checker that does as it is told, and calls
// whose answers are held against docs/openapi.yaml.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/control/admin_api.hpp>
#include <fairlead/strategies/any_strategy.hpp>

#include "control/openapi.hpp"
#include "control/told_health.hpp"
#include "support/catch.hpp"

namespace admin_test {

using Json = nlohmann::json;

struct Answer {
    int status = 0;
    fairlead::HttpHeaders headers{};
    std::string text{};
    Json body{};

    std::string detail() const { return body.value("detail", ""); }
};

inline fairlead::Settings two_backends() {
    fairlead::Settings settings;
    settings.mode = fairlead::Mode::multi_backend;
    settings.backends = {
        {.name = "a", .url = "http://a:1", .model_name = "m", .api_key = "sk-secret-a", .weight = 3},
        {.name = "b", .url = "http://b:2", .model_name = "m", .api_key = "sk-secret-b"}};
    settings.options.seed = 1;
    return settings;
}

/// An API with the key "right".
class Admin {
  public:
    using Balancer = fairlead::Balancer<fairlead::AnyStrategy>;

    explicit Admin(const fairlead::Settings& settings = two_backends(), std::string key = "right",
                   fairlead::Language language = fairlead::Language::english)
        : balancer{settings}, api{balancer, health, std::move(key), {.language = language}} {}

    /// Calls what stands below the prefix, with the key.
    Answer call(std::string_view method, std::string_view path, std::string_view body = {}) {
        return call_as(method, path, {{"X-API-Key", "right"}}, body);
    }

    Answer call_as(std::string_view method, std::string_view path, fairlead::HttpHeaders headers,
                   std::string_view body = {}, std::string_view peer = "192.0.2.1:1234") {
        const std::string target = std::string{fairlead::AdminApi::prefix}.append(path);
        auto answer = begin(method, target, std::move(headers), body, peer);
        REQUIRE(answer->status != 0);
        check(method, path, *answer);
        return *answer;
    }

    /// A call that may be answered later.
    std::shared_ptr<Answer> begin(std::string_view method, std::string_view target,
                                  fairlead::HttpHeaders headers, std::string_view body,
                                  std::string_view peer) {
        auto answer = std::make_shared<Answer>();
        api.handle({method, target, std::move(headers), body, peer},
                   [answer](int status, fairlead::HttpHeaders told, std::string text) {
                       CHECK(answer->status == 0);  // one answer
                       *answer = {status, std::move(told), text, Json::parse(text, nullptr, false)};
                   });
        return answer;
    }

    /// Every answer is JSON as the document says, and shows no key.
    static void check(std::string_view method, std::string_view path, const Answer& answer) {
        INFO(method << ' ' << path << " -> " << answer.status << ' ' << answer.text);
        CHECK_FALSE(answer.body.is_discarded());
        CHECK(answer.headers.get("Content-Type").value_or("") == "application/json");
        CHECK(openapi_test::document()
                  .problem(method, path.substr(0, path.find('?')), answer.status, answer.body)
                  .empty());
        for (const char* secret : {"sk-secret", "api_key\":", "right\""})
            CHECK(answer.text.find(secret) == std::string::npos);
    }

    void request(fairlead::Outcome outcome = fairlead::Outcome::success) {
        auto lease = balancer.select();
        REQUIRE(lease);
        balancer.report(std::move(lease), outcome);
    }

    Json status() { return call("GET", "/status").body["data"]; }
    Json metrics(const std::string& name) { return call("GET", "/metrics").body["data"]["backends"][name]; }
    Json config(const std::string& name) {
        return call("GET", "/backends").body["data"]["backends"][name]["config"];
    }

    Health health{};
    Balancer balancer;
    fairlead::AdminApi api;
};

}  // namespace admin_test
