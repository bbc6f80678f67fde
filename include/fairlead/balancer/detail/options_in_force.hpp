// The options that a running balancer goes by: replaced as a whole while its requests read them.
//
// A reader pays one acquire load, and keeps what it read for as long as it likes: a set that was replaced
// stays where it is until the balancer goes. (To free it sooner, every failure, retry and wait would have to
// count itself in and out.) A set that was in force before is used again, so a switch to and fro costs
// nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <forward_list>

#include <fairlead/model/options.hpp>

namespace fairlead::detail {

/// Threads: reading from any; `set` one at a time.
class OptionsInForce {
  public:
    explicit OptionsInForce(const Options& first)
        : timing{first.timing},
          latency_to_{first.latency_to},
          max_retries_{first.max_retries},
          failure_threshold_{first.failure_threshold} {
        all_.push_front(first);
        now_.store(&all_.front(), std::memory_order_relaxed);  // nobody else knows of this object yet
    }
    OptionsInForce(const OptionsInForce&) = delete;
    OptionsInForce& operator=(const OptionsInForce&) = delete;

    /// Cannot change while requests are under way: a plain member for the hot path.
    const bool timing;

    /// Relaxed: which it was at its first byte, a lease remembers.
    LatencyTo latency_to() const noexcept { return latency_to_.load(std::memory_order_relaxed); }

    /// The newest set. Acquire pairs with the release in `set`. Two calls may see two sets: what belongs
    /// together is read through one reference.
    const Options& operator*() const noexcept { return *now_.load(std::memory_order_acquire); }
    const Options* operator->() const noexcept { return now_.load(std::memory_order_acquire); }

    /// These two can also be changed one by one. Relaxed: a stale value is that of a moment ago.
    std::uint32_t max_retries() const noexcept { return max_retries_.load(std::memory_order_relaxed); }
    std::uint32_t failure_threshold() const noexcept {
        return failure_threshold_.load(std::memory_order_relaxed);
    }
    void set_max_retries(std::uint32_t n) noexcept { max_retries_.store(n, std::memory_order_relaxed); }
    void set_failure_threshold(std::uint32_t n) noexcept {
        failure_threshold_.store(n, std::memory_order_relaxed);
    }

    /// The set with those two as they are now.
    Options present() const {
        Options options = **this;
        options.max_retries = max_retries();
        options.failure_threshold = failure_threshold();
        return options;
    }

    /// From `present`, as `before`, to `after`. One at a time. O(sets that there were); throws
    /// std::bad_alloc, and nothing has changed then.
    void set(const Options& before, const Options& after) {
        auto known = std::find(all_.begin(), all_.end(), after);
        if (known == all_.end()) known = all_.insert_after(all_.before_begin(), after);
        // Only where this set says otherwise: whoever changes one of them at this moment is not overruled.
        if (before.max_retries != after.max_retries) set_max_retries(after.max_retries);
        if (before.failure_threshold != after.failure_threshold)
            set_failure_threshold(after.failure_threshold);
        latency_to_.store(after.latency_to, std::memory_order_relaxed);
        now_.store(&*known, std::memory_order_release);
    }

  private:
    std::forward_list<Options> all_;  // a node stays where it is
    std::atomic<const Options*> now_{nullptr};
    std::atomic<LatencyTo> latency_to_;
    std::atomic<std::uint32_t> max_retries_;
    std::atomic<std::uint32_t> failure_threshold_;
};

}  // namespace fairlead::detail
