// One request's way through its tries: select, classify, report, and whether and where to try again.
//
// Decides and accounts; sends nothing and waits for nothing. The blocking `send` (detail/send_blocking.hpp)
// and the asynchronous calls (transport/async.hpp) both drive it, so the rules exist once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/lease_access.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/resilience/retry.hpp>
#include <fairlead/resilience/verdict.hpp>

namespace fairlead::detail {

/// What is to be done next for a request.
struct Step {
    enum class Kind : std::uint8_t {
        send,    ///< on `lease`
        queue,   ///< wait for a place under `criteria()`, then hand it to `placed`
        pause,   ///< for `pause`, then ask again
        give_up  ///< `lease.error()` says why; a response or error of an earlier try comes before it
    };
    Kind kind = Kind::give_up;
    Lease lease{};
    Duration pause{};
};

template <class Core>
class Exchange {
  public:
    /// `criteria` is copied, what it points to is not. `is_kept`: the caller still has the request after a
    /// try.
    Exchange(Core& core, const Criteria& criteria, const RequestOptions& options,
             bool is_kept = true) noexcept
        : core_{core}, wanted_{criteria}, now_asked_{criteria}, options_{options}, is_kept_{is_kept} {
        if (options.retries_used == 0) core.tries().count_request();
    }

    const RequestOptions& options() const noexcept { return options_; }

    /// Further tries so far.
    std::uint32_t further_tries() const noexcept { return static_cast<std::uint32_t>(tried_.size()); }

    /// What the present try asks of the choice.
    const Criteria& criteria() const noexcept { return now_asked_; }

    /// Chooses where the next try goes: elsewhere while there is an elsewhere, at once; on a backend tried
    /// before only after a pause. `may_queue`: the caller can wait for a place; it then stands behind those
    /// who wait already. Throws std::bad_alloc after a failed try.
    Step next(bool may_queue) {
        if (options_.deadline.passed(core_.clock().now())) return give_up(Errc::deadline_passed);
        ask();
        if (!may_queue || core_.options().queue_limit == 0) return placed(core_.select(now_asked_));
        // Back-pressure is an answer: with it in hand nobody's rest is waited for, nor those who wait for
        // one. A place that is free in spite of the line is one that they cannot use.
        if (unpaid_ == nullptr && !core_.line().is_empty()) return {.kind = Step::Kind::queue};
        Lease lease = core_.select(now_asked_);
        const bool waits = !lease && core_.line().is_worth_it(lease.error()) &&
                           in_time(lease.retry_after()) &&
                           !(unpaid_ != nullptr && lease.error() == Errc::all_resting);
        return waits ? Step{.kind = Step::Kind::queue} : placed(std::move(lease));
    }

    /// What the choice, or the wait for a place, came to.
    Step placed(Lease lease) {
        if (lease) {
            const char* const reason = std::exchange(unpaid_, nullptr);
            if (reason != nullptr && !core_.tries().take(tried_.back(), reason))
                return give_up(Errc::all_excluded);
            return {Step::Kind::send, std::move(lease)};
        }
        if (unpaid_ != nullptr) return {Step::Kind::give_up, std::move(lease)};
        const bool all_tried = lease.error() == Errc::all_excluded && !tried_.empty() && !repeating_;
        if (!all_tried) return {Step::Kind::give_up, std::move(lease)};
        again_ = true;
        const Duration pause = core_.tries().back_off(pauses_++);
        if (options_.deadline.left(core_.clock().now()) <= pause) return give_up(Errc::deadline_passed);
        return {.kind = Step::Kind::pause, .pause = pause};
    }

    /// A try on `backend` ended, with nothing of its answer given to the caller yet: whether there is to be
    /// another, by the outcome, the options, the deadline and the retry budget. Throws std::bad_alloc.
    bool wants_another(const BackendConfig& backend, const Outcome& outcome) {
        if (!is_kept_) return false;
        const auto tries = options_.retries_used + further_tries();
        const std::uint32_t most = core_.tries().max_retries();
        const FailedTry failed{.outcome = outcome,
                               .own_key = !backend.api_key.empty(),
                               .retries_left = most > tries ? most - tries : 0,
                               .deadline = options_.deadline,
                               .wish = options_.retry};
        // Whether there is an elsewhere is found out by `next`.
        if (next_try(failed, core_.options().retry_on, true, core_.clock().now()) == NextTry::none)
            return false;
        // After back-pressure the answer is at hand, and the same backend is not asked again while it rests:
        // there is a further try if there is an elsewhere, and only then is it paid for.
        const char* const reason = to_string(outcome.kind);
        unpaid_ = judge(outcome, failed.own_key).rests ? reason : nullptr;
        if (unpaid_ == nullptr && !core_.tries().take(backend.name, reason)) return false;
        tried_.push_back(backend.name);
        return true;
    }

    /// As `wants_another`, and reports the lease.
    bool finished(Lease&& lease, const Outcome& outcome) {
        const bool again = wants_another(*lease, outcome);
        core_.report(std::move(lease), outcome);
        return again;
    }

    /// Whether an answer of this kind is the request's, retries aside.
    bool is_final(const BackendConfig& backend, const Outcome& outcome) const noexcept {
        return !retries(outcome, core_.options().retry_on, !backend.api_key.empty());
    }

    /// Whether one more backend may be asked when no answer of `backend` came in time, and after how long.
    std::optional<Duration> hedge_after(const BackendConfig& backend) const {
        if (options_.retry == RequestOptions::Retry::never || !is_kept_) return std::nullopt;
        return core_.tries().hedge_after(backend.model_name);
    }

    /// A place for that one more try, elsewhere; not true when the budget or the fleet has none. `backend` is
    /// the one that is late. Throws std::bad_alloc.
    Lease hedge(const BackendConfig& backend) {
        tried_.push_back(backend.name);
        ask();
        Lease lease = core_.select(now_asked_);
        if (lease && core_.tries().take(backend.name, "hedge")) return lease;
        tried_.pop_back();  // there is none, so it costs no further try
        return {};
    }

  private:
    /// The criteria of the next try: without those tried, unless it is their turn again.
    void ask() {
        now_asked_ = wanted_;
        repeating_ = std::exchange(again_, false);
        if (tried_.empty() || repeating_) return;
        excluded_.assign(wanted_.exclude.begin(), wanted_.exclude.end());
        excluded_.insert(excluded_.end(), tried_.begin(), tried_.end());
        now_asked_.exclude = excluded_;
    }

    /// Whether the request may still be under way after `wait`.
    bool in_time(std::optional<Duration> wait) const noexcept {
        return !wait || *wait < options_.deadline.left(core_.clock().now());
    }

    static Step give_up(Errc error) { return {Step::Kind::give_up, LeaseAccess::refused(error)}; }

    Core& core_;
    const Criteria wanted_;
    Criteria now_asked_;
    RequestOptions options_;
    const bool is_kept_;
    std::vector<std::string> tried_{};
    std::vector<std::string_view> excluded_{};
    std::uint32_t pauses_ = 0;
    bool again_ = false;            // all have been tried: the next try may go where one has been
    bool repeating_ = false;        // the present one may
    const char* unpaid_ = nullptr;  // why a further try is wanted that the budget pays when it finds a place
};

}  // namespace fairlead::detail
