// From criteria to a lease: which picture is read, which group is asked, and what is said when nobody can.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <random>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/explanation.hpp>
#include <fairlead/balancer/detail/latency.hpp>
#include <fairlead/balancer/detail/lease_access.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/detail/picker.hpp>
#include <fairlead/balancer/detail/place_signal.hpp>
#include <fairlead/balancer/detail/publication.hpp>
#include <fairlead/balancer/detail/refusal.hpp>
#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/balancer/detail/subsets.hpp>
#include <fairlead/balancer/detail/token_account.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/balancer/roster.hpp>
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/strategies/explained.hpp>

namespace fairlead::detail {

inline std::uint64_t seed_of(const Options& options) {
    if (options.seed) return *options.seed;
    std::random_device entropy;
    return (std::uint64_t{entropy()} << 32) ^ entropy();
}

/// What `Core` is made of at the bottom: choosing, and the state that the rest shares. Any thread.
template <class Core, Strategy S, ClockSource Clock>
class Selection {
  public:
    Selection(const Selection&) = delete;
    Selection& operator=(const Selection&) = delete;

    [[gnu::always_inline]] Lease select(const Criteria& criteria) noexcept {
        Lane* const lane = publication_.read_known();
        if (lane == nullptr) [[unlikely]]
            return select_anew(criteria);
        const Candidate& sole = lane->shortcut.sole;
        if (lane->shortcut.is_plain && sole.limit() == CandidateAccess::unlimited && is_plain(criteria)) {
            std::uint64_t before = 0;
            if (CandidateAccess::take_unlimited(sole, before)) [[likely]]
                return LeaseAccess::plain_of(sole, before);
            core().take_back(sole, before);
        }
        return selected_on(*lane, criteria);
    }

    /// A place on one of the mirrors that match, at random. Not true when there is none. Throws
    /// std::bad_alloc.
    Lease select_mirror(const Criteria& criteria) {
        auto* lane = publication_.read();
        if (lane == nullptr) return LeaseAccess::refused(Errc::out_of_memory);
        const Snapshot<S>& snapshot = *lane->current;
        const Found found = find_mirror(snapshot, criteria, lane->rng);
        if (found.candidate == nullptr) return LeaseAccess::refused(Errc::no_backends);
        // A copy teaches nothing: nobody is sent to a mirror for what it has cached.
        return lease_of(snapshot, *found.candidate, found.word, criteria,
                        options_.timing ? clock_.now() : Time{}, criteria.tokens);
    }

    /// What the strategy thinks of each candidate, the next to be chosen first. Throws std::bad_alloc.
    std::vector<Explained> explain(const Criteria& criteria) requires Explains<S> {
        const auto snapshot = publication_.current();
        const Group<S>* group = &snapshot->pool;
        FirstUse<S> subset;
        if (!criteria.model.empty() || !criteria.tags.empty()) {
            group = subsets_.find(*snapshot, criteria);
            if (group == nullptr) {
                subset = subsets_.first_use(*snapshot, criteria);
                group = subset.group;
            }
        }
        if (group == nullptr) return {};  // an unknown model or tag
        Time now{};                       // as a pick would have it
        if (options_.timing || roster_.due().is_pending()) now = clock_.now();
        return explained(snapshot->strategy, *group, criteria, now);
    }

  protected:
    Selection(const Options& options, Clock clock)
        : options_{options},
          seed_{seed_of(options)},
          clock_{std::move(clock)},
          roster_{options_, seed_},
          publication_{seed_},
          learned_{*options_},
          subsets_{options_, learned_} {}
    ~Selection() = default;

    Core& core() noexcept { return static_cast<Core&>(*this); }

    OptionsInForce options_;
    const std::uint64_t seed_;
    [[no_unique_address]] Clock clock_;
    Roster roster_;
    Publication<Snapshot<S>> publication_;
    [[no_unique_address]] StateOf<S> learned_;
    Subsets<S> subsets_;
    PlaceSignal places_;

  private:
    using Lane = typename Publication<Snapshot<S>>::Lane;

    /// As `select`: a thread's first call, its first after a change, one of many threads.
    [[gnu::noinline]] Lease select_anew(const Criteria& criteria) noexcept {
        Lane* const lane = publication_.read();
        return lane == nullptr ? LeaseAccess::refused(Errc::out_of_memory) : selected_on(*lane, criteria);
    }

    /// Whether the request may go to whoever is in service.
    static bool asks_for_nobody(const Criteria& criteria) noexcept {
        return (criteria.model.size() | criteria.tags.size() | criteria.exclude.size()) == 0;
    }

