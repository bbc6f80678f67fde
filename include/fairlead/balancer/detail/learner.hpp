// What outcomes other than plain success say about a backend, and what follows.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <fairlead/balancer/detail/lease_access.hpp>
#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/roster.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/resilience/verdict.hpp>

namespace fairlead::detail {

/// Any thread. `Writer::write_quietly(change)` runs a change of the roster under its mutex and publishes it.
/// Called before the lease's place is given back: the backend is alive.
template <class Writer>
class Learner {
  public:
    Learner(Writer& writer, const OptionsInForce& options, Roster& roster) noexcept
        : writer_{writer}, options_{options}, roster_{roster} {}

    /// Whether the backend's state is still the one in which the request began: else its outcome counts in
    /// the figures and decides nothing.
    static bool is_current(Lease& lease, const LiveBackend& backend) noexcept {
        const auto now = backend.word.load(std::memory_order_relaxed);
        return ((LeaseAccess::taken(lease) ^ now) & word::epoch_mask) == 0;
    }

    /// Of any outcome but success. `now` is not the time where figures of time are off: then nothing but a
    /// rest asks for it, by itself.
    [[gnu::noinline]] void learn(Lease& lease, LiveBackend& backend, const Outcome& outcome,
                                 Time now) noexcept {
        backend.outcomes[outcome.kind - 1U].fetch_add(1, std::memory_order_relaxed);
        const Verdict verdict = judge(outcome, !LeaseAccess::config(lease).api_key.empty());
        if (verdict.failure) {
            backend.failed.fetch_add(1, std::memory_order_relaxed);
            backend.failures.fetch_add(1, std::memory_order_relaxed);
            backend.last_failure.store(static_cast<int>(outcome.kind) | outcome.status << 8,
                                       std::memory_order_relaxed);
            if (options_.timing) {
                // Now, so that the failure is noted and, in time, forgotten.
                backend.pace.refresh_between(backend, tick_of(now), *options_);
            } else {
                backend.forgotten.fetch_add(1, std::memory_order_relaxed);
            }
        } else if (verdict.neutral && !counts_as_completed(lease, backend, outcome, now)) {
            backend.neutral.fetch_add(1, std::memory_order_relaxed);
        }
        if (!is_current(lease, backend)) return;
        if (verdict.rests) rest(backend, outcome, now);
        if (verdict.success) backend.consecutive.store(0, std::memory_order_relaxed);
        if (LeaseAccess::half_open(lease)) {
            if (!verdict.fails_trial) {
                if (verdict.success) decide_trial(lease, true);
                return;
            }
            if (decide_trial(lease, false)) return;
            // It was in service again: chosen by a picture from before that. A failure like any other.
        }
        if (verdict.failure) failed(lease, backend, now);
    }

    /// A request on a half-open backend went well, or not. False when the backend is not half open any more,
    /// and was not when the request began: an older picture chose it.
    [[gnu::noinline]] bool decide_trial(Lease& lease, bool good) noexcept {
        LeaseAccess::half_open(lease) = false;
        auto& backend = *LeaseAccess::backend(lease);
        if (!is_current(lease, backend)) return true;
        bool was_trial = true;
        writer_.write_quietly([&](Roster& roster, Time now) {
            if (!is_current(lease, backend)) return;
            was_trial = backend.ejection.is_half_open();
            if (!was_trial) return;
            if (good) {
                roster.trial_succeeded(backend, now);
            } else {
                roster.eject(backend, "failed trial", now);
            }
        });
        if (std::exchange(LeaseAccess::trial(lease), false) && end_trial(lease, backend)) {
            // Still half open: the next trial may begin while this answer streams.
            if (writer_.is_place_expected()) writer_.place_freed();
        }
        return was_trial;
    }

  private:
    /// Takes the mark of the lease's trial away, within its epoch only: in the next one it is another's.
    /// Whether that was so. Sequentially consistent: as where a lease ends.
    static bool end_trial(Lease& lease, LiveBackend& backend) noexcept {
        std::uint64_t now = backend.word.load(std::memory_order_relaxed);
        do {
            if (((now ^ LeaseAccess::taken(lease)) & word::epoch_mask) != 0) return false;
        } while (!backend.word.compare_exchange_weak(now, now & ~word::trial, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed));
        return true;
    }

    /// A cancelled request says something when it had already taken longer than the mean.
    bool counts_as_completed(Lease& lease, LiveBackend& backend, const Outcome& outcome,
                             Time now) const noexcept {
        if (outcome.kind != Outcome::cancelled || !options_.timing) return false;
        if (LeaseAccess::phase(lease) == Phase::streaming) return true;  // counted when its first byte came
        backend.pace.refresh_between(backend, tick_of(now), *options_);  // so that the mean is of this moment
        return ticks_of(now - LeaseAccess::began(lease)) > backend.pace.mean();
    }

    void rest(LiveBackend& backend, const Outcome& outcome, Time now) noexcept {
        const Duration length = rest_of(outcome, *options_);
        if (length <= Duration::zero()) return;             // `rest_max` of 0: nobody rests
        if (!options_.timing) now = writer_.clock().now();  // a rest has an end
        if (!roster_.rest_from(backend, now + length)) return;
        writer_.write_quietly([&](Roster& roster, Time at) { roster.show(backend, at); });
    }

    /// Takes the writers' mutex only when the backend is to go: a storm of failures must not queue there.
    void failed(Lease& lease, LiveBackend& backend, Time now) noexcept {
        const Options& options = *options_;
        if (!options.ejection) return;
        const std::uint32_t row = backend.consecutive.fetch_add(1, std::memory_order_relaxed) + 1;
        const bool in_a_row = row >= options_.failure_threshold();
        // Without a clock there is no ratio over time.
        const bool by_ratio = options.timing && backend.failure_watch.failed(backend, now, options);
        if (!in_a_row && !by_ratio) return;
        // It stayed in spite of failures, and nothing has changed since that could change that. Relaxed: a
        // stale value costs one more look, or one failure's delay.
        if (backend.kept_at.load(std::memory_order_relaxed) == roster_.draws()) return;
        writer_.write_quietly([&](Roster& roster, Time at) {
            if (!is_current(lease, backend)) return;  // somebody was quicker
            roster.eject(backend, in_a_row ? "consecutive failures" : "failure ratio", at);
        });
    }

    Writer& writer_;
    const OptionsInForce& options_;
    Roster& roster_;
};

}  // namespace fairlead::detail
