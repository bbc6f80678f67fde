// The retry budget and the failure ratio, against the plain definition of a window.
#include "support/catch.hpp"

#include <fairlead/model/rng.hpp>
#include <fairlead/resilience/failure_ratio.hpp>
#include <fairlead/resilience/retry_budget.hpp>

#include <algorithm>
#include <chrono>
#include <vector>

namespace {

using namespace fairlead;
using namespace std::chrono_literals;

Time at(Duration since) { return Time{1'000'000s + since}; }

/// Random traffic in bursts and pauses; wants a retry for every request it can. Returns requests and retries
/// by time.
struct Traffic {
    std::vector<Time> requests;
    std::vector<Time> retries;
};

Traffic drive(std::uint64_t seed, const Options& options) {
    Rng rng{seed};
    RetryBudget budget;
    Traffic traffic;
    Duration now{};
    for (int i = 0; i < 4000; ++i) {
        now += rng.below(50) == 0 ? Duration{1ms * rng.below(8000)} : Duration{1ms * rng.below(20)};
        if (rng.below(3) != 0) traffic.requests.push_back(at(now));
        if (rng.below(2) == 0 && budget.take(at(now), traffic.requests.size(), options)) {
            traffic.retries.push_back(at(now));
        }
    }
    return traffic;
}

TEST_CASE("a ratio lets its share of requests be retried, however small the allowance; a ratio of 0 none") {
    for (const double a_second : {0.0, 0.05, 0.1}) {
        for (const double ratio : {0.2, 0.0}) {
            RetryBudget budget;
            Options options;
            options.retry_budget_min = a_second;
            options.retry_budget_ratio = ratio;
            int retries = 0;
            for (int i = 1; i <= 10'000; ++i) {  // 100 a second, every fourth fails
                const auto requests = static_cast<std::uint64_t>(i);
                if (i % 4 == 0 && budget.take(at(i * 10ms), requests, options)) ++retries;
            }
            INFO(a_second << " a second and " << ratio);
            if (ratio > 0) {
                CHECK(retries > 1200);        // every second that asks: the next would be the fourth of 16
                CHECK(retries <= 2001 + 10);  // 0.1 a second, 100 s
            } else {
                CHECK(retries <= 11 * a_second * 10);
            }
        }
    }
}

TEST_CASE("over any window, retries stay within the share of requests plus the allowance") {
    Options options;
    options.retry_budget_min = 2;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        const Traffic traffic = drive(seed, options);
        REQUIRE(traffic.retries.size() > 100);
        // The worst windows begin just before a retry.
        for (std::size_t first = 0; first < traffic.retries.size(); ++first) {
            const Time from = traffic.retries[first];
            const Time to = from + options.retry_budget_window;
            const auto in = [&](const std::vector<Time>& times) {
                return std::lower_bound(times.begin(), times.end(), to) -
                       std::lower_bound(times.begin(), times.end(), from);
            };
            if (static_cast<double>(in(traffic.retries)) >
                0.2 * static_cast<double>(in(traffic.requests)) + 20 + 1e-6) {
                FAIL("too many retries from " << first);
            }
        }
    }
}

