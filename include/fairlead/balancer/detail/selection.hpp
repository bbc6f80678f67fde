// From criteria to a lease: which picture is read, which group is asked, and what is said when nobody can.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/latency.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/detail/picker.hpp>
#include <fairlead/balancer/detail/place_signal.hpp>
#include <fairlead/balancer/detail/publication.hpp>
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

/// The reading half of `Core`, which derives from it, and the state that both halves share. Any thread.
template <class Core, Strategy S, ClockSource Clock>
class Selection {
  public:
    Selection(const Selection&) = delete;
    Selection& operator=(const Selection&) = delete;

    Lease select(const Criteria& criteria) noexcept {
        auto* lane = publication_.read();
        if (lane == nullptr) [[unlikely]]
            return LeaseAccess::refused(Errc::out_of_memory);
        if (const Candidate* sole = lane->current->sole; sole != nullptr)
            return select_sole(*sole, *lane, criteria);
        return select_balanced(lane, criteria);
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
        return lease_of(snapshot, found, criteria, options_.timing ? clock_.now() : Time{}, criteria.tokens);
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
        std::vector<Explained> all;
        if (group == nullptr) return all;  // an unknown model or tag
        const Time now = options_.timing ? clock_.now() : Time{};
        for (const auto& level : group->levels) {
            const auto visit = [&](std::size_t i, const typename S::Terms& terms) {
                const Candidate& candidate = level.candidates[i];
                all.push_back({std::string{candidate.name()}, level.priority, candidate.can_take(),
                               terms.cached, terms.uncached, terms.waiting, terms.decoding, terms.pressure,
                               terms.speed, terms.weight, terms.cost()});
            };
            snapshot->strategy.explain(*level.table, level.candidates, criteria, now, visit);
        }
        std::stable_sort(all.begin(), all.end(), [](const Explained& a, const Explained& b) {
            if (a.priority != b.priority) return a.priority < b.priority;
            return a.can_take != b.can_take ? a.can_take : a.cost < b.cost;
        });
        return all;
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

    Core& core() noexcept { return static_cast<Core&>(*this); }

    /// As `select`, with what `publication_` gave.
    [[gnu::noinline]] Lease select_balanced(Lane* lane, const Criteria& criteria) noexcept {
        try {
            Time now{};
            if (options_.timing || roster_.due().is_pending()) now = clock_.now();
            if (roster_.due().is_pending() && roster_.due().is_due(now)) [[unlikely]] {
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

    /// The one backend of a balancer that balances nothing: no strategy, no group, no clock. A place is all
    /// there is to take, for a request that asks for nothing else.
    [[gnu::always_inline]] Lease select_sole(const Candidate& sole, Lane& lane,
                                             const Criteria& criteria) noexcept {
        std::uint64_t before = 0;
        const bool is_plain = criteria.model.empty() && criteria.tags.empty() && criteria.exclude.empty() &&
                              (criteria.tokens | criteria.answer_tokens) == 0;
        if (is_plain && CandidateAccess::take(sole, sole.limit(), before)) [[likely]]
            return lease_of_sole(sole, before);
        return select_balanced(&lane, criteria);
    }

    [[gnu::always_inline]] Lease lease_of_sole(const Candidate& sole, std::uint64_t before) noexcept {
        Lease lease;
        LeaseAccess::owner(lease) = &core();
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
        const Picker<S> picker{lane.current->strategy, lane, criteria, now};
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
        std::uint64_t tokens = criteria.tokens;
        if constexpr (Learns<S>) {
            const auto& strategy = lane.current->strategy;
            if (is_learning(strategy))
                tokens = tell_picked(strategy, learned_, found.candidate->id(), criteria);
        }
        return lease_of(*lane.current, found, criteria, now, tokens);
    }

    /// A model or tags that nobody asked for since the fleet changed.
    [[gnu::noinline]] Lease select_first_use(Lane& lane, const Criteria& criteria, Time now) {
        const FirstUse<S> subset = subsets_.first_use(*lane.current, criteria);
        if (subset.group == nullptr) return LeaseAccess::refused(subset.error);
        Lease lease = select_from(lane, *subset.group, criteria, now);
        if (subset.wants_room) make_room_for_subsets(lane.current);
        return lease;
    }

    /// `tokens`: what the prompt costs there.
    Lease lease_of(const Snapshot<S>& snapshot, const Found& found, const Criteria& criteria, Time now,
                   std::uint64_t tokens) {
        auto& backend = CandidateAccess::backend(*found.candidate);
        Lease lease;
        LeaseAccess::owner(lease) = &core();
        LeaseAccess::backend(lease) = &backend;
        LeaseAccess::config(lease) = &CandidateAccess::config(*found.candidate);
        LeaseAccess::taken(lease) = found.word;
        LeaseAccess::began(lease) = now;
        LeaseAccess::id(lease) = found.candidate->id();
        LeaseAccess::serial(lease) = backend.serial;
        LeaseAccess::error(lease) = 0;
        LeaseAccess::half_open(lease) = CandidateAccess::is_half_open(*found.candidate);
        LeaseAccess::trial(lease) = CandidateAccess::is_one_at_a_time(*found.candidate);
        if ((tokens | criteria.answer_tokens) != 0)
            TokenAccount::begin(backend, lease, tokens, criteria.answer_tokens);
        if (options_.timing) {
            const Tick tick = tick_of(now);
            advance_area(backend, tick, found.word);
            if (due(backend.refresh_tick.load(std::memory_order_relaxed), tick)) [[unlikely]]
                refresh(snapshot, backend, tick);
        }
        return lease;
    }

    /// Brings the chosen backend's averages up to date, and those of a few others in turn: one that nobody
    /// chooses must be forgiven too.
    [[gnu::noinline]] void refresh(const Snapshot<S>& snapshot, LiveBackend& backend, Tick now) noexcept {
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

    std::atomic<std::size_t> refresh_cursor_{0};
    std::atomic<bool> making_room_{false};
};

}  // namespace fairlead::detail
