// The failure table: what an outcome means for the backend and for the request. Everything else asks here.
#pragma once

#include <algorithm>

#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// What one outcome says about the backend that produced it. Exactly one of `failure`, `success` and
/// `neutral` is set.
///
///     const Verdict verdict = judge(outcome, !config.api_key.empty());
///     if (verdict.failure) ++consecutive_failures;
///     if (verdict.success) consecutive_failures = 0;
struct Verdict {
    bool failure = false;      ///< counts towards ejection
    bool success = false;      ///< the backend answered as it should: clears consecutive failures
    bool neutral = false;      ///< says nothing for or against it: neither adds nor clears
    bool fails_trial = false;  ///< a half-open backend goes out again
    bool retry = false;        ///< tried again elsewhere by default (`retries` asks the options too)
    bool rests = false;        ///< back-pressure: leave it alone for `rest_of` the outcome

    bool operator==(const Verdict&) const = default;
};

/// The table, row by row:
///
/// | outcome | failure | retried by default | rests |
/// |---|---|---|---|
/// | connect_error (no connection, TLS, reset, malformed or broken answer), timeout | yes | yes | no |
/// | server_error: 5xx, 503 without `retry_after` | yes | yes | no |
/// | rate_limited; server_error with status 503 and `retry_after` | neutral; fails a trial | yes | yes |
/// | client_error with status 401 or 403 where the key is ours (`own_key`) | yes | yes | no |
/// | other client_error, success | no: a success | no | no |
/// | cancelled | neutral | no | no |
///
/// 401 and 403 with a key of ours are failures because a revoked key answers within a millisecond and would
/// draw every request. Without one, the caller's key was wrong and the backend right to say so.
///
/// The kind decides; the status refines it only where the table names one. An answer that broke after its
/// first byte is a failure like any other; that it must not be retried once bytes have gone to the caller is
/// the caller's to know (`next_try`). Thread safe; no state; a compare or two for a success.
constexpr Verdict judge(const Outcome& outcome, bool own_key) noexcept {
    constexpr Verdict good{.success = true};
    constexpr Verdict failed{.failure = true, .fails_trial = true, .retry = true};
    constexpr Verdict pressed{.neutral = true, .fails_trial = true, .retry = true, .rests = true};
    switch (outcome.kind) {
        case Outcome::success:
            return good;
        case Outcome::connect_error:
        case Outcome::timeout:
            return failed;
        case Outcome::server_error:
            return outcome.status == 503 && outcome.retry_after ? pressed : failed;
        case Outcome::rate_limited:
            return pressed;
        case Outcome::client_error:
            return own_key && (outcome.status == 401 || outcome.status == 403) ? failed : good;
        case Outcome::cancelled:
            return {.neutral = true};
    }
    return failed;  // a value that is no kind: whatever happened, it was no good answer
}

/// Whether such an outcome is to be tried again elsewhere: the table's word, where `on` does not switch the
/// kind off. Thread safe; no state.
constexpr bool retries(const Outcome& outcome, const RetryOn& on, bool own_key) noexcept {
    const Verdict verdict = judge(outcome, own_key);
    if (!verdict.retry) return false;
    if (verdict.rests) return on.rate_limited;
    switch (outcome.kind) {
        case Outcome::connect_error:
            return on.connect_error;
        case Outcome::timeout:
            return on.timeout;
        default:
            return on.server_error;
    }
}

/// How long the backend is to be left alone after `outcome`: as told by `retry_after`, a 429 without one
/// `rest_default`; never below 0 nor above `rest_max`. 0 for what does not rest. Thread safe; no state.
constexpr Duration rest_of(const Outcome& outcome, const Options& options) noexcept {
    if (!judge(outcome, false).rests) return Duration::zero();
    const Duration told = outcome.retry_after.value_or(options.rest_default);
    return std::min(std::max(told, Duration::zero()), options.rest_max);
}

}  // namespace fairlead
