// When an answer is late.
#include <fairlead/resilience/latency_quantile.hpp>

#include "support/catch.hpp"

namespace {

using namespace fairlead;
using namespace std::chrono_literals;

TEST_CASE("a latency quantile is right within its bucket, 9 %, and unknown while too little is known") {
    LatencyQuantile latencies;
    for (int i = 1; i <= 19; ++i) latencies.add(10ms * i);
    CHECK_FALSE(latencies.quantile(0.5));
    for (int i = 20; i <= 100; ++i) latencies.add(10ms * i);
    for (const double q : {0.1, 0.5, 0.9, 0.95}) {
        const auto exact = Duration{static_cast<Duration::rep>(q * 1e9)};
        const auto found = latencies.quantile(q).value();
        CHECK(found >= exact);
        CHECK(found <= exact * 1.1);
    }
    CHECK(latencies.quantile(0.99));         // one lies beyond it
    CHECK_FALSE(latencies.quantile(0.999));  // none can
}

TEST_CASE("a latency quantile forgets, and takes any latency") {
    LatencyQuantile latencies;
    for (int i = 0; i < 5000; ++i) latencies.add(1s);
    for (int i = 0; i < 40'000; ++i) latencies.add(10ms);
    CHECK(latencies.quantile(0.95).value() < 12ms);
    for (const auto odd : {Duration{0}, Duration{-1}, Duration::max(), Duration::min()}) latencies.add(odd);
    CHECK(latencies.quantile(0.5).value() < 12ms);
}

}  // namespace
