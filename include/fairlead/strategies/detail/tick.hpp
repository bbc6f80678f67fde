// A coarse time that fits in 32 bits, for what is stored with every figure.
#pragma once

#include <cstdint>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// 65,536 ns, modulo 2^32 of them (78 hours): fine against any latency worth a name, and one shift to get.
using Tick = std::uint32_t;
inline constexpr double nanoseconds_per_tick = 65'536.0;

inline Tick tick_of(Time time) noexcept {
    return static_cast<Tick>(static_cast<std::uint64_t>(time.time_since_epoch().count()) >> 16);
}

inline double ticks_of(Duration duration) noexcept {
    return static_cast<double>(duration.count()) / nanoseconds_per_tick;
}

/// Ticks, 18 minutes: what lies less than that ahead does so. All else is past, however long ago: a balancer
/// may stand idle for a weekend, of which half the circle, 39 hours, would make a future.
inline constexpr Tick most_ahead = Tick{1} << 24;

/// Whether `tick` has come at `now`, in modular time. It must not lie more than `most_ahead` in the future.
inline bool due(Tick tick, Tick now) noexcept { return now - tick < Tick{0} - most_ahead; }

}  // namespace fairlead::detail
