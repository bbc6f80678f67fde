// What a balancer does for a request without knowing how requests are sent: choose, account, find out,
// publish.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/announcer.hpp>
#include <fairlead/balancer/detail/eligibility.hpp>
#include <fairlead/balancer/detail/learner.hpp>
#include <fairlead/balancer/detail/picker.hpp>
#include <fairlead/balancer/detail/place_signal.hpp>
#include <fairlead/balancer/detail/publication.hpp>
#include <fairlead/balancer/detail/subsets.hpp>
#include <fairlead/balancer/detail/tries.hpp>
#include <fairlead/balancer/detail/waiting_line.hpp>
#include <fairlead/balancer/figures.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/balancer/roster.hpp>
#include <fairlead/model/validate.hpp>

namespace fairlead::detail {

inline std::uint64_t seed_of(const Options& options) {
    if (options.seed) return *options.seed;
    std::random_device entropy;
    return (std::uint64_t{entropy()} << 32) ^ entropy();
}

inline const Options& checked(const Options& options) {
    if (const auto problems = validate(options); !problems.empty()) {
        throw std::invalid_argument{"fairlead::Options: " + problems.front()};
    }
    return options;
}

template <Strategy S, ClockSource Clock>
class Core final : public LeaseOwner {
  public:
    Core(const Options& options, S strategy, Clock clock)
        : options_{checked(options)},
          seed_{seed_of(options)},
          clock_{std::move(clock)},
          roster_{options_, seed_},
          publication_{seed_},
          strategy_{std::move(strategy)},
          subsets_{options_} {}

    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;
    ~Core() = default;

    const Options& options() const noexcept { return options_; }
    const Clock& clock() const noexcept { return clock_; }
    std::uint64_t seed() const noexcept { return seed_; }
    const Roster& roster() const noexcept { return roster_; }

    // --- a request ---------------------------------------------------------------------------------------

    Lease select(const Criteria& criteria) noexcept {
        auto* lane = publication_.read();
        if (lane == nullptr) [[unlikely]]
            return LeaseAccess::refused(Errc::out_of_memory);
        if (const Candidate* sole = lane->current->sole; sole != nullptr)
            return select_sole(*sole, *lane, criteria);
        return select_balanced(lane, criteria);
    }

    /// As `select`, with what `publication_` gave.
    [[gnu::noinline]] Lease select_balanced(typename Publication<Snapshot<S>>::Lane* lane,
                                            const Criteria& criteria) noexcept {
        try {
            Time now{};
            if (options_.timing || roster_.due().is_pending()) now = clock_.now();
            if (roster_.due().is_pending() && roster_.due().is_due(now)) [[unlikely]] {
                settle(now);
                lane = publication_.read();
            }
            const Snapshot<S>* snapshot = lane->current;
            const Group<S>* group = &snapshot->pool;
            if (!criteria.model.empty() || !criteria.tags.empty()) {
                group = subsets_.find(*snapshot, criteria);
                if (group == nullptr) [[unlikely]]
                    return select_first_use(*lane, criteria, now);
            }
            return select_from(*lane, *group, criteria, now);
        } catch (const std::bad_alloc&) {
            return LeaseAccess::refused(Errc::out_of_memory);
        }
    }

    void first_byte(Lease& lease) noexcept {
        auto* backend = LeaseAccess::backend(lease);
        if (backend == nullptr || std::exchange(LeaseAccess::streaming(lease), true)) return;
        if (options_.timing) {
            const Time now = clock_.now();
            LeaseAccess::wait(lease) = now - LeaseAccess::began(lease);
            note_first_byte(*backend, LeaseAccess::wait(lease));
            if (options_.latency_to == LatencyTo::first_byte) {
                advance_area(*backend, tick_of(now), backend->word.load(std::memory_order_relaxed));
                backend->streaming.fetch_add(1, std::memory_order_relaxed);
                LeaseAccess::began(lease) = now;
            }
        }
        if (LeaseAccess::half_open(lease)) [[unlikely]]
            learner_.decide_trial(lease, true);
    }

    /// A good answer's head came: that is what a trial waits for.
    void head_came(Lease& lease) noexcept {
        if (LeaseAccess::backend(lease) != nullptr && LeaseAccess::half_open(lease))
            learner_.decide_trial(lease, true);
    }

