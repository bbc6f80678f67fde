// What a backend and the options may be.
#include <chrono>
#include <cmath>
#include <limits>
#include <set>
#include <string>

#include <fairlead/model/error.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/settings.hpp>
#include <fairlead/model/validate.hpp>

#include "support/catch.hpp"

using namespace fairlead;
using namespace std::chrono_literals;

namespace {

BackendConfig good() { return {.name = "a", .url = "http://a:1"}; }

/// Whether all of an enumeration up to `last` have names of their own, and the one behind it has none.
template <class Enum>
bool are_named(Enum last) {
    std::set<std::string> names;
    const int count = static_cast<int>(last) + 1;
    for (int i = 0; i < count; ++i) names.insert(to_string(static_cast<Enum>(i)));
    return names.size() == static_cast<std::size_t>(count) && !names.contains("unknown") &&
           to_string(static_cast<Enum>(count)) == std::string{"unknown"};
}

}  // namespace

TEST_CASE("names are 1 to 128 bytes of UTF-8 without control characters, slashes or outer blanks") {
    for (const std::string& name :
         {std::string{"a"}, std::string(128, 'a'), std::string{"a b"}, std::string{"后端"},
          std::string{"\xF0\x9F\x98\x80"}, std::string{".."}, std::string{"%00"}})
        CHECK(is_backend_name(name));
    for (const std::string& name :
         {std::string{}, std::string(129, 'a'), std::string{" a"}, std::string{"a "}, std::string{"a/b"},
          std::string{"a\nb"}, std::string{"a\0b", 3}, std::string{"a\x7F"}, std::string{"a\xC2\x85"},
          std::string{"\xE3\x80\x80"
                      "a"},
          std::string{"a\xC2\xA0"}, std::string{"\xC3"}, std::string{"\xC0\xAF"}, std::string{"\xED\xA0\x80"},
          std::string{"\xF4\x90\x80\x80"}, std::string{"\x80"}, std::string{"\xE0\x80\xAF"},
          std::string{"\xFF"}}) {
        CAPTURE(name);
        CHECK_FALSE(is_backend_name(name));
    }
}

TEST_CASE("URLs are http or https with a host, and optionally a port and a path") {
    for (const char* url :
         {"http://a", "https://a", "HTTP://A", "http://10.0.0.6:8000", "http://llm-1.internal:8000/",
          "http://a/v1", "http://a:1/base/v1/", "http://a:65535", "http://[::1]", "http://[fe80::1]:80/v1",
          "http://my_service:80", "http://a.", "https://a/%20"}) {
        CAPTURE(url);
        CHECK(is_backend_url(url));
    }
    for (const char* url : {"",
                            "a",
                            "a:80",
                            "//a",
                            "ftp://a",
                            "http:/a",
                            "http://",
                            "http:///v1",
                            "http://:80",
                            "http://a:",
                            "http://a:0",
                            "http://a:65536",
                            "http://a:99999999999",
                            "http://a:8o",
                            "http://a:80:80",
                            "http://u@a",
                            "http://u:p@a",
                            "http://a b",
                            " http://a",
                            "http://a ",
                            "http://a/ b",
                            "http://a?q",
                            "http://a/?q",
                            "http://a#f",
                            "http://a/\\",
                            "http://a\\b",
                            "http://[::1",
                            "http://[]",
                            "http://[g::]",
                            "http://::1",
                            "http://[::1]80",
                            "http://a..b",
                            "http://.a",
                            "http://a/\n",
                            "http://a\r\nX: y",
                            "http://é",
                            "http://a/é",
                            "http://a%41"}) {
        CAPTURE(url);
        CHECK_FALSE(is_backend_url(url));
    }
}

TEST_CASE("a backend of which no time is said has 30 s to answer and 5 s to be connected to") {
    const BackendConfig config = good();
    CHECK(config.timeout == 30s);
    CHECK(config.connect_timeout == 5s);
    CHECK_FALSE(config.first_byte_timeout);  // as `timeout`: see transport/http_bad_peers.cpp
    CHECK_FALSE(config.idle_timeout);
    CHECK_FALSE(config.total_timeout);
}

