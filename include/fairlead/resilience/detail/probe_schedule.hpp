// When one backend is probed next.
//
// Without phases of their own, all backends are probed in the same instant: a burst of connections every
// half minute, and a fleet that looks healthy for the rest of it.
#pragma once

#include <cmath>
#include <cstdint>

#include <fairlead/model/rng.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// The phase of the `n`-th backend that joined, in [0, 1): multiples of the golden ratio, from `first` on.
/// Any N that joined one after the other stand at least 0.44 / N apart (the three-distance theorem: of all
/// numbers this one comes closest to even spacing for every N at once), and nobody has to move when one goes.
inline double phase_of(double first, std::uint64_t n) noexcept {
    constexpr std::uint64_t golden_gamma = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio
    const double phase = first + static_cast<double>((n * golden_gamma) >> 11) * 0x1p-53;
    return phase - std::floor(phase);
}

/// How often, and how exactly.
struct ProbePace {
    Duration interval{};  ///< of a healthy backend
    Duration hurried{};   ///< of one that failed a probe; counts when it is shorter
    double jitter = 0.0;  ///< share of the period that a probe may come later than its slot
};

/// The slots of a healthy backend are a grid: `origin + (phase + k) * interval`. One that is in a hurry has
/// slots of its own, from a random moment on, so that backends that failed together are not probed together.
/// A probe comes up to `jitter` of the period after its slot, which does not move: the distance of two is
/// the period, more or less `jitter` of it.
///
/// Threads: needs the caller's mutex. Every member is O(1).
class ProbeSchedule {
  public:
    ProbeSchedule(Time origin, double phase) noexcept : origin_{origin}, phase_{phase} {}

    /// A slot at `now`: what comes next counts from here.
    void at(Time now) noexcept {
        slot_ = now;
        hurries_ = false;
    }

    /// The probe of the last slot was sent.
    void sent(Time now) noexcept { sent_ = now; }

    /// The first slot of one of many, which share the time from `now` to `now + within` among them.
    Time first(Time now, Duration within) noexcept {
        at(now + share(within));
        return slot_;
    }

    /// When to probe after the probe of the last slot, which ended at `now`. Slots that passed are left out.
    /// A change of pace takes half to one and a half periods, one into a hurry half to one.
    Time next(Time now, const ProbePace& pace, bool hurry, Rng& rng) noexcept {
        if (hurry && pace.hurried < pace.interval) {
            const Duration period = pace.hurried;
            // The first one counts from the probe that failed, which may have come long after its slot.
            slot_ = hurries_ ? slot_ + period : sent_ + period / 2 + scaled(period / 2, rng.uniform());
            hurries_ = true;
            if (slot_ <= now) slot_ += period * ((now - slot_) / period + 1);
            return late(period, pace, rng);
        }
        hurries_ = false;
        slot_ = grid_from(slot_ + (pace.interval - pace.interval / 2), pace.interval);
        if (slot_ <= now) slot_ = grid_from(now + Duration{1}, pace.interval);
        return late(pace.interval, pace, rng);
    }

    /// When to probe if the pace changed at `now`: within one period of the new one.
    Time changed(Time now, const ProbePace& pace, bool hurry, Rng& rng) noexcept {
        hurries_ = hurry && pace.hurried < pace.interval;
        slot_ = hurries_ ? now + scaled(pace.hurried, rng.uniform()) : grid_from(now, pace.interval);
        return late(hurries_ ? pace.hurried : pace.interval, pace, rng);
    }

  private:
    static Duration scaled(Duration whole, double by) noexcept {
        return Duration{static_cast<Duration::rep>(static_cast<double>(whole.count()) * by)};
    }
    Duration share(Duration whole) const noexcept { return scaled(whole, phase_); }

    Time late(Duration period, const ProbePace& pace, Rng& rng) const noexcept {
        return slot_ + scaled(period, pace.jitter * rng.uniform());
    }

    /// The first point of the grid that is not before `from`.
    Time grid_from(Time from, Duration interval) const noexcept {
        const Duration since = (from - (origin_ + share(interval))) % interval;
        if (since == Duration::zero()) return from;
        return since > Duration::zero() ? from + (interval - since) : from - since;
    }

    Time origin_;
    double phase_;
    Time slot_{};
    Time sent_{};
    bool hurries_ = false;
};

}  // namespace fairlead::detail
