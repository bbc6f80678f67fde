// A clock that costs a fraction of a request: the time as of the kernel's last tick.
#pragma once

#include <chrono>

#include <fairlead/model/time.hpp>

#if defined(__linux__)
#include <time.h>
#endif

namespace fairlead {

/// Tells `std::chrono::steady_clock`'s time as of the kernel's last tick, for a balancer's `Clock`: some 6 ns
/// where the steady clock takes 22.
///
///     fairlead::Balancer<fairlead::LeastConnections, fairlead::NoTransport, fairlead::CoarseClock> b{...};
///
/// - Error: never ahead of `steady_clock`, and at most `error()` behind it while the kernel gets its ticks:
/// two
///   of them, of 1 to 10 ms by how it was built (4 ms with Debian's); a virtual machine that is not run gets
///   them late. Means over many requests are as true as by an exact clock, since ticks know nothing of
///   requests; a single time below a tick reads as 0 or as a tick.
/// - When not: where the strategy is `ResponseTime` and answers take less than some ticks. `TscClock` is
/// finer.
/// - Threads: any; what a thread reads is never before what another read earlier.
///
/// On other systems than Linux it is `steady_clock` itself.
struct CoarseClock {
    using rep = Time::rep;
    using period = Time::period;
    using duration = Duration;
    using time_point = Time;
    static constexpr bool is_steady = true;

    static Time now() noexcept {
#if defined(__linux__)
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return Time{std::chrono::seconds{now.tv_sec} + Duration{now.tv_nsec}};
#else
        return std::chrono::steady_clock::now();
#endif
    }

    /// How far behind `steady_clock` it is at most: the tick under way, and what of the one before was less
    /// than a whole one. A system call.
    static Duration error() noexcept {
#if defined(__linux__)
        timespec tick{};
        clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
        return 2 * (std::chrono::seconds{tick.tv_sec} + Duration{tick.tv_nsec});
#else
        return Duration::zero();
#endif
    }
};

static_assert(ClockSource<CoarseClock>);

}  // namespace fairlead
