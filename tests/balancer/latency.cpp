// What a latency is made of, and what a choice makes of it: how long evidence lasts, which requests are any,
// how long a failure counts. In virtual time.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/fairlead.hpp>

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// One backend, alone in its pool, and what is left of its answers.
class Evidence {
  public:
    explicit Evidence(const Options& options) : options_{options} {
        pace_.join(account_, pool_);
        pass(Duration::zero());
    }

    void answered(std::uint64_t times = 1) {
        account_.word.fetch_add(times << detail::word::completed_shift, std::memory_order_relaxed);
    }
    void pass(Duration time) {
        clock_.advance(time);
        pace_.refresh(account_, detail::tick_of(clock_.now()), options_);
    }
    /// In answers.
    double left() const { return pool_->done_a_member(); }

  private:
    Options options_;
    ManualClock clock_;
    std::shared_ptr<detail::PoolLatency> pool_ = std::make_shared<detail::PoolLatency>();
    detail::Account account_;
    detail::Pace pace_;
};

TEST_CASE("evidence fades with latency_tau_max at the slowest, however few the requests are") {
    for (const auto longest : {15s, 60s, 300s}) {
        Options options;
        CHECK(options.latency_tau_max == 5min);
        options.latency_tau_max = longest;
        Evidence evidence{options};
        evidence.answered();
        evidence.pass(Duration::zero());
        REQUIRE(evidence.left() == 1.0);
        // A tick is 66 us, so that a second is one to 7e-5: off by 7e-6 of what is left, with the shortest.
        const double slowest = std::exp(-1.0 / std::chrono::duration<double>{longest}.count());
        const double fastest = std::exp(-1.0 / 10);
        double kept = 0;
        for (int second = 0; second < 1000; ++second) {
            const double before = evidence.left();
            evidence.pass(1s);
            kept = evidence.left() / before;
            CHECK(kept < slowest + 1e-5);
            CHECK(kept > fastest - 1e-5);
        }
        CHECK(kept > slowest - 1e-5);  // and by then it is as slow as it may be
    }
}

TEST_CASE("evidence lasts for what 20 requests take, from latency_tau to latency_tau_max") {
    // Each counts e^(-age / tau): of one in `between`, 1 / (1 - e^(-between / tau)) are left.
    const auto left = [](Duration between, Duration longest) {
        Options options;
        options.latency_tau_max = longest;
        Evidence evidence{options};
        for (int i = 0; i < 1000; ++i) {
            evidence.answered();
            evidence.pass(between);
        }
        return evidence.left();
    };
    CHECK(left(100ms, 5min) == Approx(100.5).epsilon(0.01));  // tau is 10 s: that is 100 of them
    CHECK(left(2s, 5min) == Approx(20.5).epsilon(0.02));      // 40 s
    CHECK(left(30s, 5min) == Approx(10.5).epsilon(0.01));     // 300 s, and not the 600 that 20 take
    CHECK(left(30s, 1min) == Approx(2.54).epsilon(0.01));
    CHECK(left(30s, 1s) == Approx(1.05).epsilon(0.01));  // below latency_tau: 10 s
}

/// Two backends, and requests that each ends when the test says so.
template <class S>
struct PairInTime {
    explicit PairInTime(Options options = {})
        : balancer{fleet(2, 1000), seeded(std::move(options)), NoTransport{}, S{}, clock} {}

    static Options seeded(Options options) {
        options.seed = 1;
        return options;
    }

    Lease on(std::string_view name) {
        const std::string_view other[] = {name == "b0" ? "b1" : "b0"};
        Lease lease = balancer.select({.exclude = other});
        REQUIRE(lease->name == name);
        return lease;
    }
    std::vector<Lease> on(std::string_view name, int times) {
        std::vector<Lease> leases;
        for (int i = 0; i < times; ++i) leases.push_back(on(name));
        return leases;
    }
    void report(std::vector<Lease> leases, const Outcome& outcome = Outcome::success) {
        for (auto& lease : leases) balancer.report(std::move(lease), outcome);
    }

    /// Brings its figures up to date, as a request does that is given back at once and says nothing.
    void refresh(std::string_view name) { const Lease given_back = on(name); }

    /// How many of so many choices are `name`, each given back at once.
    int chosen(std::string_view name, int times) {
        int count = 0;
        for (int i = 0; i < times; ++i) count += balancer.select()->name == name ? 1 : 0;
        return count;
    }

    ManualClock clock;
    Balancer<S, NoTransport, ManualClock> balancer;
};

