// How long a backend that failed its requests stays out, and how it comes back.
//
// Without it, a backend that answers 500 in a millisecond looks idle and draws the traffic of all the others.
//
//     in service --eject--> ejected --expire--> half open --trial_succeeded, often enough--> in service
//                              ^                    |
//                              +------- eject ------+   (a trial failed)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <fairlead/model/options.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// One backend's ejection. A value; the caller keeps the thresholds, the limit of how many may be out
/// (`may_be_out`), and the lock.
///
///     ejection.eject(now, options, rng);                    // out until ejection.next_due()
///     if (now >= ejection.next_due()) ejection.expire(now); // one request at a time now
///     if (ejection.trial_succeeded(now, options)) ...       // back in service
///
/// It is out for `base_ejection` times the number of ejections in a row, at most `max_ejection`, plus up to
/// the share `ejection_jitter`, so that gateways that ejected together do not try again together. The number
/// falls by one for every `base_ejection` in service.
///
/// Threads: needs the caller's mutex. No allocation; every member is O(1).
class Ejection {
  public:
    bool is_ejected() const noexcept { return state_ == State::ejected; }
    bool is_half_open() const noexcept { return state_ == State::half_open; }
    bool in_service() const noexcept { return state_ == State::in_service; }

    /// Takes it out: from service because requests failed, from half open because the trial did. No effect
    /// while it is out already.
    void eject(Time now, const Options& options, Rng& rng) noexcept {
        if (is_ejected()) return;
        times_ = std::min(times_in_a_row(now, options) + 1, most_times);
        const Duration length = length_of(times_, options);
        const double jitter = static_cast<double>(length.count()) * options.ejection_jitter * rng.uniform();
        state_ = State::ejected;
        since_ = now + length + Duration{static_cast<Duration::rep>(jitter)};
    }

    /// When `expire` has something to do; `Time::max()` while it is not ejected.
    Time next_due() const noexcept { return is_ejected() ? since_ : Time::max(); }

    /// Half open when its time is up: from now on one request at a time. Returns whether that happened.
    bool expire(Time now) noexcept {
        if (!is_ejected() || now < since_) return false;
        state_ = State::half_open;
        trials_ = 0;
        return true;
    }

    /// The head of a good answer came to a trial. Returns true when that was the `success_threshold`-th in a
    /// row and the backend is in service again; false when more are wanted or it is not half open.
    bool trial_succeeded(Time now, const Options& options) noexcept {
        if (!is_half_open() || ++trials_ < options.success_threshold) return false;
        return_to_service(now);
        return true;
    }

    /// Out until `end` at the latest: a longer time than that is no longer wanted.
    void end_by(Time end) noexcept {
        if (is_ejected()) since_ = std::min(since_, end);
    }

    /// Back at once, for `probe_ends_ejection`. How often it was ejected is remembered: one whose probes pass
    /// while its requests fail must stay out longer each time.
    void return_to_service(Time now) noexcept {
        if (in_service()) return;
        state_ = State::in_service;
        since_ = now;
    }

    /// In service, and nothing remembered: another server stands behind the name.
    void reset() noexcept { *this = Ejection{}; }

    /// How many ejections in a row there were, as they count at `now`; while it is out, this one included.
    std::uint32_t times_in_a_row(Time now, const Options& options) const noexcept {
        if (!in_service() || times_ == 0) return times_;
        const auto served = std::max(now - since_, Duration::zero()) / options.base_ejection;
        return served >= static_cast<Duration::rep>(times_) ? 0 : times_ - static_cast<std::uint32_t>(served);
    }

  private:
    enum class State : std::uint8_t { in_service, ejected, half_open };

    // Because a number that grows for ever would wrap; forgetting it takes 2^20 * 10 s, four months.
    static constexpr std::uint32_t most_times = std::uint32_t{1} << 20;

    static Duration length_of(std::uint32_t times, const Options& options) noexcept {
        const bool too_long =
            options.max_ejection / options.base_ejection < static_cast<Duration::rep>(times);
        return too_long ? options.max_ejection : options.base_ejection * times;
    }

    State state_ = State::in_service;
    std::uint32_t times_ = 0;
    std::uint32_t trials_ = 0;  // that went well since it became half open
    Time since_{};              // ejected: until when; in service: since when
};

/// How many of `members` backends (of one model and priority) may be out at once: the share `max_ejected`,
/// rounded down, but at least one where there are two or more; none of a single one, which would leave
/// nobody; none at all for a share of 0, which is how an operator says so.
constexpr std::size_t may_be_out(std::size_t members, double share) noexcept {
    if (members < 2 || !(share > 0.0)) return 0;
    // 1e-9: 0.29 * 100 is 28.999999999999996, and an operator who writes 29 % of 100 means 29.
    const auto allowed = static_cast<std::size_t>(static_cast<double>(members) * share + 1e-9);
    return std::clamp(allowed, std::size_t{1}, members);
}

}  // namespace fairlead