TEST_CASE("validate names the first thing that is wrong with a backend") {
    CHECK_FALSE(validate(good()));
    const auto with = [](auto change) {
        BackendConfig config = good();
        change(config);
        return validate(config);
    };
    CHECK(with([](auto& c) { c.name = ""; }) == Errc::bad_name);
    CHECK(with([](auto& c) { c.url = "a"; }) == Errc::bad_url);
    CHECK(with([](auto& c) { c.weight = 0; }) == Errc::bad_weight);
    CHECK_FALSE(with([](auto& c) { c.weight = max_weight; }));
    CHECK(with([](auto& c) { c.weight = max_weight + 1; }) == Errc::bad_weight);
    CHECK(with([](auto& c) { c.max_connections = 0; }) == Errc::bad_max_connections);
    CHECK_FALSE(with([](auto& c) { c.max_connections = max_connections_limit; }));
    CHECK(with([](auto& c) { c.max_connections = max_connections_limit + 1; }) == Errc::bad_max_connections);
    CHECK(with([](auto& c) { c.timeout = 0s; }) == Errc::bad_timeout);
    CHECK(with([](auto& c) { c.connect_timeout = -1s; }) == Errc::bad_timeout);
    CHECK(with([](auto& c) { c.first_byte_timeout = 0s; }) == Errc::bad_timeout);
    CHECK(with([](auto& c) { c.idle_timeout = 0s; }) == Errc::bad_timeout);
    CHECK(with([](auto& c) { c.total_timeout = 0s; }) == Errc::bad_timeout);
    CHECK_FALSE(with([](auto& c) { c.total_timeout = 1ns; }));
    CHECK(with([](auto& c) { c.api_key = "k\r\nX: y"; }) == Errc::bad_option);
    CHECK(with([](auto& c) { c.health.path = "v1"; }) == Errc::bad_option);
    CHECK(with([](auto& c) { c.health.interval = 0s; }) == Errc::bad_option);
    CHECK(with([](auto& c) { c.health.expected_status = 600; }) == Errc::bad_option);
    CHECK_FALSE(with([](auto& c) { c.health = {"/health", 1s, 204, "ok"}; }));
}

TEST_CASE("the default options are accepted") { CHECK(validate(Options{}).empty()); }

TEST_CASE("validate names every option that is out of range, and what would be right") {
    Options options;
    options.failure_threshold = 0;
    options.failure_ratio = std::nan("");
    options.hedge_quantile = 1;
    options.health_check_interval = 0s;
    options.health_check_path = "models";
    options.load_path = "metrics";
    options.health_check_status = 99;
    options.overprovisioning = 0.5;
    options.retry_budget_min = std::numeric_limits<double>::infinity();
    options.queue_timeout = -1s;
    options.latency_tau = std::chrono::hours{24 * 365 * 100};
    options.latency_to = static_cast<LatencyTo>(7);
    CHECK(validate(options) ==
          std::vector<std::string>{
              "retry_budget_min: must be >= 0, got nan", "hedge_quantile: must be >= 0 and < 1, got 1",
              "failure_threshold: must be >= 1, got 0", "failure_ratio: must be 0..1, got nan",
              "health_check_interval: must be > 0 (seconds), got 0",
              "health_check_status: must be 0 or 100..599, got 99",
              "overprovisioning: must be 0 or >= 1, got 0.5", "queue_timeout: must be > 0 (seconds), got -1",
              "latency_tau: must be <= 1000000000 (seconds), got 3153600000",
              "health_check_path: must begin with '/' and hold only visible ASCII without '#'",
              "load_path: must begin with '/' and hold only visible ASCII without '#'",
              "latency_to: must be first_byte or last_byte"});
}

TEST_CASE("each range's own ends are accepted or not as its text says") {
    Options options;
    detail::visit_ranges(options, [](std::string_view name, const auto&, const Range& range) {
        CAPTURE(std::string{name});
        CHECK(range.contains(range.low) != range.above_low);
        if (std::isfinite(range.high)) CHECK(range.contains(range.high) != range.below_high);
        CHECK_FALSE(range.contains(std::nan("")));
        CHECK_FALSE(range.contains(-1));
    });
    CHECK(Range{.low = 0, .high = 1, .above_low = true}.text() == "> 0 and <= 1");
    CHECK(Range{.low = 100, .high = 599, .or_zero = true}.text() == "0 or 100..599");
    CHECK(Range{.low = 1}.text() == ">= 1");
    CHECK(Range{.low = 1, .high = 1e9}.text() == "1..1000000000");
}

TEST_CASE("every kind of event, state, outcome and mode has a name of its own, and every error a sentence") {
    CHECK(are_named(Event::Kind::options_changed));
    CHECK(are_named(BackendState::disabled));
    CHECK(are_named(Outcome::cancelled));
    CHECK(are_named(Mode::multi_backend));
    std::set<std::string> sentences;
    const int last = static_cast<int>(Errc::fixed_option);
    for (int value = 1; value <= last; ++value)
        sentences.insert(make_error_code(static_cast<Errc>(value)).message());
    CHECK(sentences.size() == static_cast<std::size_t>(last));
    CHECK(error_category().message(last + 1) == "unknown fairlead error " + std::to_string(last + 1));
    CHECK(std::string{error_category().name()} == "fairlead");
}
