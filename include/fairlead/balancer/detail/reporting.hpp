// From a lease to its end: what came of the answer, how it ended, the place given back.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include <fairlead/balancer/detail/histogram.hpp>
#include <fairlead/balancer/detail/learner.hpp>
#include <fairlead/balancer/detail/lease_access.hpp>
#include <fairlead/balancer/detail/load_account.hpp>
#include <fairlead/balancer/detail/selection.hpp>
#include <fairlead/balancer/detail/token_account.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/balancer/roster.hpp>

namespace fairlead::detail {

/// What `Core` adds to choosing: the account of a request, to its end. Any thread.
template <class Core, Strategy S, ClockSource Clock>
class Reporting : public LeaseOwner, public Selection<Core, S, Clock> {
    using Base = Selection<Core, S, Clock>;

  public:
    void first_byte(Lease& lease) noexcept {
        auto* backend = LeaseAccess::backend(lease);
        if (backend == nullptr || LeaseAccess::phase(lease) != Phase::prefill) return;
        if (LeaseAccess::plain(lease)) [[unlikely]] {
            LeaseAccess::phase(lease) = Phase::uncounted;
            return;
        }
        const bool stops_clock = options_.timing && options_.latency_to() == LatencyTo::first_byte;
        const Time now = options_.timing ? clock_.now() : Time{};
        if (stops_clock) advance_since(*backend, LeaseAccess::began(lease), now);
        if constexpr (Learns<S>) {
            if (const S* learner = learning()) learner->first_byte(learned_, backend->id);
        }
        const std::uint64_t prefilled = LeaseAccess::tokens(lease);
        TokenAccount::decode(*backend, lease, stops_clock);
        if (options_.timing) {
            LeaseAccess::wait(lease) = now - LeaseAccess::began(lease);
            note_first_byte(*backend, LeaseAccess::wait(lease));
            if (prefilled != 0) note_prefill(*backend, prefilled, LeaseAccess::wait(lease));
            if (stops_clock) LeaseAccess::began(lease) = now;
        }
        if (LeaseAccess::half_open(lease)) [[unlikely]]
            core().learner().decide_trial(lease, true);
    }

    /// So many tokens of the answer have come.
    void came(Lease& lease, std::uint64_t tokens) noexcept {
        if (auto* backend = LeaseAccess::backend(lease)) TokenAccount::came(*backend, lease, tokens);
    }

    /// A good answer's head came: that is what a trial waits for.
    void head_came(Lease& lease) noexcept {
        if (LeaseAccess::backend(lease) != nullptr && LeaseAccess::half_open(lease))
            core().learner().decide_trial(lease, true);
    }

    [[gnu::always_inline]] void report(Lease&& lease, const Outcome& outcome) noexcept {
        const bool says_more = (outcome.prompt_tokens | outcome.completion_tokens) != 0 ||
                               outcome.first_byte.has_value() || outcome.latency.has_value();
        if (!says_more) return report(std::move(lease), outcome.kind, outcome);
        if (auto* backend = LeaseAccess::backend(lease)) report_balanced(lease, *backend, outcome);
    }

    /// As `report`, where there is no more to say: an outcome is only made where more than a place is given
    /// back.
    [[gnu::always_inline]] void report(Lease&& lease, Outcome::Kind kind) noexcept {
        report(std::move(lease), kind, kind);
    }

    /// A success that says nothing else. All that it may have to do is asked first: what is rare is done by
    /// `report_balanced`.
    [[gnu::noinline]] void report_success(Lease& lease, LiveBackend& backend) noexcept {
        if (!LeaseAccess::is_usual(lease) || backend.consecutive.load(std::memory_order_relaxed) != 0)
            [[unlikely]]
            return report_balanced_success(lease, backend);
        if constexpr (Learns<S>) {
            if (learning() != nullptr) return report_balanced_success(lease, backend);
        }
        if (options_.timing) {
            const Time now = clock_.now();
            const Duration took = now - LeaseAccess::began(lease);
            if (Histogram::is_slow(took)) return report_slow(lease, backend, took);
            // It was brought up to date when this request began, which was soon before.
            advance_area_soon(backend, tick_of(now), backend.word.load(std::memory_order_relaxed));
        }
        TokenAccount::end_prefill(backend, lease);
        give_back(lease, backend);
    }

    [[gnu::noinline]] void report_balanced_success(Lease& lease, LiveBackend& backend) noexcept {
        report_balanced(lease, backend, Outcome::success);
    }

