// One backend's failure ratio, fed by reports on any thread without a lock.
//
// Under the writers' mutex, every failed request would wait for whoever draws a new picture of the fleet,
// which takes milliseconds for a large one: reports would be slowest just when many of them fail.
#pragma once

#include <atomic>
#include <cstdint>

#include <fairlead/model/options.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/resilience/failure_ratio.hpp>
#include <fairlead/strategies/detail/account.hpp>

namespace fairlead::detail {

/// Who comes while another is sampling leaves word and goes on: the one inside samples once more before it
/// leaves, so no failure is missed and nobody waits but `reset`.
class FailureWatch {
  public:
    /// A request failed, and `account.failed` counts it already; it is not yet completed. Whether too large a
    /// share failed: told to one of those that come together. Any thread; O(1).
    bool failed(const Account& account, Time now, const Options& options) noexcept {
        if (options.failure_ratio >= 1.0) return false;  // off
        // Acquire pairs with the release of who left before; release hands our count of failures to who is
        // inside, whose last compare-and-swap acquires it.
        if (callers_.fetch_add(1, std::memory_order_acq_rel) != 0) return false;
        std::uint32_t seen = 1;
        bool exceeded = false;
        do {
            ratio_.sample(now, static_cast<std::uint32_t>(total_completed(account)) + 1,
                          account.failed.load(std::memory_order_relaxed), options);
            exceeded = ratio_.exceeded(now, options) || exceeded;
        } while (
            !callers_.compare_exchange_weak(seen, 0, std::memory_order_acq_rel, std::memory_order_acquire));
        return exceeded;
    }

    /// Begins anew with the counters as they are. Waits for a sample under way, some nanoseconds. What fails
    /// meanwhile counts with the next failure.
    void reset(const Account& account, Time now) noexcept {
        std::uint32_t nobody = 0;
        while (!callers_.compare_exchange_weak(nobody, 1, std::memory_order_acquire,
                                               std::memory_order_relaxed)) {
            nobody = 0;
        }
        ratio_.reset(now, static_cast<std::uint32_t>(total_completed(account)),
                     account.failed.load(std::memory_order_relaxed));
        callers_.store(0, std::memory_order_release);
    }

  private:
    std::atomic<std::uint32_t> callers_{0};
    FailureRatio ratio_{};
};

}  // namespace fairlead::detail