/// How slow b0 looks after its first request, which ends so after that time. The pool's mean is 1 s: b1
/// answered 40.
double slowness_after(Duration time, const Outcome& outcome, Duration first_byte = Duration::max()) {
    Options options;
    options.latency_tau = 1h;  // nothing fades meanwhile
    PairInTime<RoundRobin> t{options};
    auto leases = t.on("b1", 40);
    t.clock.advance(1s);
    t.report(std::move(leases));
    t.refresh("b1");  // from now on the pool knows of them
    Lease lease = t.on("b0");
    t.clock.advance(std::min(first_byte, time));
    if (first_byte < time) {
        t.balancer.first_byte(lease);
        t.clock.advance(time - first_byte);
    }
    t.balancer.report(std::move(lease), outcome);
    t.refresh("b0");
    return figures(t.balancer, "b0").slowness;
}

TEST_CASE("a cancelled request is an answer when it had taken longer than the mean already, else none") {
    // As an answer of 0.9 or 1.1 s it is one like the others. As none, its waiting alone is held against the
    // backend: (0.9 + L) / L is 1.88, less the noise gate 1.71, with L = 1.0225 s, to which it adds.
    CHECK(slowness_after(1100ms, Outcome::success) == 1.0);
    CHECK(slowness_after(1100ms, Outcome::cancelled) == 1.0);
    CHECK(slowness_after(900ms, Outcome::success) == 1.0);
    CHECK(slowness_after(900ms, Outcome::cancelled) == Approx(1.71).epsilon(0.01));
    CHECK(slowness_after(4s, Outcome::cancelled) ==
          Approx(slowness_after(4s, Outcome::success)).epsilon(0.001));
    // Many that give up at once are no sign of a fast backend.
    CHECK(slowness_after(10ms, Outcome::success) < 0.6);
    CHECK(slowness_after(10ms, Outcome::cancelled) == 1.0);
}

TEST_CASE("a cancelled request whose first byte had come is an answer, however soon that was") {
    CHECK(slowness_after(900ms, Outcome::cancelled, 200ms) ==
          Approx(slowness_after(900ms, Outcome::success, 200ms)).epsilon(0.001));
    CHECK(slowness_after(900ms, Outcome::cancelled, 200ms) < 0.7);
}

/// How long after b0 failed in 1 ms it is first chosen again, to 10 ms. Both have `answers` of 0.1 s before.
template <class S>
Duration shunned_after_failure(int answers) {
    Options options;
    options.ejection = false;
    PairInTime<S> t{options};
    auto first = t.on("b0", answers);
    auto second = t.on("b1", answers);
    t.clock.advance(100ms);
    t.report(std::move(first));
    t.report(std::move(second));
    // A tie is broken evenly: of 40 choices all go to one with probability 2e-12.
    CHECK(t.chosen("b0", 40) > 0);
    Lease failing = t.on("b0");
    t.clock.advance(1ms);
    t.balancer.report(std::move(failing), Outcome::connect_error);
    Duration passed{};
    while (t.chosen("b0", 40) == 0 && passed < 1min) {
        t.clock.advance(10ms);
        passed += 10ms;
    }
    return passed;
}

TEST_CASE("a failure counts as in flight for 10 mean latencies, then it is forgotten") {
    // The mean is 0.1 s, and grows by 1 % while the failure is taken for one that waits. Noticed with a
    // refresh, every 64th of tau, 0.16 s.
    const auto check = [](Duration shunned) {
        CHECK(shunned >= 1s);
        CHECK(shunned <= 1180ms);
    };
    check(shunned_after_failure<LeastConnections>(500));
    check(shunned_after_failure<ResponseTime>(500));
    check(shunned_after_failure<LeastTokens>(500));
}

TEST_CASE("however many requests hang for however long, their latency is what it was") {
    struct Stall {
        std::size_t requests;
        std::chrono::seconds time;
    };
    for (const auto& stall : {Stall{100, 600s}, Stall{1000, 300s}, Stall{10'000, 40s}, Stall{100'000, 5s}}) {
        ManualClock clock;
        Options options;
        options.seed = 1;
        Balancer<ResponseTime, NoTransport, ManualClock> balancer{
            fleet(1, 1'000'000), options, {}, {}, clock};
        std::vector<Lease> leases(stall.requests);
        for (auto& lease : leases) lease = balancer.select();
        clock.advance(stall.time);
        for (auto& lease : leases) balancer.report(std::move(lease), Outcome::success);
        clock.advance(1s);
        one(balancer);  // the averages are brought up to date
        const auto shown = figures(balancer, "b0");
        INFO(stall.requests << " requests for " << stall.time.count() << " s");
        const double seconds = std::chrono::duration<double>(shown.response_time_sum).count();
        const double all = static_cast<double>(stall.requests) * static_cast<double>(stall.time.count());
        CHECK(seconds == Approx(all).epsilon(1e-4));  // a tick of 66 us at either end
    }
}