    [[gnu::noinline]] void report_slow(Lease& lease, LiveBackend& backend, Duration took) noexcept {
        const Time now = LeaseAccess::began(lease) + took;
        advance_area(backend, tick_of(now), backend.word.load(std::memory_order_relaxed));
        backend.response_times.add(took);
        TokenAccount::end_prefill(backend, lease);
        give_back(lease, backend);
    }

    /// As `report`, of a lease that has more to give back than its place.
    [[gnu::noinline]] void report_balanced(Lease& lease, LiveBackend& of, const Outcome& outcome) noexcept {
        auto* const backend = &of;
        const Time now = options_.timing ? clock_.now() : Time{};
        if constexpr (Learns<S>) {
            if (const S* learner = learning()) learner->finished(learned_, backend->id, outcome);
        }
        // Everything that touches the backend comes before the add that releases it: after that it may be
        // gone.
        if (outcome.kind == Outcome::success) [[likely]] {
            if (backend->consecutive.load(std::memory_order_relaxed) != 0 &&
                Learner<Core>::is_current(lease, *backend)) {
                backend->consecutive.store(0, std::memory_order_relaxed);
            }
            if (LeaseAccess::half_open(lease)) [[unlikely]]
                core().learner().decide_trial(lease, true);
        } else {
            core().learner().learn(lease, *backend, outcome, now);
        }
        if (outcome.prompt_tokens != 0 || outcome.completion_tokens != 0) {
            backend->prompt_tokens.fetch_add(outcome.prompt_tokens, std::memory_order_relaxed);
            backend->completion_tokens.fetch_add(outcome.completion_tokens, std::memory_order_relaxed);
        }
        if (options_.timing) {
            advance_since(*backend, LeaseAccess::began(lease), now);
            Duration took = now - LeaseAccess::began(lease);
            if (LeaseAccess::phase(lease) == Phase::prefill && outcome.first_byte) [[unlikely]]
                note_first_byte(*backend, *outcome.first_byte);
            if (LeaseAccess::phase(lease) == Phase::streaming) {
                const auto streamed = ticks_of(took);
                took += LeaseAccess::wait(lease);
                backend->streamed.fetch_add(static_cast<std::uint64_t>(std::max(0.0, streamed)),
                                            std::memory_order_relaxed);
            }
            if (outcome.latency) [[unlikely]]
                took = *outcome.latency;
            if (Histogram::is_slow(took)) backend->response_times.add(took);
        }
        TokenAccount::end(*backend, lease);
        if (LeaseAccess::trial(lease)) [[unlikely]]
            return give_back_trial(lease, *backend);
        give_back(lease, *backend);
    }

    void abandon(Lease& lease) noexcept final { report(std::move(lease), Outcome::cancelled); }

    /// A place that was taken by `take_unlimited` in vain; `taken` was the word before. The snapshot keeps
    /// the backend.
    [[gnu::noinline]] void take_back(const Candidate& candidate, std::uint64_t taken) noexcept {
        auto& backend = CandidateAccess::backend(candidate);
        // Sequentially consistent, and what follows: as where a lease ends, which this looks like to others.
        const std::uint64_t before = backend.word.fetch_sub(word::one_in_flight, std::memory_order_seq_cst);
        if (is_last_of_closed(before) || is_other_generation(before, taken))
            tell_roster(backend.id, backend.serial, taken, before, false);
        if (places_.is_expected()) core().place_freed();
    }

  protected:
    using Base::Base;
    ~Reporting() = default;

    using Base::clock_;
    using Base::core;
    using Base::learned_;
    using Base::options_;
    using Base::places_;
    using Base::publication_;

  private:
    /// The strategy in force as this thread knows it, when it learns.
    const S* learning() noexcept {
        const auto* lane = publication_.read_known();
        if (lane == nullptr) [[unlikely]]
            lane = publication_.read();
        if (lane == nullptr || !is_learning(lane->current->strategy)) return nullptr;
        return &lane->current->strategy;
    }

    /// Brings the integral up to `now`. It was brought up to date at `began`.
    [[gnu::always_inline]] static void advance_since(LiveBackend& backend, Time began, Time now) noexcept {
        const std::uint64_t word = backend.word.load(std::memory_order_relaxed);
        if (Histogram::is_slow(now - began)) [[unlikely]]
            return advance_area(backend, tick_of(now), word);
        advance_area_soon(backend, tick_of(now), word);
    }