    void report(Lease&& lease, const Outcome& outcome) noexcept {
        auto* backend = LeaseAccess::backend(lease);
        if (backend == nullptr) return;
        if (LeaseAccess::plain(lease) && outcome.kind == Outcome::success &&
            (outcome.prompt_tokens | outcome.completion_tokens) == 0) {
            // Sequentially consistent, as in `release`.
            return released(lease, backend->word.fetch_add(one_ended, std::memory_order_seq_cst));
        }
        const Time now = options_.timing ? clock_.now() : Time{};
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
        if (const auto tokens = LeaseAccess::tokens(lease); tokens != 0) {
            backend->tokens.fetch_sub(static_cast<std::int64_t>(tokens), std::memory_order_relaxed);
        }
        if (outcome.prompt_tokens != 0 || outcome.completion_tokens != 0) {
            backend->prompt_tokens.fetch_add(outcome.prompt_tokens, std::memory_order_relaxed);
            backend->completion_tokens.fetch_add(outcome.completion_tokens, std::memory_order_relaxed);
        }
        if (options_.timing) {
            advance_area(*backend, tick_of(now), backend->word.load(std::memory_order_relaxed));
            Duration took = now - LeaseAccess::began(lease);
            if (!LeaseAccess::streaming(lease) && outcome.first_byte) [[unlikely]]
                note_first_byte(*backend, *outcome.first_byte);
            if (LeaseAccess::streaming(lease) && options_.latency_to == LatencyTo::first_byte) {
                const auto streamed = ticks_of(took);
                took += LeaseAccess::wait(lease);
                backend->streamed.fetch_add(static_cast<std::uint64_t>(std::max(0.0, streamed)),
                                            std::memory_order_relaxed);
                backend->streaming.fetch_sub(1, std::memory_order_relaxed);
            }
            if (Histogram::is_slow(took)) backend->response_times.add(took);
        }
        release(lease, *backend);
    }

    void abandon(Lease& lease) noexcept final { report(std::move(lease), Outcome::cancelled); }

    // --- tries and waiting -------------------------------------------------------------------------------

    Tries<Core>& tries() noexcept { return tries_; }
    const Tries<Core>& tries() const noexcept { return tries_; }
    WaitingLine<Core>& line() noexcept { return line_; }
    const WaitingLine<Core>& line() const noexcept { return line_; }

    std::uint32_t failure_threshold() const noexcept { return learner_.failure_threshold(); }
    void set_failure_threshold(std::uint32_t n) noexcept { learner_.set_failure_threshold(n); }

    /// When something comes back by itself: a rest, an ejection, a ramp.
    Time next_due() const noexcept { return roster_.due().at(); }

    /// Does what has fallen due, and serves who waits: for those that wait until then.
    void look() noexcept {
        const Time now = clock_.now();
        if (roster_.due().is_due(now)) settle(now);
        line_.serve();
    }

