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

/// Whether `tick` has come at `now`, in modular time.
inline bool due(Tick tick, Tick now) noexcept { return now - tick < (Tick{1} << 31); }

}  // namespace fairlead::detail
