// How long answers take, as a quantile: when a request is late enough to be asked for a second time.
//
// Without it a hedge needs a fixed delay, which is too early for a slow model (every request is sent twice)
// and too late for a fast one (nobody is helped).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <fairlead/model/time.hpp>

namespace fairlead {

/// Counts latencies in buckets whose bounds grow by 2^(1/8), 9 %, from 1 ms to 18 hours, and forgets by
/// halving. A value of 1.2 kB; no clock. Threads: needs the caller's mutex. `add` O(1), `quantile`
/// O(buckets).
class LatencyQuantile {
  public:
    void add(Duration latency) noexcept {
        ++counts_[bucket_of(latency)];
        if (++total_ < memory) return;
        total_ = 0;
        for (auto& count : counts_) total_ += count /= 2;
    }

    /// The latency that the share `q` (0..1) of the answers did not exceed, rounded up to its bucket's bound.
    /// Nothing while too few are known: fewer than 20, or than the quantile needs for one to lie beyond it.
    std::optional<Duration> quantile(double q) const noexcept {
        const double known = static_cast<double>(total_);
        if (known < least_known || known * (1.0 - q) < 1.0) return std::nullopt;
        double below = 0.0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            below += static_cast<double>(counts_[i]);
            if (below >= q * known) return bound_of(i);
        }
        return bound_of(counts_.size() - 1);
    }

  private:
    static constexpr double least_known = 20.0;
    static constexpr std::uint32_t memory = 4096;  // so that the 99th percentile rests on 20 answers or more
    static constexpr std::size_t a_doubling = 8;
    static constexpr std::size_t buckets = 26 * a_doubling;  // 2^26 ms are 18 hours

    static std::size_t bucket_of(Duration latency) noexcept {
        const double ms = static_cast<double>(latency.count()) / 1e6;
        if (ms <= 1.0) return 0;
        const double at = std::ceil(std::log2(ms) * static_cast<double>(a_doubling));
        return std::min(static_cast<std::size_t>(at), buckets - 1);
    }

    static Duration bound_of(std::size_t bucket) noexcept {
        const double ms = std::exp2(static_cast<double>(bucket) / static_cast<double>(a_doubling));
        return Duration{static_cast<Duration::rep>(ms * 1e6)};
    }

    std::array<std::uint32_t, buckets> counts_{};
    std::uint32_t total_ = 0;
};

}  // namespace fairlead
