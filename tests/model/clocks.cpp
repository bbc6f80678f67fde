// The cheap clocks: how far they are from the steady one, and that they do not go back.
#include "support/catch.hpp"

#include <fairlead/model/coarse_clock.hpp>
#include <fairlead/model/tsc_clock.hpp>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using namespace fairlead;
using fairlead::detail::CounterLine;

/// Readings of a clock, each between two of the steady one: how many were not where they may be.
struct Readings {
    std::size_t ahead = 0;
    std::size_t behind = 0;  ///< by more than its error
    std::size_t back = 0;    ///< before the one before
};

template <class Clock>
Readings read(int readings) {
    const Duration error = Clock::error();
    Readings found;
    Time last = Time::min();
    for (int i = 0; i < readings; ++i) {
        const Time before = std::chrono::steady_clock::now();
        const Time told = Clock::now();
        const Time after = std::chrono::steady_clock::now();
        found.ahead += told > after;
        found.behind += told < before - error;
        found.back += told < last;
        last = told;
    }
    return found;
}

TEST_CASE("the coarse clock is the steady one, at most two ticks behind") {
    // A virtual machine whose ticks come late is not one for long.
    bool is_in_time = false;
    for (int again = 0; again < 50 && !is_in_time; ++again) {
        const Readings found = read<CoarseClock>(20'000);
        CHECK(found.ahead == 0);
        CHECK(found.back == 0);
        is_in_time = found.behind == 0;
    }
    CHECK(is_in_time);
}

void check_counter(int readings) {
    INFO("the counter is " << (TscClock::is_used() ? "used" : "not used"));
    const Readings found = read<TscClock>(readings);
    CHECK(found.ahead == 0);
    CHECK(found.behind == 0);
    CHECK(found.back == 0);
}

// Whatever the machine does between the readings, this holds.
TEST_CASE("the counter's clock is the steady one, at most its error behind") { check_counter(200'000); }

TEST_CASE("the counter's clock comes back from a pause without an error that grew with it") {
    for (int i = 0; i < 5; ++i) {
        static_cast<void>(TscClock::now());
        // A hundred windows in which this thread does not ask.
        const Time end = std::chrono::steady_clock::now() + std::chrono::milliseconds{2};
        while (std::chrono::steady_clock::now() < end) {
        }
        check_counter(10);
    }
}

/// Threads that hand the latest reading around: how far one of them read behind what it knew of.
template <class Clock>
Duration furthest_back() {
    std::atomic<std::int64_t> latest{0};
    std::atomic<std::int64_t> worst{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int n = 0; n < 50'000; ++n) {
                // Acquire and release: this reading comes after the one it is compared with.
                std::int64_t known = latest.load(std::memory_order_acquire);
                const std::int64_t now = Clock::now().time_since_epoch().count();
                std::int64_t back = worst.load(std::memory_order_relaxed);
                while (known - now > back && !worst.compare_exchange_weak(back, known - now)) {
                }
                while (known < now && !latest.compare_exchange_weak(known, now, std::memory_order_acq_rel)) {
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();
    return Duration{worst.load()};
}

TEST_CASE("no thread reads a time of a cheap clock before one that it was told of") {
    CHECK(furthest_back<CoarseClock>() == Duration::zero());
    // The counter is read without a fence: see its head.
    CHECK(furthest_back<TscClock>() <= TscClock::error());
}

TEST_CASE("ticks become nanoseconds without overflow") {
    constexpr std::uint64_t half = std::uint64_t{1} << 31;  // of a nanosecond a tick: 2 GHz
    CHECK(CounterLine::scaled(0, half) == 0);
    CHECK(CounterLine::scaled(3, half) == 1);
    // 200 years, at 2 GHz: beyond 2^63 ticks.
    constexpr std::uint64_t years = std::uint64_t{200} * 365 * 86'400 * 1'000'000'000;
    CHECK(CounterLine::scaled(2 * years, half) == static_cast<std::int64_t>(years));
    CHECK(CounterLine::rate_of(Duration{1000}, 2000) == half / 8 * 7);
    CHECK(CounterLine::rate_of(Duration{0}, 2000) == 0);
    CHECK(CounterLine::rate_of(Duration{1000}, 0) == 0);
    CHECK(CounterLine::rate_of(Duration{1}, std::uint64_t{1} << 62) == 0);  // a counter that hardly moves
}

/// A line at a tick a nanosecond, held to a clock that runs by `rate`, looked at every 16,000 ticks.
struct Held {
    CounterLine line;
    double rate = 1.0;
    std::uint64_t ticks = 1'000'000'000;
    double clock = 5e9;

    Held() { line.set_rate(CounterLine::rate_of(Duration{1'000'000}, 1'000'000)); }
    void pass(std::uint64_t n) {
        ticks += n;
        clock += rate * static_cast<double>(n);
    }
    std::int64_t ahead() const { return line.at(ticks) - static_cast<std::int64_t>(clock); }
    std::int64_t look() {
        return line.lift(ticks, static_cast<std::int64_t>(clock), [] { return true; });
    }
};

TEST_CASE("a line never runs ahead of a clock that is slewed by a tenth, nor far behind") {
    for (const double rate : {0.9, 1.0, 1.1}) {
        Held held;
        held.rate = rate;
        std::int64_t last = held.look();
        for (int window = 0; window < 1000; ++window) {
            for (int part = 0; part < 16; ++part) {
                held.pass(1000);
                const std::int64_t now = held.line.at(held.ticks);
                REQUIRE(now >= last);
                REQUIRE(held.ahead() <= 0);
                REQUIRE(held.ahead() >= -4000);  // 16 us at 1.1 less 0.875, and a rounding
                last = now;
            }
            REQUIRE(held.look() >= last);
        }
    }
}

TEST_CASE(
    "a line is not lowered by a look that was interrupted, nor by one of another thread that is older") {
    Held held;
    const std::int64_t now = held.look();
    CHECK(held.line.lift(held.ticks, now - 50'000'000, [] { return false; }) == now);
    CHECK(held.line.lift(held.ticks, now - 500'000, [] { return true; }) == now);
    // It slept between its look and here: what others did meanwhile stands.
    const auto is_just = [&, asked = 0]() mutable {
        if (++asked > 1) return false;
        held.line.lift(held.ticks, now + 1'000'000, [] { return true; });
        return true;
    };
    CHECK(held.line.lift(held.ticks, now - 50'000'000, is_just) == now + 1'000'000);
}

TEST_CASE("a counter that was set forward or back is followed at the next look") {
    Held held;
    held.look();
    held.ticks += 3'600'000'000'000;  // an hour that the clock did not count
    CHECK(held.ahead() > 0);
    held.look();
    CHECK(held.ahead() == 0);
    held.ticks = 1000;  // as after a resume
    held.look();
    CHECK(held.ahead() == 0);
}

}  // namespace
