// A backend's rest, which it asked for with back-pressure: a bit in its word, and until when.
//
// Any thread begins one, on the path of its request; only the writer ends it. Whoever takes the bit away must
// not take a rest with it that began meanwhile, and longer: so the moment is written before the bit is set
// (release), and whoever has cleared the bit (sequentially consistent) looks at the moment once more.
#pragma once

#include <atomic>
#include <cstdint>

#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/detail/account.hpp>

namespace fairlead::detail {

/// When it is over, or was.
inline Time rest_end(const LiveBackend& backend) noexcept {
    return Time{Duration{backend.rest_until.load(std::memory_order_relaxed)}};
}

/// Lets the backend rest until `until` at least; whether it did not already. Any thread; lock-free.
inline bool begin_rest(LiveBackend& backend, Time until) noexcept {
    const auto wanted = until.time_since_epoch().count();
    auto present = backend.rest_until.load(std::memory_order_relaxed);
    while (present < wanted &&
           !backend.rest_until.compare_exchange_weak(present, wanted, std::memory_order_relaxed)) {
    }
    return (backend.word.fetch_or(word::resting, std::memory_order_release) & word::resting) == 0;
}

/// Called with the roster's mutex. Ends a rest whose time is over.
inline void end_rest_if_over(LiveBackend& backend, Time now) noexcept {
    if (!backend.resting() || rest_end(backend) > now) return;
    backend.word.fetch_and(~word::resting, std::memory_order_seq_cst);
    const auto end = backend.rest_until.load(std::memory_order_seq_cst);
    if (end > now.time_since_epoch().count()) backend.word.fetch_or(word::resting, std::memory_order_relaxed);
}

/// Called with the roster's mutex. It is over at `end` at the latest.
inline void shorten_rest(LiveBackend& backend, Time end) noexcept {
    const auto wanted = end.time_since_epoch().count();
    auto present = backend.rest_until.load(std::memory_order_relaxed);
    while (present > wanted &&
           !backend.rest_until.compare_exchange_weak(present, wanted, std::memory_order_relaxed)) {
    }
}

/// Called with the roster's mutex. Another server stands behind the name, which asked for none.
inline void forget_rest(LiveBackend& backend) noexcept {
    backend.rest_until.store(0, std::memory_order_relaxed);
    backend.word.fetch_and(~word::resting, std::memory_order_relaxed);
}

}  // namespace fairlead::detail
