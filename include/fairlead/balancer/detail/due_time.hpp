// When the next thing falls due: rests, ejections and ramps need no timer, a pick settles what is due.
#pragma once

#include <atomic>
#include <cstdint>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// The earliest of some moments. Any thread may lower it; one at a time looks and raises.
class DueTime {
  public:
    /// Relaxed: a pick that reads it late settles late, by one pick.
    bool is_pending() const noexcept { return at_.load(std::memory_order_relaxed) != never; }
    bool is_due(Time now) const noexcept {
        return now.time_since_epoch().count() >= at_.load(std::memory_order_relaxed);
    }

    /// `Time::max()` when nothing is pending.
    Time at() const noexcept { return Time{Duration{at_.load(std::memory_order_relaxed)}}; }

    /// Nothing is due: to be called before the look that finds out what still is. Whoever lowers it meanwhile
    /// has written what falls due before: either the look sees that (acquire here, release there) or the mark
    /// is lowered after this.
    void clear() noexcept { at_.exchange(never, std::memory_order_acq_rel); }

    void lower(Time due) noexcept {
        const auto wanted = due.time_since_epoch().count();
        // A read-modify-write even where nothing is to be lowered: so that it comes before `clear`, whose
        // look then sees what falls due, or after it, and sees the mark raised.
        auto present = at_.fetch_add(0, std::memory_order_acq_rel);
        while (present > wanted && !at_.compare_exchange_weak(present, wanted, std::memory_order_acq_rel,
                                                              std::memory_order_relaxed)) {
        }
    }

  private:
    static constexpr std::int64_t never = Time::max().time_since_epoch().count();
    std::atomic<std::int64_t> at_{never};
};

}  // namespace fairlead::detail