    /// `outcome`: what makes one of the kind and nothing else.
    template <class Made>
    [[gnu::always_inline]] void report(Lease&& lease, Outcome::Kind kind, const Made& outcome) noexcept {
        if (gives_back(lease, kind)) return;
        auto* const backend = LeaseAccess::backend(lease);
        if (backend == nullptr) [[unlikely]]
            return;
        if (kind == Outcome::success) [[likely]]
            return report_success(lease, *backend);
        report_balanced(lease, *backend, outcome);
    }

    static void note_first_byte(LiveBackend& backend, Duration wait) noexcept {
        backend.first_byte_times.add(wait);
        backend.first_byte_sum.fetch_add(static_cast<std::uint64_t>(std::max(wait, Duration::zero()).count()),
                                         std::memory_order_relaxed);
    }

    /// A success of a plain lease has only its place to give back, and does. False for all others.
    [[gnu::always_inline]] bool gives_back(Lease& lease, Outcome::Kind kind) noexcept {
        if (!LeaseAccess::plain(lease) || kind != Outcome::success) return false;
        if (auto* const backend = LeaseAccess::backend(lease)) give_back(lease, *backend);
        return true;
    }

    static constexpr std::uint64_t one_ended = word::one_completed - word::one_in_flight;

    [[gnu::always_inline]] void give_back(Lease& lease, LiveBackend& backend) noexcept {
        const BackendId id = backend.id;
        const std::uint32_t serial = backend.serial;
        // Release: what was done to the backend comes before whoever takes the place next, or frees it.
        // Sequentially consistent: see `look_again` and `Roster::announce_drain`.
        const std::uint64_t before = backend.word.fetch_add(one_ended, std::memory_order_seq_cst);
        // From here on the backend may be gone.
        released(lease, id, serial, before);
    }

    /// As `give_back`, with the one trial place.
    [[gnu::noinline]] void give_back_trial(Lease& lease, LiveBackend& backend) noexcept {
        const BackendId id = backend.id;
        const std::uint32_t serial = backend.serial;
        std::uint64_t before = backend.word.load(std::memory_order_relaxed);
        std::uint64_t after = 0;
        do {
            after = before + one_ended;
            if (((before ^ LeaseAccess::taken(lease)) & word::epoch_mask) == 0) after &= ~word::trial;
        } while (!backend.word.compare_exchange_weak(before, after, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed));
        released(lease, id, serial, before);
    }

    /// The place was given back on the backend of that id and serial; `before` was its word.
    [[gnu::always_inline]] void released(Lease& lease, BackendId id, std::uint32_t serial,
                                         std::uint64_t before) noexcept {
        LeaseAccess::end(lease);
        const std::uint64_t taken = LeaseAccess::taken(lease);
        // It was open when the place was taken: a difference tells of its end, too.
        constexpr std::uint64_t same = word::closed | word::generation_mask;
        if (((before ^ taken) & same) != 0 || is_half_turn(before)) [[unlikely]]
            return released_of_changed(id, serial, taken, before);
        if (places_.is_expected()) [[unlikely]]
            core().place_freed();
    }

    [[gnu::noinline]] void released_of_changed(BackendId id, std::uint32_t serial, std::uint64_t taken,
                                               std::uint64_t before) noexcept {
        if (is_last_of_closed(before) || is_other_generation(before, taken) || is_half_turn(before))
            tell_roster(id, serial, taken, before, true);
        if (places_.is_expected()) core().place_freed();
    }

    static bool is_last_of_closed(std::uint64_t before) noexcept {
        return (before & (word::closed | word::in_flight_mask)) == (word::closed | word::one_in_flight);
    }
    static bool is_other_generation(std::uint64_t before, std::uint64_t taken) noexcept {
        return ((before ^ taken) & word::generation_mask) != 0;
    }
    /// Whether a completion after `before` crossed a multiple of 2^23.
    static bool is_half_turn(std::uint64_t before) noexcept {
        return before << 1 >= ~std::uint64_t{0} << (word::completed_shift + 1);  // 23 bits of it are ones
    }

    [[gnu::noinline]] void tell_roster(BackendId id, std::uint32_t serial, std::uint64_t taken,
                                       std::uint64_t before, bool completed) noexcept {
        const bool half_turn = completed && is_half_turn(before);
        core().write_quietly([&](Roster& roster, Time now) {
            roster.released(id, serial, word::generation(taken), word::generation(before), half_turn, now);
        });
    }
};

}  // namespace fairlead::detail
