// Whether and how a failed request is tried again: the decision, and the pause before the same backend.
//
// Without a rule here, a request whose answer had half arrived would be sent twice to the caller, and one
// past its deadline would be paid for although nobody waits for it.
#pragma once

#include <algorithm>
#include <cstdint>

#include <fairlead/model/criteria.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/resilience/verdict.hpp>

namespace fairlead {

/// A try that ended, as the retry rules see it.
struct FailedTry {
    const Outcome& outcome;
    bool own_key = false;            ///< the backend has a key of ours: see `judge`
    std::uint32_t retries_left = 0;  ///< of `Options::max_retries`
    Deadline deadline{};             ///< the request's
    RequestOptions::Retry wish = RequestOptions::Retry::inherit;
    bool answer_begun = false;  ///< the first byte of the answer has gone to the caller
};

/// What is to be done after a try.
enum class NextTry : std::uint8_t {
    none,                ///< its outcome is the request's
    elsewhere,           ///< at once, on a backend not tried yet
    same_after_back_off  ///< all have been tried: `back_off` first
};

/// Decides about a further try, all but the retry budget: asked last, because asking it spends.
/// `elsewhere`: there is a backend not tried yet. Thread safe; no state.
constexpr NextTry next_try(const FailedTry& failed, const RetryOn& on, bool elsewhere, Time now) noexcept {
    if (failed.answer_begun || failed.retries_left == 0) return NextTry::none;
    if (failed.wish == RequestOptions::Retry::never && !failed.outcome.unsent) return NextTry::none;
    if (!retries(failed.outcome, on, failed.own_key)) return NextTry::none;
    if (failed.deadline.is_set() && failed.deadline.passed(now)) return NextTry::none;
    return elsewhere ? NextTry::elsewhere : NextTry::same_after_back_off;
}

namespace detail {

/// The longest pause before the same backend is tried again, for the `again`-th time, counted from 0:
/// `back_off_base`, doubling, at most `back_off_max`.
constexpr Duration back_off_limit(std::uint32_t again, const Options& options) noexcept {
    Duration limit = options.back_off_base;
    for (; again > 0 && limit > Duration::zero() && limit < options.back_off_max; --again) {
        // Compared with half the bound before it doubles: no overflow, whatever the options.
        limit = limit > options.back_off_max / 2 ? options.back_off_max : limit * 2;
    }
    return std::min(limit, options.back_off_max);
}

/// The pause: uniform in [0, `back_off_limit`). Full jitter, because callers that failed together would else
/// come back together (Brooker, "Exponential backoff and jitter", 2015: fewest calls of the jitters tried).
constexpr Duration back_off(std::uint32_t again, const Options& options, Rng& rng) noexcept {
    const Duration limit = back_off_limit(again, options);
    return Duration{static_cast<Duration::rep>(static_cast<double>(limit.count()) * rng.uniform())};
}

}  // namespace detail
}  // namespace fairlead
