// Whether too large a share of a backend's recent requests failed.
//
// Consecutive counts alone miss partial failure: a backend that fails two of three requests never fails three
// in a row often enough, and spoils most of what it is given.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <fairlead/model/options.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// A sliding window of `failure_ratio_window`, in 10 buckets: counts reach back between 0.9 of the window and
/// all of it. Fed with cumulative counters at each failure, so that a success costs nothing; what succeeded
/// between two failures further apart than the window is taken to be spread evenly over that time.
///
/// Threads: needs the caller's mutex. No allocation; O(1).
class FailureRatio {
  public:
    /// A request failed; `completed` and `failed` count all requests ever, this one included, modulo 2^32.
    void sample(Time now, std::uint32_t completed, std::uint32_t failed, const Options& options) noexcept {
        // Ticks of a window of another length are no ticks of this one.
        if (std::exchange(window_, options.failure_ratio_window) != options.failure_ratio_window) count_ = 0;
        const std::int64_t tick = tick_of(now, options);
        if (count_ == 0 || tick - newest_ >= buckets) {
            // Of the requests since the last sample, those that the window holds if they came evenly.
            const std::uint32_t since = completed - 1 - completed_;
            const auto gap = std::max<double>(1.0, static_cast<double>((now - sampled_).count()));
            const double held =
                std::min(1.0, static_cast<double>(options.failure_ratio_window.count()) / gap);
            first_ = 0;
            count_ = 0;
            push(tick, {completed - 1 - static_cast<std::uint32_t>(held * since), failed - 1});
        } else if (tick > newest_) {
            push(tick, {completed_, failed_});
        }
        while (count_ > 1 && tick_at(first_) <= tick - buckets) pop();
        completed_ = completed;
        failed_ = failed;
        sampled_ = now;
    }

    /// Whether more than `failure_ratio` of at least `failure_ratio_requests` failed, as of the last sample.
    bool exceeded(Time now, const Options& options) const noexcept {
        if (options.failure_ratio >= 1.0) return false;
        const std::int64_t oldest = tick_of(now, options) - buckets;
        for (std::size_t i = 0; i < count_; ++i) {
            const std::size_t at = (first_ + i) % ring_.size();
            if (tick_at(at) <= oldest) continue;
            const Bucket& from = ring_[at];
            const std::uint32_t completed = completed_ - from.completed;
            const std::uint32_t failed = failed_ - from.failed;
            return completed >= options.failure_ratio_requests &&
                   static_cast<double>(failed) > options.failure_ratio * static_cast<double>(completed);
        }
        return false;
    }

    /// Begins anew at `now`, with the counters as they are: the backend is another one now, or its state
    /// changed.
    void reset(Time now, std::uint32_t completed, std::uint32_t failed) noexcept {
        *this = FailureRatio{};
        sampled_ = now;
        completed_ = completed;
        failed_ = failed;
    }

  private:
    static constexpr std::int64_t buckets = 10;

    /// The counters as they were when the bucket began.
    struct Bucket {
        std::uint32_t completed;
        std::uint32_t failed;
    };

    static std::int64_t tick_of(Time now, const Options& options) noexcept {
        const auto width = options.failure_ratio_window.count() / buckets;
        return now.time_since_epoch().count() / (width > 0 ? width : 1);
    }

    /// When the bucket began: at most `buckets` before the newest, so eight bits tell.
    std::int64_t tick_at(std::size_t at) const noexcept {
        return newest_ - static_cast<std::uint8_t>(static_cast<std::uint8_t>(newest_) - ticks_[at]);
    }
    void push(std::int64_t tick, Bucket bucket) noexcept {
        if (count_ == ring_.size()) pop();
        const std::size_t at = (first_ + count_++) % ring_.size();
        ring_[at] = bucket;
        ticks_[at] = static_cast<std::uint8_t>(tick);
        newest_ = tick;
    }
    void pop() noexcept {
        first_ = static_cast<std::uint8_t>((first_ + 1U) % ring_.size());
        --count_;
    }

    // One of these for every backend: as small as it can be.
    std::array<Bucket, buckets + 1> ring_{};
    std::array<std::uint8_t, buckets + 1> ticks_{};  // lowest bits of when each began
    std::uint8_t first_ = 0;
    std::uint8_t count_ = 0;
    std::int64_t newest_ = 0;  // when the newest began
    std::uint32_t completed_ = 0;
    std::uint32_t failed_ = 0;
    Time sampled_{};
    Duration window_{};  // as of the last sample
};

}  // namespace fairlead
