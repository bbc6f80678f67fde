// Any requests to the admin API, one after the other: each is answered once, as docs/openapi.yaml says, shows
// no key, and changes nothing that it was not asked to or without the key.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/control/admin_api.hpp>
#include <fairlead/model/validate.hpp>
#include <fairlead/strategies/any_strategy.hpp>

#include "control/openapi.hpp"
#include "control/told_health.hpp"
#include "fuzz.hpp"

namespace {

using fairlead::test::must;

constexpr const char* admin_key = "key-of-the-operator-1f6e0c";
constexpr const char* backend_key = "key-of-a-backend-93b7d2";

class AdminWorld {
  public:
    explicit AdminWorld(std::string key)
        : api_{balancer_, health_, std::move(key), {.language = fairlead::Language::english}} {}

    /// `text`: METHOD, blank, target; header lines; an empty line; the body.
    void request(std::string_view text, bool with_key, std::string_view peer) {
        fairlead::test::ByteChance bytes{text};
        fairlead::test::ByteChance line{bytes.until('\n')};
        const auto method = line.until(' ');
        std::string target{line.rest()};
        if (target.starts_with('~')) target.replace(0, 1, fairlead::AdminApi::prefix);
        fairlead::HttpHeaders headers;
        if (with_key) headers.add("X-API-Key", admin_key);
        for (auto header = bytes.until('\n'); !header.empty(); header = bytes.until('\n')) {
            fairlead::test::ByteChance parts{header};
            const auto name = parts.until(':');
            headers.add(std::string{name}, std::string{parts.rest()});
        }
        call(method, target, headers, bytes.rest(), peer);
    }

    /// What still waits for a probe is answered.
    void end_probes() {
        for (auto& [name, done] : std::exchange(health_.asked, {})) {
            const bool there = names().contains(name);
            if (there) {
                health_.reports[name] = {.ok = name.size() % 2 == 0, .last_error = name};
                done({}, health_.reports[name]);
            } else {
                done(fairlead::Errc::unknown_backend, {});
            }
        }
        for (const auto& answer : waiting_) must(answer->status != 0, "a probe's end is answered");
        waiting_.clear();
    }

    /// The balancer still does what it is for.
    void check_balancer() {
        for (const auto& each : balancer_.snapshot()) {
            must(!validate(each.config), "no config is taken that is not valid");
            must(each.in_flight == 0, "nothing is in flight");
        }
        if (fairlead::Lease lease = balancer_.select())
            balancer_.report(std::move(lease), fairlead::Outcome::success);
    }

  private:
    using Balancer = fairlead::Balancer<fairlead::AnyStrategy>;

    struct Answer {
        std::string method{};
        std::string target{};
        int status = 0;
    };

    static fairlead::Settings settings() {
        fairlead::Settings settings;
        settings.mode = fairlead::Mode::multi_backend;
        settings.backends = {{.name = "a", .url = "http://a:1", .model_name = "m", .api_key = backend_key},
                             {.name = "b c", .url = "http://b:2", .tags = {"t"}}};
        settings.options.seed = 1;
        return settings;
    }

    std::map<std::string, std::string> names() const {
        std::map<std::string, std::string> all;
        for (const auto& each : balancer_.snapshot()) {
            const auto& c = each.config;
            all[c.name] = c.url + ' ' + c.model_name + ' ' + c.api_key + ' ' + std::to_string(c.weight) +
                          ' ' + std::to_string(c.max_connections) + ' ' + std::to_string(c.priority) +
                          to_string(each.state);
        }
        return all;
    }

    void call(std::string_view method, std::string_view target, const fairlead::HttpHeaders& headers,
              std::string_view body, std::string_view peer) {
        const bool admitted = api_.admits(headers, peer);
        const auto before = names();
        const auto strategy = balancer_.strategy_name();
        const auto answer = std::make_shared<Answer>(Answer{std::string{method}, std::string{target}});
        api_.handle({method, target, headers, body, peer},
                    [answer](int status, const fairlead::HttpHeaders& told, std::string_view text) {
                        must(answer->status == 0, "there is one answer");
                        answer->status = status;
                        check(*answer, told, text);
                    });
        if (answer->status == 0) waiting_.push_back(answer);
        const auto after = names();
        const bool changed = after != before || balancer_.strategy_name() != strategy;
        must(admitted || answer->status == 401 || answer->status == 403, "who has no key is told so");
        must(admitted || !changed, "who has no key changes nothing");
        must(answer->status == 200 || !changed, "what is refused changes nothing");
        must(method != "GET" || !changed, "what reads changes nothing");
        if (answer->status == 200 && method == "DELETE")
            must(after.size() + 1 == before.size(), "one backend is removed");
        if (answer->status == 200 && method == "PUT")
            must(after.size() == before.size(), "an update neither adds nor removes");
    }

    static void check(const Answer& answer, const fairlead::HttpHeaders& headers, std::string_view text) {
        const auto body = nlohmann::json::parse(text, nullptr, false);
        must(!body.is_discarded(), "an answer is JSON");
        must(headers.get("Content-Type").value_or("") == "application/json", "and says so");
        for (const auto& header : headers)
            must(header.value.find_first_of("\r\n") == std::string::npos, "an answer's head holds together");
        std::string_view path = answer.target;
        path = path.substr(0, path.find_first_of("?#"));
        if (fairlead::AdminApi::is_mine(path)) path.remove_prefix(fairlead::AdminApi::prefix.size());
        // The document has no escapes in what is no name, and knows methods in capitals only.
        const bool plain = path.find('%') == std::string_view::npos &&
                           std::none_of(answer.method.begin(), answer.method.end(),
                                        [](char c) { return c >= 'a' && c <= 'z'; });
        if (plain) {
            const auto problem = openapi_test::document().problem(answer.method, path, answer.status, body);
            must(problem.empty(), problem.c_str());
        }
        must(text.find(backend_key) == std::string_view::npos ||
                 answer.target.find(backend_key) != std::string::npos,
             "no key of a backend is shown");
    }

    admin_test::Health health_{};
    Balancer balancer_{settings()};
    fairlead::AdminApi api_;
    std::vector<std::shared_ptr<Answer>> waiting_{};
};

/// Requests, apart by RS (0x1E). Each comes to two APIs: one with a key, brought or not, and one that answers
/// to this machine alone.
void fuzz_admin_api(std::string_view input) {
    AdminWorld with_key{admin_key};
    AdminWorld local{""};
    fairlead::test::ByteChance bytes{input};
    for (int requests = 0; !bytes.is_spent() && requests < 32; ++requests) {
        const auto text = bytes.until('\x1e');
        with_key.request(text, false, "127.0.0.1:1");
        with_key.request(text, true, "192.0.2.1:1");
        local.request(text, false, "192.0.2.1:1");
        local.request(text, false, "[::1]:1");
        if (requests % 4 == 3) with_key.end_probes();
    }
    for (auto* world : {&with_key, &local}) {
        world->end_probes();
        world->check_balancer();
    }
}

const fairlead::test::FuzzRegistration admin_api_body{"admin-api", fuzz_admin_api};

}  // namespace
