// From what an engine says of its load to what others than this balancer have brought it.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include <fairlead/model/load_report.hpp>
#include <fairlead/strategies/detail/account.hpp>
#include <fairlead/strategies/detail/tick.hpp>

namespace fairlead::detail {

inline void tell(Told& told, std::optional<double> value, Tick now) noexcept {
    if (!value || !std::isfinite(*value)) return;  // what is not said stays what it was, and ages
    told.value.store(static_cast<float>(std::max(0.0, *value)), std::memory_order_relaxed);
    told.tick.store(now, std::memory_order_relaxed);
}

/// Another engine stands behind the name: nothing is known of it.
inline void forget_load(Account& account) noexcept {
    for (Told* told :
         {&account.others_running, &account.others_waiting, &account.others_tokens, &account.cache_use}) {
        told->value.store(std::numeric_limits<float>::quiet_NaN(), std::memory_order_relaxed);
    }
}

/// What is too old to count is forgotten, before its tick comes round again and makes it look new. Any
/// thread.
inline void forget_old_load(Account& account, Tick now) noexcept {
    const Tick counts_for = account.told_for.load(std::memory_order_relaxed);
    if (counts_for == 0) return;  // nothing was ever told
    for (Told* told :
         {&account.others_running, &account.others_waiting, &account.others_tokens, &account.cache_use}) {
        float value = told->value.load(std::memory_order_relaxed);
        if (std::isnan(value)) continue;
        const Tick at = told->tick.load(std::memory_order_relaxed);
        if (!due(at, now) || now - at <= counts_for) continue;
        // Unless another is told at this moment. (Of the same value it is lost: the next comes in a second.)
        told->value.compare_exchange_strong(value, std::numeric_limits<float>::quiet_NaN(),
                                            std::memory_order_relaxed);
    }
}

/// A prompt of so many uncached tokens had its first byte after `wait`. Both sums forget a 64th each time, so
/// that the last 64 prompts make the rate. Relaxed: a lost update costs one of them.
inline void note_prefill(Account& account, std::uint64_t tokens, Duration wait) noexcept {
    constexpr float keep = 63.0F / 64.0F;
    const auto more = [](std::atomic<float>& sum, float by) {
        sum.store(sum.load(std::memory_order_relaxed) * keep + by, std::memory_order_relaxed);
    };
    more(account.prefilled_tokens, static_cast<float>(tokens));
    more(account.prefilled_seconds, std::max(0.0F, std::chrono::duration<float>(wait).count()));
}

/// Takes note of a report that counts for `lasts`. Our own requests are in what the engine shows, and in our
/// account from the moment of the pick: they are taken out, so that they do not count twice. Those without a
/// first byte may stand in its queue or in its batch: in the queue while there are so many.
inline void note_load(Account& account, const LoadReport& report, Duration lasts) noexcept {
    const Tick now = tick_of(report.at);
    account.told_for.store(static_cast<Tick>(std::clamp(ticks_of(lasts), 1.0, 1e9)),
                           std::memory_order_relaxed);
    const double decoding = detail::decoding(account);
    const double in_flight = word::in_flight(account.word.load(std::memory_order_relaxed));
    const double not_begun = std::max(0.0, in_flight - decoding);
    double not_begun_in_batch = 0;
    if (report.waiting) {
        not_begun_in_batch = std::max(0.0, not_begun - *report.waiting);
        tell(account.others_waiting, *report.waiting - not_begun, now);
    }
    if (report.running) tell(account.others_running, *report.running - decoding - not_begun_in_batch, now);
    if (report.waiting_tokens) {
        const auto own = account.prefill.load(std::memory_order_relaxed);
        tell(account.others_tokens, *report.waiting_tokens - static_cast<double>(own), now);
    }
    if (report.cache_use) tell(account.cache_use, std::min(1.0, *report.cache_use), now);
}

}  // namespace fairlead::detail
