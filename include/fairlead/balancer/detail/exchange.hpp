// One request's way through its tries: select, classify, report, and whether and where to try again.
//
// Decides and accounts; sends nothing and waits for nothing. The blocking `send` below and the asynchronous
// one of transport/async.hpp both drive it, so the rules exist once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

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
        wait,    ///< for `wait`, then ask again
        give_up  ///< `lease.error()` says why; a response or error of an earlier try comes before it
    };
    Kind kind = Kind::give_up;
    Lease lease{};
    Duration wait{};
};

template <class Core>
class Exchange {
  public:
    /// `criteria` is copied, what it points to is not.
    Exchange(Core& core, const Criteria& criteria, const RequestOptions& options) noexcept
        : core_{&core}, criteria_{criteria}, options_{options} {
        core.count_request();
    }

    const RequestOptions& options() const noexcept { return options_; }
    std::size_t tries() const noexcept { return tried_.size(); }

    /// Chooses where the next try goes: elsewhere while there is an elsewhere, at once; on the same backend
    /// again only after a back-off. Throws std::bad_alloc after a failed try.
    Step next() {
        if (options_.deadline.is_set() && options_.deadline.passed(core_->clock().now())) {
            return {Step::Kind::give_up, LeaseAccess::refused(Errc::deadline_passed)};
        }
        if (tried_.empty()) return step(core_->select(criteria_));
        if (!std::exchange(backed_off_, false)) {
            excluded_.assign(criteria_.exclude.begin(), criteria_.exclude.end());
            excluded_.insert(excluded_.end(), tried_.begin(), tried_.end());
            Criteria elsewhere = criteria_;
            elsewhere.exclude = excluded_;
            Lease lease = core_->select(elsewhere);
            if (lease || lease.error() != Errc::all_excluded) return step(std::move(lease));
            backed_off_ = true;
            const Duration pause = core_->back_off(same_again_++);
            if (options_.deadline.left(core_->clock().now()) <= pause) {
                return {Step::Kind::give_up, LeaseAccess::refused(Errc::deadline_passed)};
            }
            return {Step::Kind::wait, {}, pause};
        }
        return step(core_->select(criteria_));
    }

    /// A try on `backend` ended, with nothing of its answer given to the caller yet: whether there is to be
    /// another, by the outcome, the options, the deadline and the retry budget. Throws std::bad_alloc.
    bool wants_another(const BackendConfig& backend, const Outcome& outcome) {
        const auto tries = static_cast<std::uint32_t>(tried_.size());
        const FailedTry failed{
            .outcome = outcome,
            .own_key = !backend.api_key.empty(),
            .retries_left = core_->max_retries() > tries ? core_->max_retries() - tries : 0,
            .deadline = options_.deadline,
            .wish = options_.retry};
        if (outcome.kind == Outcome::success || outcome.kind == Outcome::cancelled) return false;
        // Whether there is an elsewhere is found out by `next`.
        if (next_try(failed, core_->options().retry_on, true, core_->clock().now()) == NextTry::none)
            return false;
        if (!core_->take_retry(backend.name, outcome)) return false;
        tried_.push_back(backend.name);
        return true;
    }

    /// As `wants_another`, and reports the lease.
    bool finished(Lease&& lease, const Outcome& outcome) {
        const bool again = wants_another(*lease, outcome);
        core_->report(std::move(lease), outcome);
        return again;
    }

  private:
    static Step step(Lease lease) {
        const auto kind = lease ? Step::Kind::send : Step::Kind::give_up;
        return {kind, std::move(lease)};
    }

    Core* core_;
    Criteria criteria_;
    RequestOptions options_;
    std::vector<std::string> tried_{};
    std::vector<std::string_view> excluded_{};
    std::uint32_t same_again_ = 0;
    bool backed_off_ = false;
};

/// Waits on the calling thread; nothing can end it early.
inline void pause(Duration duration) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock{mutex};
    never.wait_for(lock, duration, [] { return false; });
}

template <class Core, class Transport>
typename Transport::Response send_blocking(Core& core, Transport& transport,
                                           const typename Transport::Request& request,
                                           const Criteria& criteria, const RequestOptions& options) {
    using Response = typename Transport::Response;
    Exchange<Core> exchange{core, criteria, options};
    Response last{};
    bool answered = false;
    std::error_code failure;
    for (;;) {
        Step step = exchange.next();
        if (step.kind == Step::Kind::wait) {
            pause(step.wait);
            continue;
        }
        if (step.kind == Step::Kind::give_up) {
            if (answered) return last;
            throw std::system_error{failure ? failure : step.lease.error()};
        }
        Response response{};
        std::error_code error;
        try {
            response = transport.send(*step.lease, request, options.deadline);
        } catch (const std::system_error& e) {
            error = e.code();
        }
        const bool again =
            exchange.finished(std::move(step.lease), Transport::outcome(error, std::as_const(response)));
        if (error) {
            failure = error;
        } else {
            last = std::move(response);
            answered = true;
        }
        if (again) continue;
        if (answered) return last;
        throw std::system_error{failure};
    }
}

}  // namespace fairlead::detail