TEST_CASE("a steady stream gets its whole share of retries") {
    Options options;
    options.retry_budget_min = 1;
    RetryBudget budget;
    std::uint64_t granted = 0;
    for (std::uint64_t i = 1; i <= 100'000; ++i) {
        if (budget.take(at(1ms * i), i, options)) ++granted;
    }
    CHECK(granted <= 20'010 + 90);  // 100 s: a share of 20,000 and at most 10 for each window
    CHECK(granted >= 19'900);
}

TEST_CASE("after a pause the allowance is there again, at once") {
    Options options;
    RetryBudget budget;
    int granted = 0;
    while (budget.take(at(0s), 0, options)) ++granted;
    CHECK(granted == 100);  // 10 a second over 10 s
    CHECK_FALSE(budget.take(at(9999ms), 0, options));
    CHECK(budget.take(at(10s), 0, options));
}

TEST_CASE("a ratio is exceeded by more than half of at least twenty, and not before") {
    Options options;
    FailureRatio ratio;
    std::uint32_t completed = 0;
    std::uint32_t failed = 0;
    // Two of three fail, 100 ms apart.
    std::uint32_t at_failure = 0;
    for (int i = 0; i < 100 && at_failure == 0; ++i) {
        ++completed;
        if (i % 3 == 2) continue;
        ++failed;
        ratio.sample(at(100ms * i), completed, failed, options);
        if (ratio.exceeded(at(100ms * i), options)) at_failure = completed;
    }
    CHECK(at_failure == 20);
}

TEST_CASE("four of ten requests failing is not more than half") {
    Options options;
    FailureRatio ratio;
    for (std::uint32_t i = 1; i <= 500; ++i) {
        ratio.sample(at(20ms * i), i * 5 / 2, i, options);
        CHECK_FALSE(ratio.exceeded(at(20ms * i), options));
    }
}

TEST_CASE("exactly half is not more than half, however often it is") {
    Options options;
    FailureRatio ratio;
    ratio.reset(at(0s), 0, 0);
    // The first of each two succeeds, so that at a failure never more than half failed.
    for (std::uint32_t i = 1; i <= 200; ++i) {
        ratio.sample(at(1ms * i), 2 * i, i, options);
        CHECK_FALSE(ratio.exceeded(at(1ms * i), options));
    }
    ratio.sample(at(201ms), 401, 201, options);
    CHECK(ratio.exceeded(at(201ms), options));
}

/// Whether 40 failures in a row, after `completed` requests, exceed the ratio.
bool fails_at_once(FailureRatio& ratio, Time now, std::uint32_t completed, std::uint32_t failed,
                   const Options& options) {
    for (std::uint32_t i = 1; i <= 40; ++i) {
        ratio.sample(now + 10ms * i, completed + i, failed + i, options);
        if (ratio.exceeded(now + 10ms * i, options)) return true;
    }
    return false;
}

TEST_CASE("old failures do not count, and a long healthy past does not hide new ones") {
    Options options;
    FailureRatio ratio;
    for (std::uint32_t i = 1; i <= 19; ++i) ratio.sample(at(1ms * i), i, i, options);
    CHECK_FALSE(ratio.exceeded(at(19ms), options));
    ratio.sample(at(15s), 20, 20, options);  // the nineteen are 15 s old
    CHECK_FALSE(ratio.exceeded(at(15s), options));
    // A million successes over 85 s, and then everything fails: 118,000 of them are within the window, and
    // hide the failures until they are as many.
    CHECK_FALSE(fails_at_once(ratio, at(100s), 1'000'020, 20, options));
    // Ten successes in 85 s hide nothing.
    FailureRatio quiet;
    quiet.reset(at(0s), 0, 0);
    CHECK(fails_at_once(quiet, at(85s), 10, 0, options));
}

TEST_CASE("a failure counts for the window and no longer, also while none is added") {
    Options options;
    FailureRatio ratio;
    for (std::uint32_t i = 1; i <= 20; ++i) ratio.sample(at(1ms * i), i, i, options);
    CHECK(ratio.exceeded(at(20ms), options));
    CHECK(ratio.exceeded(at(options.failure_ratio_window) - 1ns, options));
    CHECK_FALSE(ratio.exceeded(at(options.failure_ratio_window), options));
}

TEST_CASE("with another window counting begins anew") {
    Options options;
    FailureRatio ratio;
    for (std::uint32_t i = 1; i <= 19; ++i) ratio.sample(at(1ms * i), i, i, options);
    options.failure_ratio_window *= 10;  // a tick of it is ten of the old ones
    for (std::uint32_t i = 20; i <= 39; ++i) {
        ratio.sample(at(1ms * i), i, i, options);
        CHECK(ratio.exceeded(at(1ms * i), options) == (i == 39));
    }
}

TEST_CASE("successes just before the first failures count") {
    // 30 in the last 9 s, then 11 failures of 20: 11 of 50.
    Options options;
    FailureRatio ratio;
    ratio.reset(at(0s), 0, 0);
    std::uint32_t completed = 30;
    std::uint32_t failed = 0;
    for (int i = 0; i < 20; ++i) {
        ++completed;
        if (i % 2 == 0 || i == 19) ratio.sample(at(9s + 10ms * i), completed, ++failed, options);
        CHECK_FALSE(ratio.exceeded(at(9s + 10ms * i), options));
    }
}

TEST_CASE("a ratio of one turns it off") {
    Options options;
    options.failure_ratio = 1.0;
    FailureRatio ratio;
    for (std::uint32_t i = 1; i <= 100; ++i) ratio.sample(at(1ms * i), i, i, options);
    CHECK_FALSE(ratio.exceeded(at(100ms), options));
}

}  // namespace
