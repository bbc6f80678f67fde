// The failure table row by row, the decision to retry, the length of ejections, and the ramp.
#include <fairlead/resilience/ejection.hpp>
#include <fairlead/resilience/retry.hpp>
#include <fairlead/resilience/slow_start.hpp>
#include <fairlead/resilience/verdict.hpp>

#include "support/catch.hpp"

namespace {

using namespace fairlead;
using namespace std::chrono_literals;

constexpr Verdict good{.success = true};
constexpr Verdict failed{.failure = true, .fails_trial = true, .retry = true};
constexpr Verdict pressed{.neutral = true, .fails_trial = true, .retry = true, .rests = true};

Time after(Duration since) { return Time{1'000s + since}; }

}  // namespace

TEST_CASE("the failure table says of every status what its row says") {
    for (int status = 100; status < 600; ++status) {
        CAPTURE(status);
        const bool key = status == 401 || status == 403;
        const Verdict expected = status >= 500 ? failed : status == 429 ? pressed : good;
        CHECK(judge(Outcome::from_status(status), false) == expected);
        CHECK(judge(Outcome::from_status(status), true) == (key ? failed : expected));
        Outcome told = Outcome::from_status(status);
        told.retry_after = 1s;
        CHECK(judge(told, false) == (status == 503 ? pressed : expected));
    }
    CHECK(judge(Outcome::connect_error, false) == failed);
    CHECK(judge(Outcome::timeout, false) == failed);
    CHECK(judge(Outcome::cancelled, true) == Verdict{.neutral = true});
}

TEST_CASE("a rest lasts as told, five seconds for a 429 that does not say, never above the limit") {
    const Options options;
    Outcome outcome = Outcome::from_status(429);
    CHECK(rest_of(outcome, options) == 5s);
    outcome.retry_after = 7s;
    CHECK(rest_of(outcome, options) == 7s);
    outcome.retry_after = 1h;
    CHECK(rest_of(outcome, options) == 60s);
    CHECK(rest_of(Outcome::from_status(503), options) == 0s);
}

TEST_CASE("each switch of retry_on turns off its own row only") {
    const Outcome limited = Outcome::from_status(429);
    const Outcome broken = Outcome::from_status(500);
    CHECK_FALSE(retries(limited, {.rate_limited = false}, false));
    CHECK(retries(broken, {.rate_limited = false}, false));
    CHECK_FALSE(retries(broken, {.server_error = false}, false));
    CHECK_FALSE(retries(Outcome::from_status(401), {.server_error = false}, true));
    CHECK_FALSE(retries(Outcome::timeout, {.timeout = false}, false));
    CHECK_FALSE(retries(Outcome::connect_error, {.connect_error = false}, false));
    CHECK_FALSE(retries(Outcome::success, {}, true));
}

TEST_CASE("a try is repeated only with retries left, before the deadline and before the first byte") {
    const Outcome outcome = Outcome::connect_error;
    const FailedTry base{.outcome = outcome, .retries_left = 1, .deadline = Deadline{after(1s)}};
    CHECK(next_try(base, {}, true, after(0s)) == NextTry::elsewhere);
    CHECK(next_try(base, {}, false, after(0s)) == NextTry::same_after_back_off);
    CHECK(next_try(base, {}, true, after(1s)) == NextTry::none);
    FailedTry other = base;
    other.retries_left = 0;
    CHECK(next_try(other, {}, true, after(0s)) == NextTry::none);
    FailedTry unhurried{.outcome = outcome, .retries_left = 1};
    CHECK(next_try(unhurried, {}, true, after(0s)) == NextTry::elsewhere);
    FailedTry begun{.outcome = outcome, .retries_left = 1, .answer_begun = true};
    CHECK(next_try(begun, {}, true, after(0s)) == NextTry::none);
    FailedTry never{.outcome = outcome, .retries_left = 1, .wish = RequestOptions::Retry::never};
    CHECK(next_try(never, {}, true, after(0s)) == NextTry::none);
    Outcome unsent = Outcome::connect_error;
    unsent.unsent = true;
    FailedTry harmless{.outcome = unsent, .retries_left = 1, .wish = RequestOptions::Retry::never};
    CHECK(next_try(harmless, {}, true, after(0s)) == NextTry::elsewhere);
}

TEST_CASE("the back-off's limit doubles from 50 ms to 1 s, and the pause is below it") {
    const Options options;
    Rng rng{1};
    const Duration limits[] = {50ms, 100ms, 200ms, 400ms, 800ms, 1s, 1s};
    for (std::uint32_t again = 0; again < 7; ++again) {
        CHECK(detail::back_off_limit(again, options) == limits[again]);
        for (int i = 0; i < 1000; ++i) REQUIRE(detail::back_off(again, options, rng) < limits[again]);
    }
}

TEST_CASE("the n-th ejection in a row lasts n times 10 s, at most 5 min, plus at most a tenth") {
    const Options options;
    Rng rng{1};
    Ejection ejection;
    Time now = after(0s);
    for (int n = 1; n <= 40; ++n) {
        ejection.eject(now, options, rng);
        const Duration length = std::min<Duration>(10s * n, 5min);
        CHECK(ejection.next_due() - now >= length);
        CHECK(ejection.next_due() - now <= length + length / 10);
        CHECK_FALSE(ejection.expire(ejection.next_due() - 1ns));
        now = ejection.next_due();
        CHECK(ejection.expire(now));
        CHECK_FALSE(ejection.trial_succeeded(now, options));  // one of two; the next trial fails
    }
}

TEST_CASE("each 10 s in service take one off the number of ejections, and no good trial outlives a bad one") {
    const Options options;
    Rng rng{1};
    Ejection ejection;
    for (int n = 0; n < 3; ++n) {
        ejection.eject(after(0s), options, rng);
        REQUIRE(ejection.expire(after(1000s)));
        CHECK_FALSE(ejection.trial_succeeded(after(1000s), options));
    }
    REQUIRE(ejection.trial_succeeded(after(1000s), options));
    CHECK(ejection.in_service());
    CHECK(ejection.times_in_a_row(after(1009s), options) == 3);
    CHECK(ejection.times_in_a_row(after(1010s), options) == 2);
    CHECK(ejection.times_in_a_row(after(1030s), options) == 0);
    ejection.eject(after(1020s), options, rng);
    CHECK(ejection.times_in_a_row(after(1020s), options) == 2);
}

TEST_CASE("half may be out, rounded down, at least one of two, never the only one") {
    CHECK(may_be_out(1, 0.5) == 0);
    CHECK(may_be_out(2, 0.1) == 1);
    CHECK(may_be_out(3, 0.5) == 1);
    CHECK(may_be_out(100, 0.29) == 29);
    CHECK(may_be_out(5, 1.0) == 5);
    CHECK(may_be_out(5, 0.0) == 0);
}

TEST_CASE("the ramp rises linearly from its floor to all, and the limit with it, never below one") {
    CHECK(slow_start_share(0s, 10s, 0.1) == Approx(0.1));
    CHECK(slow_start_share(-1s, 10s, 0.1) == Approx(0.1));  // another thread's clock is a little ahead
    CHECK(slow_start_share(5s, 10s, 0.1) == Approx(0.55));
    CHECK(slow_start_share(10s, 10s, 0.1) == 1.0);
    CHECK(slow_start_share(0s, 0s, 0.1) == 1.0);
    CHECK(slow_start_limit(50, 0.1) == 5);
    CHECK(slow_start_limit(3, 0.1) == 1);
    CHECK(slow_start_limit(0, 1.0) == 0);
}
