// Prometheus text: what it tells, and that no name can break it.
#include <string>

#include <fairlead/control/prometheus.hpp>

#include "fairlead/balancer/balancer.hpp"
#include "fairlead/strategies/any_strategy.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using fairlead::Outcome;

namespace {

/// Time that a test moves.
struct Clock {
    fairlead::Time* at;
    fairlead::Time now() const noexcept { return *at; }
};

struct Fleet {
    fairlead::Time now{1s};
    fairlead::Balancer<fairlead::AnyStrategy, fairlead::NoTransport, Clock> balancer{
        {{.name = "a", .url = "http://a:1", .model_name = "m", .api_key = "sk-secret"}},
        options(),
        {},
        {},
        {&now}};

    static fairlead::Options options() {
        fairlead::Options options;
        options.seed = 1;
        return options;
    }

    void request(fairlead::Duration first, fairlead::Duration whole, Outcome outcome = Outcome::success) {
        auto lease = balancer.select();
        REQUIRE(lease);
        now += first;
        if (first > 0s) balancer.first_byte(lease);
        now += whole - first;
        balancer.report(std::move(lease), outcome);
    }

    bool says(const std::string& line) const {
        const auto text = fairlead::prometheus_text(balancer);
        const bool found = ("\n" + text).find("\n" + line + "\n") != std::string::npos;
        if (!found) UNSCOPED_INFO(text);
        return found;
    }
};

}  // namespace

TEST_CASE("requests are counted by backend and outcome, tokens by kind") {
    Fleet fleet;
    Outcome outcome{Outcome::success};
    outcome.prompt_tokens = 7;
    outcome.completion_tokens = 9;
    fleet.request(0s, 1s, outcome);
    fleet.request(0s, 1s, Outcome::server_error);
    const auto lease = fleet.balancer.select({.tokens = 3});
    CHECK(fleet.says("fairlead_requests_total{backend=\"a\",outcome=\"success\"} 1"));
    CHECK(fleet.says("fairlead_requests_total{backend=\"a\",outcome=\"server_error\"} 1"));
    CHECK(fleet.says("fairlead_requests_total{backend=\"a\",outcome=\"cancelled\"} 0"));
    CHECK(fleet.says("fairlead_failures_total{backend=\"a\"} 1"));
    CHECK(fleet.says("fairlead_requests_in_flight{backend=\"a\"} 1"));
    CHECK(fleet.says("fairlead_tokens_in_flight{backend=\"a\"} 3"));
    CHECK(fleet.says("fairlead_tokens_total{backend=\"a\",kind=\"prompt\"} 7"));
    CHECK(fleet.says("fairlead_tokens_total{backend=\"a\",kind=\"completion\"} 9"));
    CHECK(fleet.says("fairlead_backend_state{backend=\"a\",state=\"healthy\"} 1"));
    CHECK(fleet.says("fairlead_backend_state{backend=\"a\",state=\"disabled\"} 0"));
    CHECK(fleet.says("fairlead_backend_info{backend=\"a\",model=\"m\"} 1"));
}

TEST_CASE("a latency falls into the first bucket whose bound is not below it, and into all after") {
    Fleet fleet;
    for (const auto whole : {1ms, 10ms, 11ms, 25ms, 2'500ms, 400'000ms}) fleet.request(0s, whole);
    const std::string bucket = "fairlead_request_duration_seconds_bucket{backend=\"a\",le=";
    CHECK(fleet.says(bucket + "\"0.01\"} 2"));
    CHECK(fleet.says(bucket + "\"0.025\"} 4"));
    CHECK(fleet.says(bucket + "\"1\"} 4"));
    CHECK(fleet.says(bucket + "\"2.5\"} 5"));
    CHECK(fleet.says(bucket + "\"300\"} 5"));
    CHECK(fleet.says(bucket + "\"+Inf\"} 6"));
    CHECK(fleet.says("fairlead_request_duration_seconds_count{backend=\"a\"} 6"));
}

TEST_CASE("a stream's latency is its whole time, its first byte is told apart") {
    Fleet fleet;
    fleet.request(40ms, 3s);
    fleet.request(5ms, 6ms);
    fleet.request(0s, 1s);  // its first byte was not told
    const std::string whole = "fairlead_request_duration_seconds";
    CHECK(fleet.says(whole + "_bucket{backend=\"a\",le=\"0.01\"} 1"));
    CHECK(fleet.says(whole + "_bucket{backend=\"a\",le=\"1\"} 2"));
    CHECK(fleet.says(whole + "_bucket{backend=\"a\",le=\"5\"} 3"));
    const std::string first = "fairlead_time_to_first_byte_seconds";
    CHECK(fleet.says(first + "_bucket{backend=\"a\",le=\"0.01\"} 1"));
    CHECK(fleet.says(first + "_bucket{backend=\"a\",le=\"0.05\"} 2"));
    CHECK(fleet.says(first + "_count{backend=\"a\"} 2"));
    CHECK(fleet.says(first + "_sum{backend=\"a\"} 0.045"));
}

