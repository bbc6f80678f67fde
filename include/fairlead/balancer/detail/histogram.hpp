// Latencies in buckets, counted where requests end.
//
// A mean hides the tail: one answer in a hundred that takes 60 s among answers of 1 s moves the mean by 0.6 s
// and is what users remember. So every backend keeps counts by bucket, which metrics turn into quantiles.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <fairlead/balancer/figures.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// Any thread. Relaxed throughout: a count that comes a moment late is late in one reading.
class Histogram {
  public:
    /// Whether `time` lies beyond the first bound. What does not is not counted by `add` on the hot path: the
    /// reader takes it as the rest, so that a request that took less than 10 ms pays a comparison and one
    /// that took longer an addition, which is a millionth of it.
    static constexpr bool is_slow(Duration time) noexcept { return time > latency_bounds.front(); }

    /// Kept out of line: callers are on the hot path, and mostly do not come here.
    [[gnu::noinline]] void add(Duration time) noexcept {
        std::size_t bucket = 0;
        while (bucket < latency_bounds.size() && time > latency_bounds[bucket]) ++bucket;
        counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    }

    /// What was within the first bound, as a reader works it out, is kept here, too: it must not fall. One
    /// reader at a time.
    void raise_first(std::uint64_t count) noexcept {
        counts_[0].store(std::max(first(), count), std::memory_order_relaxed);
    }
    std::uint64_t first() const noexcept { return counts_[0].load(std::memory_order_relaxed); }

    LatencyCounts counts() const noexcept {
        LatencyCounts counts{};
        for (std::size_t i = 0; i < counts.size(); ++i)
            counts[i] = counts_[i].load(std::memory_order_relaxed);
        return counts;
    }

  private:
    std::array<std::atomic<std::uint64_t>, std::tuple_size_v<LatencyCounts>> counts_{};
};

}  // namespace fairlead::detail
