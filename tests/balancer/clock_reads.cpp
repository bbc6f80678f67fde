// How often a balancer asks for the time, and that it works by each clock that is offered.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/model/coarse_clock.hpp>
#include <fairlead/model/tsc_clock.hpp>
#include <fairlead/strategies/any_strategy.hpp>

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// Counts how often it is asked.
struct CountingClock {
    static inline std::uint64_t reads = 0;
    static Time now() noexcept { return Time{Duration{1'000'000 * ++reads}}; }
};

template <class Balancer>
std::uint64_t reads_of(Balancer& balancer, const Criteria& criteria, const Outcome& outcome,
                       bool first_byte) {
    one(balancer, Outcome::success, criteria);  // a subset's first use
    const std::uint64_t before = CountingClock::reads;
    Lease lease = balancer.select(criteria);
    REQUIRE(lease);
    if (first_byte) balancer.first_byte(lease);
    balancer.report(std::move(lease), outcome);
    return CountingClock::reads - before;
}

TEST_CASE("without figures of time no request reads the clock, whatever its strategy and its outcome") {
    static constexpr std::string_view tags[] = {"gpu"};
    static constexpr std::string_view tried[] = {"b1"};
    auto backends = fleet(20);
    for (auto& each : backends) {
        each.model_name = "m";
        each.tags = {"gpu"};
    }
    for (std::size_t i = 0; i < AnyStrategy::count; ++i) {
        for (const bool ejection : {true, false}) {
            Options options;
            options.timing = false;
            options.ejection = ejection;
            options.failure_threshold = 1000;  // an ejection has an end, for which the clock is read
            Balancer<AnyStrategy, NoTransport, CountingClock> balancer{
                backends, options, NoTransport{}, AnyStrategy{static_cast<StrategyKind>(i)}};
            for (const Criteria& criteria :
                 {Criteria{}, Criteria{.key = "k", .tokens = 10, .answer_tokens = 5},
                  Criteria{.model = "m", .tags = tags}, Criteria{.exclude = tried}}) {
                for (const auto kind : {Outcome::success, Outcome::connect_error, Outcome::timeout,
                                        Outcome::server_error, Outcome::client_error, Outcome::cancelled}) {
                    CHECK(reads_of(balancer, criteria, kind, false) == 0);
                    CHECK(reads_of(balancer, criteria, kind, true) == 0);
                }
                Outcome told = Outcome::success;
                told.completion_tokens = 7;
                CHECK(reads_of(balancer, criteria, told, true) == 0);
            }
        }
    }
}

TEST_CASE("a balancer of one backend alone reads no clock") {
    Settings settings;
    settings.mode = Mode::single_backend;
    settings.backends = fleet(1);
    not_balanced(settings.options);
    Balancer<AnyStrategy, NoTransport, CountingClock> balancer{settings};
    CHECK(reads_of(balancer, {}, Outcome::success, true) == 0);
}

TEST_CASE("with figures of time a request reads the clock once when it begins and once when it ends") {
    Balancer<RoundRobin, NoTransport, CountingClock> balancer{fleet(3)};
    CHECK(reads_of(balancer, {}, Outcome::success, false) == 2);
    CHECK(reads_of(balancer, {}, Outcome::success, true) == 3);
    CHECK(reads_of(balancer, {}, Outcome::client_error, false) == 2);
}

TEST_CASE("without figures of time no request is shown to have taken any") {
    Options options;
    options.timing = false;
    Balancer<RoundRobin> balancer{fleet(1), options};
    for (int i = 0; i < 7; ++i) one(balancer);
    CHECK(figures(balancer, "b0").completed == 7);
    CHECK(figures(balancer, "b0").response_times == LatencyCounts{});
}

TEST_CASE("a rest has its end also without figures of time") {
    Options options;
    options.timing = false;
    Balancer<RoundRobin, NoTransport, CountingClock> balancer{fleet(1), options};
    Outcome limited = Outcome::rate_limited;
    limited.retry_after = std::chrono::milliseconds{20};
    one(balancer, limited);
    const Lease refused = balancer.select();
    CHECK(refused.error() == Errc::all_resting);
    for (int i = 0; i < 20 && !balancer.select(); ++i) {
    }
    CHECK(balancer.select());  // each look passed a millisecond
}

template <class Clock>
void balances_by() {
    Balancer<ResponseTime, NoTransport, Clock> balancer{fleet(4)};
    for (int i = 0; i < 1000; ++i) REQUIRE(!one(balancer).empty());
    for (const auto& each : balancer.snapshot()) {
        CHECK(each.in_flight == 0);
        CHECK(each.completed > 0);
        CHECK(each.average_response_time < std::chrono::seconds{1});
    }
}

TEST_CASE("a balancer works by each clock that is offered") {
    balances_by<CoarseClock>();
    balances_by<TscClock>();
}

}  // namespace
