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
#include <fairlead/balancer/detail/lease_access.hpp>
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
        roster_.set_owner(*this);
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
        const bool says_more =
            (outcome.prompt_tokens | outcome.completion_tokens) != 0 || outcome.first_byte.has_value();
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
            return report_balanced(lease, backend, Outcome::success);
        if constexpr (Learns<S>) {
            if (learning() != nullptr) return report_balanced(lease, backend, Outcome::success);
        }
        if (options_.timing) {
            const Time now = clock_.now();
            advance_area(backend, tick_of(now), backend.word.load(std::memory_order_relaxed));
            const Duration took = now - LeaseAccess::began(lease);
            if (Histogram::is_slow(took)) return report_slow(lease, backend, took);
        }
        TokenAccount::end_prefill(backend, lease);
        give_back(lease, backend);
    }

    [[gnu::noinline]] void report_slow(Lease& lease, LiveBackend& backend, Duration took) noexcept {
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
        if (places_.is_expected()) place_freed();
    }

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
        return roster_.figures(clock_.now());
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
        const Duration lasts = 3 * load_interval_of(*options_);
        note_load(*backend, report, lasts);
        backend->load.take(report, lasts);
        if constexpr (requires { strategy_.told(learned_, backend->id, report); })
            strategy_.told(learned_, backend->id,
                           report);  // what follows from it does so in the next picture
        return {};
    }

    /// The same, as an answer brought it; at most one in 50 ms a backend is looked at, so that the mutex that
    /// it takes is no part of most requests.
    void report_load(Lease& lease, LoadReport report) {
        auto* const backend = LeaseAccess::backend(lease);
        if (backend == nullptr) return;
        report.at = clock_.now();
        constexpr std::int64_t pause = 50'000'000;
        auto last = backend->load_came.load(std::memory_order_relaxed);
        // Relaxed: who sees an old time takes the mutex once more.
        if (report.at.time_since_epoch().count() - last < pause ||
            !backend->load_came.compare_exchange_strong(last, report.at.time_since_epoch().count(),
                                                        std::memory_order_relaxed)) {
            return;
        }
        static_cast<void>(report_load(lease->name, report));
    }

    std::shared_ptr<const Snapshot<S>> current() const noexcept { return publication_.current(); }

    void on_event(Announcer::Callback callback) { announcer_.set(std::move(callback)); }
    std::shared_ptr<const void> watch(Announcer::Callback callback) {
        return announcer_.watch(std::move(callback));
    }

  private:
    /// The strategy in force as this thread knows it, when it learns.
    const S* learning() noexcept {
        const auto* lane = publication_.read_known();
        if (lane == nullptr) [[unlikely]]
            lane = publication_.read();
        if (lane == nullptr || !is_learning(lane->current->strategy)) return nullptr;
        return &lane->current->strategy;
    }

    /// Whether nothing is balanced (`not_balanced` of model/settings.hpp): no clock, nothing that falls due.
    bool balances_nothing() const noexcept {
        const Options& options = *options_;
        return !options.timing && !options.ejection && options.rest_max == Duration::zero() &&
               options.slow_start == Duration::zero();
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
        if (is_last_of_closed(before) || is_other_generation(before, taken) || is_half_turn(before))
            [[unlikely]]
            tell_roster(id, serial, taken, before, true);
        if (places_.is_expected()) [[unlikely]]
            place_freed();
    }

    static bool is_last_of_closed(std::uint64_t before) noexcept {
        return (before & (word::closed | word::in_flight_mask)) == (word::closed | word::one_in_flight);
    }
    static bool is_other_generation(std::uint64_t before, std::uint64_t taken) noexcept {
        return ((before ^ taken) & word::generation_mask) != 0;
    }
    /// Whether a completion after `before` crossed a multiple of 2^23.
    static bool is_half_turn(std::uint64_t before) noexcept {
        constexpr std::uint64_t half_turn = ((std::uint64_t{1} << 23) - 1) << word::completed_shift;
        return (before & half_turn) == half_turn;
    }

    [[gnu::noinline]] void tell_roster(BackendId id, std::uint32_t serial, std::uint64_t taken,
                                       std::uint64_t before, bool completed) noexcept {
        const bool half_turn = completed && is_half_turn(before);
        write_quietly([&](Roster& roster, Time now) {
            roster.released(id, serial, word::generation(taken), word::generation(before), half_turn, now);
        });
    }

    /// Called with the roster's mutex.
    void publish(Time now) {
        auto members = roster_.members();
        if constexpr (requires { learned_.set_options(*options_); }) learned_.set_options(*options_);
        if constexpr (requires(const Candidate& member) {
                          strategy_.joined(learned_, member, std::size_t{1});
                      }) {
            for (const auto& member : members) strategy_.joined(learned_, member.candidate, members.size());
        }
        const auto previous = publication_.current();
        if (balances_nothing() && members.size() == 1)
            members.front().candidate = CandidateAccess::without_limit(members.front().candidate);
        auto snapshot = subsets_.draw(strategy_, std::move(members), previous.get());
        const auto& levels = snapshot->pool.levels;
        snapshot->is_plain = balances_nothing() && levels.size() == 1 && levels[0].candidates.size() == 1;
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
