// What a balancer does without knowing how requests are sent: choose (selection.hpp), account, find out,
// publish.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/announcer.hpp>
#include <fairlead/balancer/detail/copies.hpp>
#include <fairlead/balancer/detail/learner.hpp>
#include <fairlead/balancer/detail/load_account.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/detail/place_signal.hpp>
#include <fairlead/balancer/detail/publication.hpp>
#include <fairlead/balancer/detail/selection.hpp>
#include <fairlead/balancer/detail/subsets.hpp>
#include <fairlead/balancer/detail/token_account.hpp>
#include <fairlead/balancer/detail/tries.hpp>
#include <fairlead/balancer/detail/waiting_line.hpp>
#include <fairlead/balancer/figures.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/balancer/roster.hpp>
#include <fairlead/model/load_report.hpp>
#include <fairlead/model/validate.hpp>

namespace fairlead::detail {

inline const Options& checked(const Options& options) {
    if (const auto problems = validate(options); !problems.empty()) {
        throw std::invalid_argument{"fairlead::Options: " + problems.front()};
    }
    return options;
}

template <Strategy S, ClockSource Clock>
class Core final : public LeaseOwner, public Selection<Core<S, Clock>, S, Clock> {
    using Base = Selection<Core<S, Clock>, S, Clock>;

  public:
    Core(const Options& options, S strategy, Clock clock)
        : Base{checked(options), std::move(clock)}, strategy_{std::move(strategy)} {
        if constexpr (Learns<S>) roster_.on_left([this](BackendId id) noexcept { learned_.left(id); });
    }

    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;
    ~Core() { copies_->cancel(true); }

    const Options& options() const noexcept { return *options_; }
    const Clock& clock() const noexcept { return clock_; }
    std::uint64_t seed() const noexcept { return seed_; }
    const Roster& roster() const noexcept { return roster_; }

    // --- a request ---------------------------------------------------------------------------------------