    static bool is_plain(const Criteria& criteria) noexcept {
        return asks_for_nobody(criteria) && (criteria.tokens | criteria.answer_tokens) == 0;
    }

    [[gnu::always_inline]] Lease selected_on(Lane& lane, const Criteria& criteria) noexcept {
        Lease lease = LeaseAccess::unset();
        select_on(lease, lane, criteria);
        return lease;
    }

    // The short ways, while nothing is due and the one chosen can simply take it; `select_balanced` and
    // `select_chosen` are for all else. What is rare is the last call of each, so that the compiler jumps to
    // it: then the usual way calls nothing and saves hardly a register. For that they fill in a lease, where
    // they would return one.

    [[gnu::noinline]] void select_on(Lease& lease, Lane& lane, const Criteria& criteria) noexcept {
        if (!asks_for_nobody(criteria)) return select_matching(lease, lane, criteria);
        if (lane.shortcut.is_plain && is_plain(criteria)) return select_plain(lease, lane, criteria);
        // The whole pool is what the lane remembers.
        select_quick(lease, lane, lane.current->pool, lane.shortcut, criteria);
    }

    /// Of one backend, with a limit, where nothing is balanced.
    [[gnu::noinline]] void select_plain(Lease& lease, Lane& lane, const Criteria& criteria) noexcept {
        const Candidate& sole = lane.shortcut.sole;
        std::uint64_t before = 0;
        if (!CandidateAccess::take(sole, sole.limit(), before)) return select_balanced(lease, lane, criteria);
        ::new (&lease) Lease{LeaseAccess::plain_of(sole, before)};
    }

    /// With criteria. What has several levels, or is new to the balancer or to this thread, goes the long
    /// way.
    [[gnu::noinline]] void select_matching(Lease& lease, Lane& lane, const Criteria& criteria) noexcept {
        if (!criteria.exclude.empty()) return select_balanced(lease, lane, criteria);
        const SubsetNode<S>* const node = subsets_.find_node(*lane.current, criteria);
        if (node == nullptr || node->shortcut.turn >= lane.turns.size())
            return select_balanced(lease, lane, criteria);
        select_quick(lease, lane, *node->group, node->shortcut, criteria);
    }

    [[gnu::always_inline]] void select_quick(Lease& lease, Lane& lane, const Group<S>& group,
                                             const Shortcut<S>& shortcut, const Criteria& criteria) noexcept {
        if (shortcut.candidates == nullptr) return select_balanced(lease, lane, criteria);
        std::uint64_t before = 0;
        Time now{};
        if (options_.timing || roster_.due().is_pending()) now = clock_.now();
        if (roster_.due().is_due(now) || is_full(group)) [[unlikely]]
            return select_balanced(lease, lane, criteria);
        const Snapshot<S>& snapshot = *lane.current;
        Pick pick{criteria, lane.rng, lane.turns[shortcut.turn], 0, now};
        const std::size_t chosen =
            snapshot.strategy.pick(*shortcut.table, {shortcut.candidates, shortcut.size}, pick);
        if (chosen >= shortcut.size) [[unlikely]]
            return select_chosen(lease, lane, criteria, now, chosen);
        const Candidate& candidate = shortcut.candidates[chosen];
        // Read before the place is taken: a compiler reads memory anew after an atomic operation.
        auto& backend = CandidateAccess::backend(candidate);
        const BackendConfig& config = CandidateAccess::config(candidate);
        if (!CandidateAccess::take_unmarked(candidate, backend, before)) [[unlikely]]
            return select_chosen(lease, lane, criteria, now, chosen);
        begin(lease, snapshot, backend, config, before, criteria, now,
              tokens_of_pick(snapshot, candidate, criteria));
    }

    /// What the prompt costs there; tells the strategy of its pick where it learns.
    [[gnu::always_inline]] std::uint64_t tokens_of_pick(const Snapshot<S>& snapshot,
                                                        const Candidate& candidate,
                                                        const Criteria& criteria) noexcept {
        if constexpr (Learns<S>) {
            if (is_learning(snapshot.strategy))
                return tell_picked(snapshot.strategy, learned_, candidate.id(), criteria);
        }
        return criteria.tokens;
    }

    /// A place was taken; `before` was the word. `tokens`: what the prompt costs there.
    [[gnu::always_inline]] void begin(Lease& lease, const Snapshot<S>& snapshot, LiveBackend& backend,
                                      const BackendConfig& config, std::uint64_t before,
                                      const Criteria& criteria, Time now, std::uint64_t tokens) noexcept {
        LeaseAccess::begin(lease, backend, config, before, now);
        if (options_.timing) {
            const Tick tick = tick_of(now);
            if (due(backend.refresh_tick.load(std::memory_order_relaxed), tick)) [[unlikely]]
                return begin_refreshed(lease, snapshot, criteria, tokens);
            advance_area_soon(backend, tick, before);  // no refresh is due: the last one was soon before
        }
        if ((tokens | criteria.answer_tokens) != 0)
            TokenAccount::begin(backend, lease, tokens, criteria.answer_tokens);
    }

