// A clock that costs half of the steady one: the processor's time stamp counter, held to the steady clock.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>

#include <fairlead/model/time.hpp>

// Defined by a host that must not read the counter, under a debugger that records and replays, say.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(FAIRLEAD_NO_TSC)
#define FAIRLEAD_HAS_TSC 1
#include <cpuid.h>
#include <cstdio>
#include <cstring>
#else
#define FAIRLEAD_HAS_TSC 0
#endif

namespace fairlead {

namespace detail {

/// Counter to time: a line that never runs ahead of the clock that it was held to.
///
/// It runs an eighth slow and is lifted to that clock at every look. So nothing has to be measured well, no
/// slewing of the system's time (at most a tenth: 8.3 % by chrony, 0.05 % by ntpd) makes it run ahead, and
/// every new line lies above the old: whoever still reads the old one is behind, and no line leads back.
class CounterLine {
  public:
    static constexpr unsigned shift = 32;
    static constexpr std::int64_t jump =
        1'000'000;  // ns: further ahead is no line of ours, the counter was set

    /// Nanoseconds in so many ticks; no overflow in 200 years of ticks.
    static std::int64_t scaled(std::uint64_t ticks, std::uint64_t rate) noexcept {
#if defined(__SIZEOF_INT128__)
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::int64_t>(static_cast<std::uint64_t>(Wide{ticks} * rate >> shift));
#else
        const std::uint64_t high = (ticks >> 32) * rate;
        return static_cast<std::int64_t>(high + ((ticks & 0xffff'ffff) * rate >> shift));
#endif
    }

    /// The rate of the line, from a measurement: an eighth below that of `ticks`, which may be too many but
    /// not too few, in `passed`. 0 where that makes no sense.
    static std::uint64_t rate_of(Duration passed, std::uint64_t ticks) noexcept {
        if (passed <= Duration::zero() || ticks == 0) return 0;
        const double true_rate = static_cast<double>(passed.count()) / static_cast<double>(ticks);
        const double rate = 0.875 * true_rate * 4294967296.0;  // 2^shift
        return rate >= 1.0 && rate < 1e12 ? static_cast<std::uint64_t>(rate) : 0;
    }

    void set_rate(std::uint64_t rate) noexcept { rate_.store(rate, std::memory_order_relaxed); }
    /// Relaxed: who sees none yet measures once more, and gets the first one's.
    std::uint64_t rate() const noexcept { return rate_.load(std::memory_order_relaxed); }
    bool offer_rate(std::uint64_t rate) noexcept {
        std::uint64_t none = 0;
        return rate_.compare_exchange_strong(none, rate, std::memory_order_relaxed);
    }

    /// The counter stood at `ticks` just now. Relaxed: coherence alone makes the offset of who comes later no
    /// lower.
    [[gnu::always_inline]] std::int64_t at(std::uint64_t ticks) const noexcept {
        return offset_.load(std::memory_order_relaxed) + scaled(ticks, rate());
    }

    /// The clock showed `now` before the counter stood at `ticks`: lifts the line to there. `is_just()` tells
    /// whether that is a moment ago, also when the caller has slept since. Returns the time at `ticks`.
    template <std::predicate Just>
    std::int64_t lift(std::uint64_t ticks, std::int64_t now, Just is_just) noexcept {
        const std::int64_t passed = scaled(ticks, rate());
        const std::int64_t wanted = now - passed;
        std::int64_t offset = offset_.load(std::memory_order_relaxed);
        // Down only when the counter itself was set (a suspended machine, one that moved to another host).
        // Asked after the offset was read: whoever sleeps in between finds that others have lifted it.
        while (wanted > offset || (offset - wanted > jump && is_just())) {
            if (offset_.compare_exchange_weak(offset, wanted, std::memory_order_relaxed))
                return wanted + passed;
        }
        return offset + passed;
    }

  private:
    static constexpr std::int64_t nowhere = std::numeric_limits<std::int64_t>::min() / 4;

    std::atomic<std::uint64_t> rate_{0};  // nanoseconds a tick, times 2^shift
    std::atomic<std::int64_t> offset_{nowhere};
};

/// What all threads read of it, on a line of its own.
struct alignas(64) HeldCounter {
    CounterLine line;
    std::atomic<std::uint64_t> window{0};  ///< in ticks; 0 until measured, and where it cannot be used
};

}  // namespace detail

/// Tells `std::chrono::steady_clock`'s time by the processor's time stamp counter, for a balancer's `Clock`:
/// some 12 ns where the steady clock takes 22.
///
///     fairlead::Balancer<fairlead::ResponseTime, fairlead::NoTransport, fairlead::TscClock> balancer{...};
///
/// - Error: never ahead of `steady_clock`, and at most 10 us behind (2 us mostly): each thread looks at
///   `steady_clock` once in 16 us in which it asks for the time. So a thread that asks less often pays for
///   both: it gains where more than some 100,000 requests a second go through one thread.
/// - When not: a difference of two readings within 16 us can be an eighth too small. After the machine was
///   suspended, or moved to another host while running, one reading may be wrong by as much as the counter
///   was set.
/// - Threads: any. One that was told of another's reading can read an earlier time, by less than the error: a
///   processor may read its counter before what stands in front of it in the program. The process' first
///   reading takes 0.2 ms, in which the counter is measured.
///
/// The counter is only read where it is invariant (CPUID 0x80000007, EDX bit 8) and the kernel itself keeps
/// time by it; elsewhere, and on other processors, this is `steady_clock`: `is_used()` tells.
class TscClock {
  public:
    using rep = Time::rep;
    using period = Time::period;
    using duration = Duration;
    using time_point = Time;
    static constexpr bool is_steady = true;

    static Time now() noexcept {
#if FAIRLEAD_HAS_TSC
        if (const std::uint64_t ticks_of_window = shared.window.load(std::memory_order_relaxed)) [[likely]] {
            const std::uint64_t ticks = counter();
            // Unsigned, so that a counter that was set back is looked at, too.
            if (ticks - looked_at < ticks_of_window) [[likely]]
                return Time{Duration{shared.line.at(ticks)}};
        }
        return look();
#else
        return std::chrono::steady_clock::now();
#endif
    }

    /// Whether the counter is read; if not, this is `steady_clock`.
    static bool is_used() noexcept {
#if FAIRLEAD_HAS_TSC
        static_cast<void>(now());
        return shared.line.rate() != unusable;
#else
        return false;
#endif
    }

    /// How far behind `steady_clock` it is at most: in a window the line falls back by an eighth, by 1 % for
    /// how its rate was measured and by a tenth for a slewed clock, 4 us; and a look may take a quarter of a
    /// window.
    static constexpr Duration error() noexcept { return std::chrono::microseconds{10}; }

#if FAIRLEAD_HAS_TSC
  private:
    static constexpr Duration window = std::chrono::microseconds{16};
    static constexpr std::uint64_t unusable = 1;  // no processor counts 4 times in 10^-9 of a nanosecond

    static inline constinit detail::HeldCounter shared{};
    static inline constinit thread_local std::uint64_t looked_at = 0;

    /// Without a fence, which would cost what the counter saves: 17 ns instead of 10 here, and the steady
    /// clock 22.
    [[gnu::always_inline]] static std::uint64_t counter() noexcept { return __builtin_ia32_rdtsc(); }

    /// The steady clock between two readings of the counter.
    struct Look {
        std::uint64_t before = counter();
        Time time = std::chrono::steady_clock::now();
        std::uint64_t after = counter();
        std::uint64_t took() const noexcept { return after - before; }
    };

    [[gnu::noinline]] static Time look() noexcept {
        if (shared.line.rate() == 0) measure();
        if (shared.line.rate() == unusable) return std::chrono::steady_clock::now();
        const auto ticks = shared.window.load(std::memory_order_relaxed);
        Look found;
        for (int again = 0; again < 3 && found.took() > ticks / 4; ++again) found = Look{};
        // One that was interrupted is good for this reading alone.
        const bool just = found.took() <= ticks / 4;
        looked_at = just ? found.after : found.after - ticks;
        const auto is_just = [&] { return just && counter() - found.after < ticks; };
        return Time{Duration{shared.line.lift(found.after, found.time.time_since_epoch().count(), is_just)}};
    }

    /// Two looks 0.2 ms apart, which an interrupt between counter and clock may spoil by 1 % at most.
    static void measure() noexcept {
        constexpr Duration apart = std::chrono::microseconds{200};
        std::uint64_t rate = 0;
        for (int attempt = 0; attempt < 50 && rate == 0 && is_invariant(); ++attempt) {
            const Look first;
            Look last;
            while (last.time - first.time < apart) last = Look{};
            const std::uint64_t ticks = last.after - first.before;
            if (first.took() + last.took() < ticks / 100)
                rate = detail::CounterLine::rate_of(last.time - first.time, ticks);
        }
        // The first one's counts for all: two lines of different rates would cross.
        if (rate == 0 || !shared.line.offer_rate(rate)) static_cast<void>(shared.line.offer_rate(unusable));
        if (const auto agreed = shared.line.rate(); agreed != unusable) {
            const auto ticks =
                static_cast<double>(window.count()) * 4294967296.0 / static_cast<double>(agreed);
            shared.window.store(static_cast<std::uint64_t>(0.875 * ticks), std::memory_order_relaxed);
        }
    }

    static bool is_invariant() noexcept {
        unsigned a = 0, b = 0, c = 0, d = 0;
        if (__get_cpuid(0x8000'0007, &a, &b, &c, &d) == 0 || (d >> 8 & 1U) == 0) return false;
        // The kernel compares the processors' counters with each other and with other clocks, all the time.
        std::FILE* file = std::fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
        if (file == nullptr) return false;  // nobody says so
        char name[16] = {};
        const bool read = std::fgets(name, sizeof name, file) != nullptr;
        std::fclose(file);
        return read && std::strcmp(name, "tsc\n") == 0;
    }
#endif
};

static_assert(ClockSource<TscClock>);

}  // namespace fairlead