    void first_byte(Lease& lease) noexcept {
        auto* backend = LeaseAccess::backend(lease);
        if (backend == nullptr || LeaseAccess::phase(lease) != Phase::prefill) return;
        if (LeaseAccess::plain(lease)) [[unlikely]] {
            LeaseAccess::phase(lease) = Phase::uncounted;
            return;
        }
        const bool stops_clock = options_.timing && options_.latency_to() == LatencyTo::first_byte;
        const Time now = options_.timing ? clock_.now() : Time{};
        if (stops_clock) advance_area(*backend, tick_of(now), backend->word.load(std::memory_order_relaxed));
        if constexpr (Learns<S>) {
            if (const S* learner = learning()) learner->first_byte(learned_, LeaseAccess::id(lease));
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
            learner_.decide_trial(lease, true);
    }

    /// So many tokens of the answer have come.
    void came(Lease& lease, std::uint64_t tokens) noexcept {
        if (auto* backend = LeaseAccess::backend(lease)) TokenAccount::came(*backend, lease, tokens);
    }

    /// A good answer's head came: that is what a trial waits for.
    void head_came(Lease& lease) noexcept {
        if (LeaseAccess::backend(lease) != nullptr && LeaseAccess::half_open(lease))
            learner_.decide_trial(lease, true);
    }

    [[gnu::always_inline]] void report(Lease&& lease, const Outcome& outcome) noexcept {
        if ((outcome.prompt_tokens | outcome.completion_tokens) == 0 && gives_back(lease, outcome.kind))
            return;
        if (auto* backend = LeaseAccess::backend(lease)) report_balanced(lease, *backend, outcome);
    }

    /// As `report`, where there is no more to say: an outcome is only made where more than a place is given
    /// back.
    [[gnu::always_inline]] void report(Lease&& lease, Outcome::Kind kind) noexcept {
        if (gives_back(lease, kind)) return;
        if (auto* backend = LeaseAccess::backend(lease)) report_balanced(lease, *backend, Outcome{kind});
    }

    /// As `report`, of a lease that has more to give back than its place.
    [[gnu::noinline]] void report_balanced(Lease& lease, LiveBackend& of, const Outcome& outcome) noexcept {
        auto* const backend = &of;
        const Time now = options_.timing ? clock_.now() : Time{};
        if constexpr (Learns<S>) {
            if (const S* learner = learning()) learner->finished(learned_, LeaseAccess::id(lease), outcome);
        }
        // Everything that touches the backend comes before the add that releases it: after that it may be
        // gone.
        if (outcome.kind == Outcome::success) [[likely]] {
            if (backend->consecutive.load(std::memory_order_relaxed) != 0 &&
                Learner<Core>::is_current(lease, *backend)) {
                backend->consecutive.store(0, std::memory_order_relaxed);
            }
            if (LeaseAccess::half_open(lease)) [[unlikely]]
                learner_.decide_trial(lease, true);
        } else {
            learner_.learn(lease, *backend, outcome, clock_.now());
        }
        if (outcome.prompt_tokens != 0 || outcome.completion_tokens != 0) {
            backend->prompt_tokens.fetch_add(outcome.prompt_tokens, std::memory_order_relaxed);
            backend->completion_tokens.fetch_add(outcome.completion_tokens, std::memory_order_relaxed);
        }
        if (options_.timing) {
            advance_area(*backend, tick_of(now), backend->word.load(std::memory_order_relaxed));
            Duration took = now - LeaseAccess::began(lease);
            if (LeaseAccess::phase(lease) == Phase::prefill && outcome.first_byte) [[unlikely]]
                note_first_byte(*backend, *outcome.first_byte);
            if (LeaseAccess::phase(lease) == Phase::streaming) {
                const auto streamed = ticks_of(took);
                took += LeaseAccess::wait(lease);
                backend->streamed.fetch_add(static_cast<std::uint64_t>(std::max(0.0, streamed)),
                                            std::memory_order_relaxed);
            }
            if (Histogram::is_slow(took)) backend->response_times.add(took);
        }
        TokenAccount::end(*backend, lease);
        release(lease, *backend);
    }

    void abandon(Lease& lease) noexcept final { report(std::move(lease), Outcome::cancelled); }

    // --- tries and waiting -------------------------------------------------------------------------------

    Tries<Core>& tries() noexcept { return tries_; }
    const Tries<Core>& tries() const noexcept { return tries_; }
    const std::shared_ptr<Copies<Core>>& copies() const noexcept { return copies_; }
    WaitingLine<Core>& line() noexcept { return line_; }
    const WaitingLine<Core>& line() const noexcept { return line_; }

    /// What of the options can also be changed one by one.
    OptionsInForce& options_in_force() noexcept { return options_; }
    const OptionsInForce& options_in_force() const noexcept { return options_; }
    std::uint32_t failure_threshold() const noexcept { return options_.failure_threshold(); }

    /// When something comes back by itself: a rest, an ejection, a ramp.
    Time next_due() const noexcept { return roster_.due().at(); }

    /// Does what has fallen due.
    [[gnu::noinline]] void settle(Time now) noexcept {
        write_quietly([&](Roster& roster, Time) { roster.settle(now); });
        place_freed();  // by a rest that is over, which draws no picture
    }

    /// Does what has fallen due, and serves who waits: for those that wait until then.
    void look() noexcept {
        const Time now = clock_.now();
        if (roster_.due().is_due(now)) settle(now);
        line_.serve();
    }

    // --- the fleet ---------------------------------------------------------------------------------------

    /// Runs `change(roster, now)` under the writers' mutex, publishes one snapshot if anything changed, tells
    /// the host. Throws what `change` throws, and std::bad_alloc.
    template <class Change>
    auto write(Change&& change) {
        const Time now = clock_.now();
        std::vector<Event> events;
        std::vector<std::function<void()>> calls;
        bool drawn = false;
        auto result = [&] {
            const std::lock_guard lock{roster_.mutex()};
            auto value = change(roster_, now);
            drawn = roster_.changed();
            if (drawn) publish(now);
            events = roster_.take_events();
            calls = roster_.take_calls();
            return value;
        }();
        if (drawn) place_freed();  // whoever waits or was told "full" looks at the new picture
        announcer_.tell(events);
        for (const auto& call : calls) call();
        return result;
    }

    /// As `write`, for the path of a request: whatever cannot be had for want of memory is left for the next
    /// change.
    template <class Change>
    [[gnu::noinline]] void write_quietly(Change&& change) noexcept {
        try {
            write([&](Roster& roster, Time now) {
                change(roster, now);
                return 0;
            });
        } catch (const std::bad_alloc&) {
        }
    }

    /// Tells the host one thing that is not of the roster.
    void tell(Event event) {
        write([&](Roster& roster, Time now) {
            roster.event(std::move(event), now);
            return 0;
        });
    }

    /// A place may have come free: who waits for one is served by this thread.
    [[gnu::noinline]] void place_freed() noexcept {
        if (places_.freed()) line_.serve();
    }
    bool is_place_expected() const noexcept { return places_.is_expected(); }

    void set_strategy(S strategy) {
        write([&](Roster& roster, Time now) {
            roster.event({.kind = Event::Kind::strategy_changed, .reason = std::string{name_of(strategy)}},
                         now);
            roster.strategy_leaves(name_of(strategy_));
            strategy_ = std::move(strategy);
            subsets_.forget_tables();  // though the name may be the same
            roster.mark_changed();
            return 0;
        });
    }

    std::string strategy_name() const {
        const std::lock_guard lock{roster_.mutex()};
        return std::string{name_of(strategy_)};
    }

    std::vector<BackendFigures> figures() const {
        const std::lock_guard lock{roster_.mutex()};
        return roster_.figures();
    }

    Totals totals() const {
        const auto of_backends = [&] {
            const std::lock_guard lock{roster_.mutex()};
            return roster_.totals(name_of(strategy_));
        };
        Totals totals = of_backends();
        totals.retries_refused = tries_.refused();
        totals.queue = line_.figures();
        return totals;
    }

    /// What an engine says of its own load.
    std::error_code report_load(std::string_view name, const LoadReport& report) {
        const std::lock_guard lock{roster_.mutex()};
        const auto backend = roster_.find(name);
        if (!backend) return Errc::unknown_backend;
        note_load(*backend, report, 3 * load_interval_of(*options_));
        if constexpr (requires { strategy_.told(learned_, backend->id, report); })
            strategy_.told(learned_, backend->id,
                           report);  // what follows from it does so in the next picture
        return {};
    }

    std::shared_ptr<const Snapshot<S>> current() const noexcept { return publication_.current(); }

    void on_event(Announcer::Callback callback) { announcer_.set(std::move(callback)); }
    std::shared_ptr<const void> watch(Announcer::Callback callback) {
        return announcer_.watch(std::move(callback));
    }

  private:
    /// The strategy in force as this thread knows it, when it learns.
    const S* learning() noexcept {
        const auto* lane = publication_.read();
        if (lane == nullptr || !is_learning(lane->current->strategy)) return nullptr;
        return &lane->current->strategy;
    }

    /// Whether nothing is balanced (`not_balanced` of model/settings.hpp): no clock, nothing that falls due.
    bool balances_nothing() const noexcept {
        const Options& options = *options_;
        return !options.timing && !options.ejection && options.rest_max == Duration::zero() &&
               options.slow_start == Duration::zero();
    }

    static void note_first_byte(LiveBackend& backend, Duration wait) noexcept {
        backend.first_byte_times.add(wait);
        backend.first_byte_sum.fetch_add(static_cast<std::uint64_t>(std::max(wait, Duration::zero()).count()),
                                         std::memory_order_relaxed);
    }

    /// A success of a plain lease has only its place to give back, and does. False for all others.
    [[gnu::always_inline]] bool gives_back(Lease& lease, Outcome::Kind kind) noexcept {
        if (!LeaseAccess::plain(lease) || kind != Outcome::success) return false;
        auto* const backend = LeaseAccess::backend(lease);
        if (backend == nullptr) return true;
        // Sequentially consistent, as in `release`.
        released(lease, backend->word.fetch_add(one_ended, std::memory_order_seq_cst));
        return true;
    }

    static constexpr std::uint64_t one_ended = word::one_completed - word::one_in_flight;

    void release(Lease& lease, LiveBackend& backend) noexcept {
        std::uint64_t before = 0;
        if (LeaseAccess::trial(lease)) [[unlikely]] {
            before = backend.word.load(std::memory_order_relaxed);
            std::uint64_t after = 0;
            do {
                after = before + one_ended;
                if (((before ^ LeaseAccess::taken(lease)) & word::epoch_mask) == 0) after &= ~word::trial;
            } while (!backend.word.compare_exchange_weak(before, after, std::memory_order_seq_cst,
                                                         std::memory_order_relaxed));
        } else {
            // Release: what was done to the backend comes before whoever takes the place next, or frees it.
            // Sequentially consistent: see `look_again` and `Roster::announce_drain`.
            before = backend.word.fetch_add(one_ended, std::memory_order_seq_cst);
        }
        released(lease, before);
    }

    /// A place was given back; `before` was the word. From here on the backend may be gone.
    [[gnu::always_inline]] void released(Lease& lease, std::uint64_t before) noexcept {
        LeaseAccess::backend(lease) = nullptr;
        constexpr std::uint64_t half_turn = ((std::uint64_t{1} << 23) - 1) << word::completed_shift;
        const bool last_of_closed = (before & (word::closed | word::in_flight_mask)) == (word::closed | 1);
        const bool other_config = ((before ^ LeaseAccess::taken(lease)) & word::generation_mask) != 0;
        const bool turned = (before & half_turn) == half_turn;
        if (last_of_closed || other_config || turned) [[unlikely]] {
            write_quietly([&](Roster& roster, Time now) {
                roster.released(LeaseAccess::id(lease), LeaseAccess::serial(lease),
                                word::generation(LeaseAccess::taken(lease)), word::generation(before), turned,
                                now);
            });
        }
        if (places_.is_expected()) [[unlikely]]
            place_freed();
    }

    /// Called with the roster's mutex.
    void publish(Time now) {
        auto members = roster_.members();
        if constexpr (requires(const Candidate& member) {
                          strategy_.joined(learned_, member, std::size_t{1});
                      }) {
            for (const auto& member : members) strategy_.joined(learned_, member.candidate, members.size());
        }
        if constexpr (requires { learned_.set_options(*options_); }) learned_.set_options(*options_);
        const auto previous = publication_.current();
        auto snapshot = subsets_.draw(strategy_, std::move(members), previous.get());
        if (const auto& levels = snapshot->pool.levels;
            balances_nothing() && levels.size() == 1 && levels[0].candidates.size() == 1) {
            snapshot->sole = levels[0].candidates.data();
        }
        tell_panic(previous.get(), *snapshot, now);
        publication_.publish(std::move(snapshot));
        roster_.drawn();
    }

    void tell_panic(const Snapshot<S>* before, const Snapshot<S>& after, Time now) {
        for (const auto& model : after.panicking) {
            if (before == nullptr || !before->panicking.contains(model)) {
                roster_.event({.kind = Event::Kind::panic_entered, .backend = model}, now);
            }
        }
        if (before == nullptr) return;
        for (const auto& model : before->panicking) {
            if (!after.panicking.contains(model)) {
                roster_.event({.kind = Event::Kind::panic_left, .backend = model}, now);
            }
        }
    }

    // What choosing needs too stands in `Selection`.
    using Base::clock_;
    using Base::learned_;
    using Base::options_;
    using Base::places_;
    using Base::publication_;
    using Base::roster_;
    using Base::seed_;
    using Base::subsets_;

    S strategy_;  // with the roster's mutex
    Learner<Core> learner_{*this, options_, roster_};
    Tries<Core> tries_{*this, options_, Rng::mix(seed_ + 1)};
    Announcer announcer_;
    WaitingLine<Core> line_{*this, options_, places_};
    std::shared_ptr<Copies<Core>> copies_ = std::make_shared<Copies<Core>>(*this);
};

}  // namespace fairlead::detail