TEST_CASE("before the first answer the pool's mean is taken to be 1 s") {
    // A failure counts for ten of them.
    const Duration shunned = shunned_after_failure<LeastConnections>(0);
    CHECK(shunned >= 10s);
    CHECK(shunned <= 10180ms);
    // A first request that hangs looks as slow as it is against them: (3 s + 1 s) / 1 s, less the noise gate.
    PairInTime<ResponseTime> t;
    const Lease hanging = t.on("b0");
    t.clock.advance(3s);
    t.refresh("b0");
    CHECK(figures(t.balancer, "b0").slowness == Approx(4 / 1.1).epsilon(0.001));
    CHECK(figures(t.balancer, "b1").slowness == 1.0);
    CHECK(t.chosen("b1", 40) == 40);
}

TEST_CASE("a first byte that only the outcome tells is counted as one that was told when it came, and once") {
    PairInTime<RoundRobin> t;
    const auto answered = [&](const Outcome& outcome, bool told) {
        Lease lease = t.on("b0");
        t.clock.advance(40ms);
        if (told) t.balancer.first_byte(lease);
        t.clock.advance(2s);
        t.balancer.report(std::move(lease), outcome);
        return figures(t.balancer, "b0");
    };
    LatencyCounts expected{};
    BackendFigures b0 = answered(Outcome::success, false);
    CHECK(b0.first_byte_times == expected);
    CHECK(b0.first_byte_sum == 0s);

    Outcome outcome;
    outcome.first_byte = 300ms;
    b0 = answered(outcome, false);
    ++expected[5];  // more than 250 ms, 500 at most
    CHECK(b0.first_byte_times == expected);
    CHECK(b0.first_byte_sum == 300ms);

    b0 = answered(outcome, true);
    ++expected[2];  // as the clock had it: 40 ms
    CHECK(b0.first_byte_times == expected);
    CHECK(b0.first_byte_sum == 340ms);

    outcome.kind = Outcome::server_error;
    b0 = answered(outcome, false);
    ++expected[5];
    CHECK(b0.first_byte_times == expected);
    CHECK(b0.first_byte_sum == 640ms);
    CHECK(figures(t.balancer, "b1").first_byte_times == LatencyCounts{});
}

TEST_CASE("a latency that the outcome tells stands in the distribution, in the place of the measured one") {
    PairInTime<RoundRobin> t;
    LatencyCounts expected{};
    for (const auto kind : {Outcome::success, Outcome::server_error}) {
        for (const auto told : {std::optional<Duration>{}, std::optional<Duration>{300ms}}) {
            Outcome outcome{kind};
            outcome.latency = told;
            Lease lease = t.on("b0");
            t.clock.advance(2s);
            t.balancer.report(std::move(lease), outcome);
            ++expected[told ? 5 : 7];  // more than 250 ms, 500 at most; more than 1 s, 2.5 at most
            CHECK(figures(t.balancer, "b0").response_times == expected);
        }
    }
}

TEST_CASE("latency_to says which backend is the faster: whose answers begin sooner, or whose end sooner") {
    for (const auto latency_to : {LatencyTo::first_byte, LatencyTo::last_byte}) {
        Options options;
        options.latency_to = latency_to;
        PairInTime<ResponseTime> t{options};
        auto eager = t.on("b0", 20);  // begin after 0.1 s, end after 10 s
        auto brisk = t.on("b1", 20);  // begin after 0.4 s, end after 0.5 s
        t.clock.advance(100ms);
        for (auto& lease : eager) t.balancer.first_byte(lease);
        t.clock.advance(300ms);
        for (auto& lease : brisk) t.balancer.first_byte(lease);
        t.clock.advance(100ms);
        t.report(std::move(brisk));
        t.clock.advance(9500ms);
        t.report(std::move(eager));
        t.refresh("b0");
        t.refresh("b1");
        CHECK(t.chosen("b0", 40) == (latency_to == LatencyTo::first_byte ? 40 : 0));
    }
}

}  // namespace