    /// A place on one of the mirrors that match, at random. Not true when there is none. Throws
    /// std::bad_alloc.
    Lease select_mirror(const Criteria& criteria) {
        auto* lane = publication_.read();
        if (lane == nullptr) return LeaseAccess::refused(Errc::out_of_memory);
        const Snapshot<S>& snapshot = *lane->current;
        const Found found = find_mirror(snapshot, criteria, lane->rng);
        if (found.candidate == nullptr) return LeaseAccess::refused(Errc::no_backends);
        return lease_of(snapshot, found, criteria, options_.timing ? clock_.now() : Time{});
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

    std::shared_ptr<const Snapshot<S>> current() const noexcept { return publication_.current(); }

    void on_event(Announcer::Callback callback) { announcer_.set(std::move(callback)); }
    std::shared_ptr<const void> watch(Announcer::Callback callback) {
        return announcer_.watch(std::move(callback));
    }

  private:
    using Lane = typename Publication<Snapshot<S>>::Lane;

    /// Whether nothing is balanced (`not_balanced` of model/settings.hpp): no clock, nothing that falls due.
    bool balances_nothing() const noexcept {
        return !options_.timing && !options_.ejection && options_.rest_max == Duration::zero() &&
               options_.slow_start == Duration::zero();
    }

    /// The one backend of a balancer that balances nothing: no strategy, no group, no clock. A place is all
    /// there is to take, for a request that asks for nothing else.
    [[gnu::always_inline]] Lease select_sole(const Candidate& sole, Lane& lane,
                                             const Criteria& criteria) noexcept {
        std::uint64_t before = 0;
        const bool is_plain = criteria.model.empty() && criteria.tags.empty() && criteria.exclude.empty() &&
                              criteria.tokens == 0;
        if (is_plain && CandidateAccess::take(sole, sole.limit(), before)) [[likely]]
            return lease_of_sole(sole, before);
        return select_balanced(&lane, criteria);
    }

    [[gnu::always_inline]] Lease lease_of_sole(const Candidate& sole, std::uint64_t before) noexcept {
        Lease lease;
        LeaseAccess::owner(lease) = this;
        LeaseAccess::backend(lease) = &CandidateAccess::backend(sole);
        LeaseAccess::config(lease) = &CandidateAccess::config(sole);
        LeaseAccess::taken(lease) = before;
        LeaseAccess::id(lease) = sole.id();
        LeaseAccess::serial(lease) = CandidateAccess::backend(sole).serial;
        LeaseAccess::error(lease) = 0;
        LeaseAccess::plain(lease) = true;
        return lease;
    }

    [[gnu::always_inline]] Lease select_from(Lane& lane, const Group<S>& group, const Criteria& criteria,
                                             Time now) {
        if (group.full_since.load(std::memory_order_acquire) == places_.count() && is_still_full(group, now))
            [[unlikely]]
            return refused(group, criteria, now);
        const Picker<S> picker{lane.current->strategy, options_, lane, criteria, now};
        Found found = picker.find(group);
        if (found.candidate == nullptr) [[unlikely]] {
            found = look_again(picker, group, criteria, now);
            if (found.candidate == nullptr) {
                // Several changes may have come since the picture was taken: all in it closed one after the
                // other, or under another config, while there is a free one in the newest.
                if (lane.version != publication_.version()) return select(criteria);
                return refused(group, criteria, now);
            }
        }
        return lease_of(*lane.current, found, criteria, now);
    }

    /// A model or tags that nobody asked for since the fleet changed.
    [[gnu::noinline]] Lease select_first_use(Lane& lane, const Criteria& criteria, Time now) {
        const FirstUse<S> subset = subsets_.first_use(*lane.current, criteria);
        if (subset.group == nullptr) return LeaseAccess::refused(subset.error);
        Lease lease = select_from(lane, *subset.group, criteria, now);
        if (subset.wants_room) make_room_for_subsets(lane.current);
        return lease;
    }

    Lease lease_of(const Snapshot<S>& snapshot, const Found& found, const Criteria& criteria, Time now) {
        auto& backend = CandidateAccess::backend(*found.candidate);
        Lease lease;
        LeaseAccess::owner(lease) = this;
        LeaseAccess::backend(lease) = &backend;
        LeaseAccess::config(lease) = &CandidateAccess::config(*found.candidate);
        LeaseAccess::taken(lease) = found.word;
        LeaseAccess::began(lease) = now;
        LeaseAccess::id(lease) = found.candidate->id();
        LeaseAccess::serial(lease) = backend.serial;
        LeaseAccess::error(lease) = 0;
        LeaseAccess::half_open(lease) = CandidateAccess::is_half_open(*found.candidate);
        LeaseAccess::trial(lease) = CandidateAccess::is_one_at_a_time(*found.candidate);
        if (criteria.tokens != 0) {
            LeaseAccess::tokens(lease) = criteria.tokens;
            backend.tokens.fetch_add(static_cast<std::int64_t>(criteria.tokens), std::memory_order_relaxed);
        }
        if (options_.timing) {
            const Tick tick = tick_of(now);
            advance_area(backend, tick, found.word);
            if (due(backend.refresh_tick.load(std::memory_order_relaxed), tick)) [[unlikely]]
                refresh(snapshot, backend, tick);
        }
        return lease;
    }

    static void note_first_byte(LiveBackend& backend, Duration wait) noexcept {
        backend.first_byte_times.add(wait);
        backend.first_byte_sum.fetch_add(static_cast<std::uint64_t>(std::max(wait, Duration::zero()).count()),
                                         std::memory_order_relaxed);
    }

    /// Brings the chosen backend's averages up to date, and those of a few others in turn: one that nobody
    /// chooses must be forgiven too.
    [[gnu::noinline]] void refresh(const Snapshot<S>& snapshot, LiveBackend& backend, Tick now) noexcept {
        constexpr std::size_t others = 8;  // unpicked ones are then at most n / 8 refreshes behind
        backend.pace.refresh(backend, now, options_);
        const auto& members = snapshot.members;
        for (std::size_t i = 0; i < std::min(others, members.size()); ++i) {
            const auto at = refresh_cursor_.fetch_add(1, std::memory_order_relaxed) % members.size();
            auto& other = *members[at].backend;
            if (due(other.refresh_tick.load(std::memory_order_relaxed), now)) {
                other.pace.refresh(other, now, options_);
            }
        }
    }

    /// A group that was found full, and where no place came free since, still is: but a limit within its slow
    /// start may have risen.
    static bool is_still_full(const Group<S>& group, Time now) noexcept {
        return now.time_since_epoch().count() < group.no_place.until.load(std::memory_order_relaxed);
    }

    /// Nobody could take it. Once more after saying so, so that a release that comes between is either seen
    /// here or sees the flag: both sides write, then read, all sequentially consistent.
    [[gnu::noinline]] Found look_again(const Picker<S>& picker, const Group<S>& group,
                                       const Criteria& criteria, Time now) {
        if (!criteria.exclude.empty() || group.levels.empty()) return {};
        const std::uint64_t count = places_.count();
        places_.expect();
        Time until = Time::max();
        for (const auto& level : group.levels) {
            for (const auto& candidate : level.candidates) {
                if (picker.has_place(candidate)) return picker.find(group);
                if (CandidateAccess::is_warming(candidate)) [[unlikely]]
                    until = std::min(until, picker.next_rise(candidate));
            }
        }
        // Said before any of it is known to be so by others: `full_since` is published last.
        Duration wait{};
        const Errc reason = why_nobody(group, criteria, now, wait);
        group.no_place.until.store(until.time_since_epoch().count(), std::memory_order_relaxed);
        group.no_place.rest_end.store((now + wait).time_since_epoch().count(), std::memory_order_relaxed);
        group.no_place.reason.store(reason, std::memory_order_relaxed);
        group.full_since.store(count, std::memory_order_release);
        return {};
    }

    [[gnu::noinline]] Lease refused(const Group<S>& group, const Criteria& criteria,
                                    Time now) const noexcept {
        // A group known to be full says so without a look over thousands.
        if (criteria.exclude.empty() && group.full_since.load(std::memory_order_acquire) == places_.count()) {
            const Errc reason = group.no_place.reason.load(std::memory_order_relaxed);
            if (reason != Errc::all_resting) return LeaseAccess::refused(reason);
            const Duration end{group.no_place.rest_end.load(std::memory_order_relaxed)};
            return LeaseAccess::refused(reason, std::max(Duration{1}, end - now.time_since_epoch()));
        }
        Duration wait{};
        const Errc reason = why_nobody(group, criteria, now, wait);
        return LeaseAccess::refused(reason, wait);
    }

    /// Another snapshot of the same fleet, with the recently used subsets only. One thread at a time; the
    /// others do without. Waits for no writer: a picture that one publishes meanwhile is the better one.
    [[gnu::noinline]] void make_room_for_subsets(const Snapshot<S>* full) noexcept {
        if (making_room_.exchange(true, std::memory_order_acquire)) return;  // pairs with the release below
        try {
            publication_.replace(full, subsets_.with_room(*full));
        } catch (const std::bad_alloc&) {  // then the next one tries
        }
        making_room_.store(false, std::memory_order_release);
    }

    [[gnu::noinline]] void settle(Time now) noexcept {
        write_quietly([&](Roster& roster, Time) { roster.settle(now); });
        place_freed();  // by a rest that is over, which draws no picture
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
        const auto previous = publication_.current();
        auto snapshot = subsets_.draw(strategy_, roster_.members(), previous.get());
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

    const Options options_;
    const std::uint64_t seed_;
    [[no_unique_address]] Clock clock_;
    Roster roster_;
    Publication<Snapshot<S>> publication_;
    S strategy_;  // with the roster's mutex
    Subsets<S> subsets_;
    Learner<Core> learner_{*this, options_, roster_};
    Tries<Core> tries_{*this, options_, Rng::mix(seed_ + 1)};
    Announcer announcer_;
    std::atomic<std::size_t> refresh_cursor_{0};
    std::atomic<bool> making_room_{false};
    PlaceSignal places_;
    WaitingLine<Core> line_{*this, options_, places_};
};

}  // namespace fairlead::detail