TEST_CASE("picks are counted for the strategy that made them, also of backends that are gone") {
    Fleet fleet;
    fleet.request(0s, 1s);
    fleet.request(0s, 1s);
    fleet.balancer.set_strategy(fairlead::Random{});
    auto lease = fleet.balancer.select();
    CHECK(fleet.says("fairlead_picks_total{strategy=\"round_robin\"} 2"));
    CHECK(fleet.says("fairlead_picks_total{strategy=\"random\"} 1"));
    fleet.balancer.remove("a");
    CHECK(fleet.says("fairlead_picks_total{strategy=\"random\"} 1"));
    fleet.balancer.report(std::move(lease), Outcome::success);
    fleet.balancer.set_strategy(fairlead::RoundRobin{});
    CHECK(fleet.says("fairlead_picks_total{strategy=\"round_robin\"} 2"));
    CHECK(fleet.says("fairlead_picks_total{strategy=\"random\"} 1"));
    CHECK(fleet.balancer.totals().completed == 3);
}

TEST_CASE("ejections are counted, and a state has one 1") {
    Fleet fleet;
    fleet.balancer.add({.name = "b", .url = "http://b:1", .model_name = "m"});
    for (int i = 0; i < 100; ++i) {
        auto lease = fleet.balancer.select();
        const auto outcome = lease->name == "b" ? Outcome::connect_error : Outcome::success;
        fleet.balancer.report(std::move(lease), outcome);
    }
    CHECK(fleet.says("fairlead_ejections_total{backend=\"b\"} 1"));
    CHECK(fleet.says("fairlead_backend_state{backend=\"b\",state=\"unhealthy\"} 1"));
    CHECK(fleet.says("fairlead_backend_state{backend=\"b\",state=\"healthy\"} 0"));
    CHECK(fleet.says("fairlead_backend_in_service{backend=\"b\"} 0"));
}

TEST_CASE("labels are escaped, and no key is told") {
    Fleet fleet;
    fleet.balancer.add({.name = "q\"b\\n 漢", .url = "http://b:1", .model_name = "line\nbreak"});
    CHECK(fleet.says("fairlead_backend_info{backend=\"q\\\"b\\\\n 漢\",model=\"line\\nbreak\"} 1"));
    fleet.balancer.add(
        {.name = "c", .url = "http://c:1", .model_name = "m\xFF\xC3"});  // as an environment may
    CHECK(fleet.says("fairlead_backend_info{backend=\"c\",model=\"m\xEF\xBF\xBD\xEF\xBF\xBD\"} 1"));
    CHECK(fairlead::prometheus_text(fleet.balancer).find("sk-secret") == std::string::npos);
}

TEST_CASE("an engine's load is shown with its age where it is known, and nowhere else") {
    Fleet fleet;
    fleet.balancer.add({.name = "b", .url = "http://b:1", .model_name = "m"});
    CHECK(fairlead::prometheus_text(fleet.balancer).find("fairlead_engine") == std::string::npos);
    fairlead::LoadReport report;
    report.running = 12;
    report.cache_use = 0.25;
    report.at = fleet.now;
    CHECK_FALSE(fleet.balancer.report_load("b", report));
    fleet.now += (500ms);
    CHECK(fleet.says("fairlead_engine_requests_running{backend=\"b\"} 12"));
    CHECK(fleet.says("fairlead_engine_cache_use_ratio{backend=\"b\"} 0.25"));
    CHECK(fleet.says("fairlead_engine_figure_age_seconds{backend=\"b\",figure=\"running\"} 0.5"));
    const auto text = fairlead::prometheus_text(fleet.balancer);
    CHECK(text.find("fairlead_engine_requests_waiting") == std::string::npos);
    CHECK(text.find("fairlead_engine_requests_running{backend=\"a\"}") == std::string::npos);
    fleet.now += (3s);  // more than three intervals
    CHECK(fairlead::prometheus_text(fleet.balancer).find("fairlead_engine") == std::string::npos);
}

TEST_CASE("without timing there are no latencies to tell") {
    auto options = Fleet::options();
    options.timing = false;
    const fairlead::Balancer<> balancer{{{.name = "a", .url = "http://a:1"}}, options};
    CHECK(fairlead::prometheus_text(balancer).find("_seconds_bucket") == std::string::npos);
}
