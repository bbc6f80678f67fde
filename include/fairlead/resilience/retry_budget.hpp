// How many retries a fleet can bear.
//
// Without it, a fleet that fails gets three times the load (each request and two retries) just when it can
// bear least, and what was a slow minute becomes an outage.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

#include <fairlead/model/options.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// Retries over any window of `retry_budget_window` are at most `retry_budget_ratio` of the requests in it,
/// plus `retry_budget_min` a second of it; plus one where that is less and the ratio allows any, since the
/// share of what comes could else never be saved up to a whole one.
///
/// Exact for any window, not only those that end now. A window that breaks the rule can be shortened to begin
/// just before one retry j and to end with another, k: what it loses are requests and time that only helped.
/// So it is enough that at each retry k, for every j in the last window, with R the requests so far,
///     k - j + 1 <= ratio (R_k - R_j) + allowance,   that is
///     (k + 1 - ratio R_k) - min over j of (j - ratio R_j) <= allowance,
/// and a sliding minimum is a deque: O(1) amortised, memory for the retries of one window at most.
///
/// Counting requests costs the caller one counter. Threads: needs the caller's mutex.
class RetryBudget {
  public:
    /// Whether one more retry is within the budget at `now`, after `requests` so far (cumulative); if so it
    /// is spent. Throws std::bad_alloc.
    bool take(Time now, std::uint64_t requests, const Options& options) {
        const Duration window = options.retry_budget_window;
        // Values of another ratio cannot be compared: its retries are forgotten, at most one allowance.
        if (std::exchange(ratio_, options.retry_budget_ratio) != options.retry_budget_ratio) least_.clear();
        latest_ = std::max(latest_, now);  // callers read the clock before they take the mutex
        while (!least_.empty() && latest_ - least_.front().at >= window) least_.pop_front();
        const double here =
            static_cast<double>(retries_) - options.retry_budget_ratio * static_cast<double>(requests);
        const double least = least_.empty() || here < least_.front().value ? here : least_.front().value;
        if (options.retry_budget_ratio <= 0 && options.retry_budget_min <= 0) return false;
        const double allowance =
            std::max(options.retry_budget_min * std::chrono::duration<double>(window).count(),
                     options.retry_budget_ratio > 0 ? 1.0 : 0.0);
        if (here + 1 - least > allowance + 1e-9) return false;
        while (!least_.empty() && least_.back().value >= here) least_.pop_back();
        least_.push_back({latest_, here});
        ++retries_;
        return true;
    }

  private:
    struct Point {
        Time at;
        double value;  // j - ratio R_j
    };

    Time latest_{};
    std::uint64_t retries_ = 0;
    double ratio_ = 0.0;
    std::deque<Point> least_;  // rising values: the front is the window's least
};

}  // namespace fairlead