    /// And brings averages up to date.
    [[gnu::noinline]] void begin_refreshed(Lease& lease, const Snapshot<S>& snapshot,
                                           const Criteria& criteria, std::uint64_t tokens) noexcept {
        auto& backend = *LeaseAccess::backend(lease);
        const Tick now = tick_of(LeaseAccess::began(lease));
        advance_area(backend, now, LeaseAccess::taken(lease));
        refresh(snapshot, backend, now);
        TokenAccount::begin(backend, lease, tokens, criteria.answer_tokens);
    }

    [[gnu::noinline]] void select_balanced(Lease& lease, Lane& lane, const Criteria& criteria) noexcept {
        ::new (&lease) Lease{select_balanced(lane, criteria)};
    }
    [[gnu::noinline]] void select_chosen(Lease& lease, Lane& lane, const Criteria& criteria, Time now,
                                         std::size_t chosen) noexcept {
        // Looked up again rather than passed: a seventh argument would need the frame.
        const Snapshot<S>& snapshot = *lane.current;
        const Group<S>* const group =
            asks_for_nobody(criteria) ? &snapshot.pool : subsets_.find(snapshot, criteria);
        if (group == nullptr) return select_balanced(lease, lane, criteria);  // never: it was there
        ::new (&lease) Lease{select_chosen(lane, *group, criteria, now, chosen)};
    }

