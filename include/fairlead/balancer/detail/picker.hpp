// From a snapshot and a request's criteria to a place on one backend: the hot path of `select`.
//
// Holds nothing: a view over what one call works with. No lock, no allocation, but for a thread's first use
// of a group and a subset's first use by anyone.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>

#include <fairlead/balancer/detail/eligibility.hpp>
#include <fairlead/balancer/detail/publication.hpp>
#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/resilience/slow_start.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead::detail {

/// What a look for a place came to.
struct Found {
    const Candidate* candidate = nullptr;
    std::uint64_t word = 0;  ///< the account's, just before the place was taken
};

template <Strategy S>
class Picker {
  public:
    using Lane = typename Publication<Snapshot<S>>::Lane;

    Picker(const S& strategy, Lane& lane, const Criteria& criteria, Time now) noexcept
        : strategy_{strategy}, lane_{lane}, criteria_{criteria}, now_{now} {}

    /// Takes a place in the first level that has one. Throws std::bad_alloc on a thread's first use of a
    /// group.
    Found find(const Group<S>& group) const {
        bool passed_over = false;
        for (const auto& level : group.levels) {
            // With overprovisioning, a level that is not whole leaves part of what comes to the next.
            if (level.share < 1.0 && &level != &group.levels.back() && lane_.rng.uniform() >= level.share) {
                passed_over = true;
                continue;
            }
            if (const Found found = find(level); found.candidate != nullptr) return found;
        }
        return passed_over ? any_level(group) : Found{};
    }

    /// As `find`, in a group of one level, where the strategy chose `chosen` already.
    Found find_from(const Group<S>& group, std::size_t chosen) const {
        const Level<S>& level = group.levels.front();
        Pick pick{criteria_, lane_.rng, lane_.turn(level.turn), 0, now_};
        if (Found found; try_pick(level, chosen, found)) return found;
        return second_choice(level, pick);
    }

    /// Whether a place is free at this moment, within the limit of its slow start, on one that the request
    /// does not exclude. Sequentially consistent: see `CandidateAccess::has_place`.
    bool has_place(const Candidate& candidate) const noexcept {
        return !is_excluded(candidate) && CandidateAccess::has_place(candidate, limit_of(candidate));
    }

    /// When the limit of one within its slow start has risen by one; `Time::max()` when it rises no more.
    Time next_rise(const Candidate& candidate) const noexcept {
        const auto& backend = CandidateAccess::backend(candidate);
        const Time returned{Duration{backend.returned.load(std::memory_order_relaxed)}};
        const double whole = candidate.limit();
        const double share = (limit_of(candidate) + 1) / whole;
        if (share > 1.0) return Time::max();  // its end draws a new picture
        // The ramp solved for the moment; early by a rounding costs one more look.
        const Options& options = *lane_.current->options;
        const double done = (share - options.slow_start_floor) / (1.0 - options.slow_start_floor);
        const double ticks = std::clamp(done, 0.0, 1.0) * static_cast<double>(options.slow_start.count());
        return std::max(now_ + Duration{1}, returned + Duration{static_cast<Duration::rep>(ticks)});
    }

  private:
    static constexpr std::uint32_t preferences = 16;  // of a key, before chance decides
    static constexpr int second_draws = 4;  // each finds a free one with the free share's probability

    Found find(const Level<S>& level) const {
        const std::span<const Candidate> candidates{level.candidates};
        Pick pick{criteria_, lane_.rng, lane_.turn(level.turn), 0, now_};
        const std::size_t chosen = strategy_.pick(*level.table, candidates, pick);
        if (Found found; try_pick(level, chosen, found)) return found;
        return second_choice(level, pick);
    }

    [[gnu::noinline]] Found second_choice(const Level<S>& level, Pick& pick) const {
        const std::span<const Candidate> candidates{level.candidates};
        Found found;
        if (needs_of(strategy_).preference) {
            const auto last = std::min<std::size_t>(preferences, candidates.size() * 2);
            for (pick.attempt = 1; pick.attempt < last; ++pick.attempt) {
                if (try_take(candidates, strategy_.pick(*level.table, candidates, pick), found)) return found;
            }
        }
        for (int i = 0; i < second_draws; ++i) {
            if (try_take(candidates, level.draws.pick(lane_.rng), found)) return found;
        }
        // Never simply the neighbour of the one that could not: it would carry two shares.
        const auto size = static_cast<std::uint32_t>(candidates.size());
        const std::uint32_t start = lane_.rng.below(size);
        for (std::uint32_t i = 0; i < size; ++i) {
            if (try_take(candidates, start + i < size ? start + i : start + i - size, found)) return found;
        }
        return found;
    }

    Found any_level(const Group<S>& group) const {
        for (const auto& level : group.levels) {
            if (const Found found = find(level); found.candidate != nullptr) return found;
        }
        return {};
    }

    /// The strategy's own choice: one within its slow start is kept with the ramp's probability, else drawn
    /// once more by weight.
    bool try_pick(const Level<S>& level, std::size_t chosen, Found& found) const {
        const std::span<const Candidate> candidates{level.candidates};
        if (chosen < candidates.size() && CandidateAccess::is_warming(candidates[chosen])) [[unlikely]] {
            const auto& backend = CandidateAccess::backend(candidates[chosen]);
            if (lane_.rng.uniform() >= ramp(backend)) chosen = level.draws.pick(lane_.rng);
        }
        return try_take(candidates, chosen, found);
    }

    bool try_take(std::span<const Candidate> candidates, std::size_t index, Found& found) const noexcept {
        if (index >= candidates.size()) return false;
        const Candidate& candidate = candidates[index];
        if (!criteria_.exclude.empty() && is_excluded(candidate)) return false;
        if (!CandidateAccess::take(candidate, limit_of(candidate), found.word)) return false;
        found.candidate = &candidate;
        return true;
    }

    std::uint32_t limit_of(const Candidate& candidate) const noexcept {
        if (!CandidateAccess::is_warming(candidate)) [[likely]]
            return candidate.limit();
        return slow_start_limit(candidate.limit(), ramp(CandidateAccess::backend(candidate)));
    }

    bool is_excluded(const Candidate& candidate) const noexcept {
        return std::find(criteria_.exclude.begin(), criteria_.exclude.end(), candidate.name()) !=
               criteria_.exclude.end();
    }

    double ramp(const LiveBackend& backend) const noexcept {
        const Time since{Duration{backend.returned.load(std::memory_order_relaxed)}};
        const Options& options = *lane_.current->options;
        return slow_start_share(now_ - since, options.slow_start, options.slow_start_floor);
    }

    const S& strategy_;
    Lane& lane_;
    const Criteria& criteria_;
    const Time now_;
};

/// A place on one of the mirrors that match, the first that has one from a random start on. O(members).
template <Strategy S>
Found find_mirror(const Snapshot<S>& snapshot, const Criteria& criteria, Rng& rng) noexcept {
    Found found;
    const auto size = static_cast<std::uint32_t>(snapshot.members.size());
    const std::uint32_t start = rng.below(size);
    for (std::uint32_t i = 0; i < size; ++i) {
        const Member& member = snapshot.members[start + i < size ? start + i : start + i - size];
        const BackendConfig& config = *member.config;
        if (!config.mirror || !matches(config, criteria.model, criteria.tags)) continue;
        if (!CandidateAccess::take(member.candidate, config.max_connections, found.word)) continue;
        found.candidate = &member.candidate;
        return found;
    }
    return found;
}

}  // namespace fairlead::detail
