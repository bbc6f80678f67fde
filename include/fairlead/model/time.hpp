// The library's notion of time: one duration, one time point, one deadline.
//
// No rule of fairlead asks what time it is: `now` is passed in. Only `Balancer` reads its `Clock` (a template
// parameter) and hands the answer down, so every behaviour can be tested in virtual time.
#pragma once

#include <chrono>
#include <concepts>

namespace fairlead {

using Duration = std::chrono::nanoseconds;

/// A moment of the balancer's clock. Whatever that clock is, its moments have this type.
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Anything whose `now()` gives a `Time`: `std::chrono::steady_clock`, a coarser one, or a test's own.
template <class C>
concept ClockSource = requires(const C clock) {
    { clock.now() } -> std::convertible_to<Time>;
};

/// The latest moment at which an operation may still be under way. The default never comes.
struct Deadline {
    Time at = Time::max();

    static constexpr Deadline never() noexcept { return {}; }

    /// `wait` from `now`, and never when that lies beyond what `Time` can hold.
    static constexpr Deadline in(Duration wait, Time now) noexcept {
        return {wait < Time::max() - now ? now + wait : Time::max()};
    }

    constexpr bool is_set() const noexcept { return at != Time::max(); }
    constexpr bool passed(Time now) const noexcept { return now >= at; }

    /// What is left at `now`; 0 when passed, `Duration::max()` when it never comes.
    constexpr Duration left(Time now) const noexcept {
        if (!is_set()) return Duration::max();
        return now >= at ? Duration::zero() : at - now;
    }

    /// The nearer of the two.
    constexpr Deadline or_earlier(Deadline other) const noexcept { return at < other.at ? *this : other; }
};

}  // namespace fairlead