    /// All that the short ways leave: excluded backends, several levels, a first use, a full group, or
    /// something that is due.
    Lease select_balanced(Lane& on, const Criteria& criteria) noexcept {
        try {
            Lane* lane = &on;
            Time now{};
            if (options_.timing || roster_.due().is_pending()) now = clock_.now();
            if (roster_.due().is_due(now)) [[unlikely]] {
                core().settle(now);
                if (Lane* newer = publication_.read(); newer != nullptr) lane = newer;  // as it was once
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

    /// The strategy chose `chosen` of a group of one level, which may not take it.
    Lease select_chosen(Lane& lane, const Group<S>& group, const Criteria& criteria, Time now,
                        std::size_t chosen) noexcept {
        try {
            const Picker<S> picker{lane.current->strategy, lane, criteria, now};
            return lease_or_refusal(lane, picker, picker.find_from(group, chosen), group, criteria, now);
        } catch (const std::bad_alloc&) {
            return LeaseAccess::refused(Errc::out_of_memory);
        }
    }

    [[gnu::always_inline]] Lease select_from(Lane& lane, const Group<S>& group, const Criteria& criteria,
                                             Time now) {
        if (is_full(group) && is_still_full(group, now)) [[unlikely]]
            return refused(group, criteria, now);
        const Picker<S> picker{lane.current->strategy, lane, criteria, now};
        return lease_or_refusal(lane, picker, picker.find(group), group, criteria, now);
    }

    [[gnu::always_inline]] Lease lease_or_refusal(Lane& lane, const Picker<S>& picker, Found found,
                                                  const Group<S>& group, const Criteria& criteria, Time now) {
        if (found.candidate == nullptr) [[unlikely]] {
            found = look_again(picker, group, criteria, now);
            if (found.candidate == nullptr) {
                // Several changes may have come since the picture was taken: all in it closed one after the
                // other, or under another config, while there is a free one in the newest.
                if (lane.version != publication_.version() || awaited_change(group, lane.version))
                    return select_anew(criteria);
                return refused(group, criteria, now);
            }
        }
        return lease_of_pick(*lane.current, *found.candidate, found.word, criteria, now);
    }

    /// A model or tags that nobody asked for since the fleet changed.
    [[gnu::noinline]] Lease select_first_use(Lane& lane, const Criteria& criteria, Time now) {
        const FirstUse<S> subset = subsets_.first_use(*lane.current, criteria);
        if (subset.group == nullptr) return LeaseAccess::refused(subset.error);
        Lease lease = select_from(lane, *subset.group, criteria, now);
        if (subset.wants_room) make_room_for_subsets(lane.current);
        return lease;
    }

    /// The strategy's pick, whatever its backend's state.
    Lease lease_of_pick(const Snapshot<S>& snapshot, const Candidate& candidate, std::uint64_t before,
                        const Criteria& criteria, Time now) noexcept {
        return lease_of(snapshot, candidate, before, criteria, now,
                        tokens_of_pick(snapshot, candidate, criteria));
    }

    Lease lease_of(const Snapshot<S>& snapshot, const Candidate& candidate, std::uint64_t before,
                   const Criteria& criteria, Time now, std::uint64_t tokens) noexcept {
        Lease lease = LeaseAccess::unset();
        begin(lease, snapshot, CandidateAccess::backend(candidate), CandidateAccess::config(candidate),
              before, criteria, now, tokens);
        if (CandidateAccess::is_half_open(candidate)) [[unlikely]] {
            LeaseAccess::half_open(lease) = true;
            LeaseAccess::trial(lease) = CandidateAccess::is_one_at_a_time(candidate);
        }
        return lease;
    }

    /// Brings the chosen backend's averages up to date, and those of a few others in turn: one that nobody
    /// chooses must be forgiven too.
    void refresh(const Snapshot<S>& snapshot, LiveBackend& backend, Tick now) noexcept {
        constexpr std::size_t others = 8;  // unpicked ones are then at most n / 8 refreshes behind
        backend.pace.refresh(backend, now, *snapshot.options);
        const auto& members = snapshot.members;
        for (std::size_t i = 0; i < std::min(others, members.size()); ++i) {
            const auto at = refresh_cursor_.fetch_add(1, std::memory_order_relaxed) % members.size();
            auto& other = *members[at].backend;
            if (due(other.refresh_tick.load(std::memory_order_relaxed), now)) {
                other.pace.refresh(other, now, *snapshot.options);
            }
        }
    }

    /// Whether the group was found full, and no place came free since.
    [[gnu::always_inline]] bool is_full(const Group<S>& group) const noexcept {
        const std::uint64_t since = group.full_since.load(std::memory_order_acquire);
        return since != 0 && since == places_.count();
    }

    /// A group that was found full, and where no place came free since, still is: but a limit within its slow
    /// start may have risen.
    static bool is_still_full(const Group<S>& group, Time now) noexcept {
        return now.time_since_epoch().count() < group.no_place.until.load(std::memory_order_relaxed);
    }

    /// Nobody could take it. Once more after saying so, so that a release that comes between is either seen
    /// here or sees the flag: both sides write, then read, all sequentially consistent. One that excludes
    /// some says nothing of the group; but it may wait, which it said before, and its second look is this
    /// one.
    [[gnu::noinline]] Found look_again(const Picker<S>& picker, const Group<S>& group,
                                       const Criteria& criteria, Time now) {
        if (group.levels.empty()) return {};
        const bool of_all = criteria.exclude.empty();
        const std::uint64_t count = places_.count();
        if (of_all) places_.expect();
        Time until = Time::max();
        for (const auto& level : group.levels) {
            for (const auto& candidate : level.candidates) {
                if (picker.has_place(candidate)) return picker.find(group);
                if (CandidateAccess::is_warming(candidate)) [[unlikely]]
                    until = std::min(until, picker.next_rise(candidate));
            }
        }
        if (!of_all || is_being_changed(group)) return {};
        // Said before any of it is known to be so by others: `full_since` is published last.
        Duration wait{};
        const Errc reason = why_nobody(group, criteria, now, wait);
        group.no_place.until.store(until.time_since_epoch().count(), std::memory_order_relaxed);
        group.no_place.rest_end.store((now + wait).time_since_epoch().count(), std::memory_order_relaxed);
        group.no_place.reason.store(reason, std::memory_order_relaxed);
        group.full_since.store(count, std::memory_order_release);
        return {};
    }

    /// Nobody could take it, since a change concerns all of them: a refusal would be wrong, so this waits for
    /// the picture that the change draws. Takes the writers' mutex. Whether there is a newer picture than
    /// that `seen`.
    [[gnu::noinline]] bool awaited_change(const Group<S>& group, std::uint64_t seen) noexcept {
        if (!is_being_changed(group)) return false;
        { const std::lock_guard under_way{roster_.mutex()}; }
        return publication_.version() != seen;
    }

    [[gnu::noinline]] Lease refused(const Group<S>& group, const Criteria& criteria,
                                    Time now) const noexcept {
        // A group known to be full says so without a look over thousands.
        if (criteria.exclude.empty() && is_full(group)) {
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
            static_cast<void>(publication_.replace(full, subsets_.with_room(*full)));
        } catch (const std::bad_alloc&) {  // then the next one tries
        }
        making_room_.store(false, std::memory_order_release);
    }

    std::atomic<std::size_t> refresh_cursor_{0};
    std::atomic<bool> making_room_{false};
};

}  // namespace fairlead::detail
