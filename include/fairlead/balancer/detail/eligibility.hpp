// Who may serve: from the members of a snapshot to the levels that a request goes through.
//
// Fixed in a snapshot: model, tags, the operator's word, findings, priority, panic. Looked at by each pick:
// full, resting, excluded (they change with every request).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/options.hpp>

namespace fairlead::detail {

/// Whether the backend serves what is asked. An empty `model` asks for none in particular.
inline bool matches(const BackendConfig& config, std::string_view model,
                    std::span<const std::string_view> tags) noexcept {
    if (!model.empty() && !config.model_name.empty() && config.model_name != model) return false;
    return std::all_of(tags.begin(), tags.end(), [&](std::string_view tag) {
        return std::find(config.tags.begin(), config.tags.end(), tag) != config.tags.end();
    });
}

/// How many of some members could serve.
struct Census {
    std::size_t members = 0;
    std::size_t serving = 0;  // by the operator's word
    std::size_t usable = 0;   // of those, healthy or on trial
    std::size_t healthy = 0;  // of those, not on trial
    int lowest = 0;           // priority number among those that serve

    void count(const Member& member) noexcept {
        ++members;
        if (!member.serving) return;
        if (serving++ == 0 || member.config->priority < lowest) lowest = member.config->priority;
        if (member.usable) ++usable;
        if (member.healthy) ++healthy;
    }

    /// Too few healthy: the unhealthy of the lowest priority number serve rather than none. One on trial is
    /// not healthy: alone it would take one request at a time, and the others be refused.
    bool panic(const Options& options) const noexcept {
        if (serving == 0) return false;
        if (options.panic_threshold <= 0) return healthy == 0;
        return static_cast<double>(healthy) < options.panic_threshold * static_cast<double>(serving);
    }

    Errc nobody() const noexcept {
        if (members == 0) return Errc::no_backends;
        return serving == 0 ? Errc::all_disabled : Errc::all_unhealthy;
    }
};

/// Makes groups of one snapshot. Needs no lock: it reads what the snapshot holds.
template <Strategy S>
class GroupBuilder {
  public:
    explicit GroupBuilder(const Snapshot<S>& snapshot) noexcept
        : snapshot_{snapshot}, all_members_{needs_of(snapshot.strategy).all_members} {}

    /// Fills `group` with the levels of all members that match. `turn_of(priority)` gives the index of the
    /// threads' places for one level, taken while what it returns is held. O(members + what the strategy's
    /// `build` takes). Throws std::bad_alloc.
    template <class TurnOf>
    void build(Group<S>& group, std::string_view model, std::span<const std::string_view> tags,
               TurnOf&& turn_of) const {
        const double overprovisioning = snapshot_.options->overprovisioning;
        Census census;
        std::map<int, Census> by_priority;
        for (const auto& member : snapshot_.members) {
            if (member.config->mirror || !matches(*member.config, model, tags)) continue;
            census.count(member);
            by_priority[member.config->priority].count(member);
        }
        group.panic = census.panic(*snapshot_.options);
        group.nobody = census.nobody();
        for (const auto& [priority, own] : by_priority) {
            const bool panic_here = group.panic && priority == census.lowest;
            if (panic_here ? own.serving == 0 : own.usable == 0) continue;
            Level<S> level;
            level.priority = priority;
            level.candidates.reserve(all_members_ ? own.members : own.serving);
            if (overprovisioning > 0) {
                level.share = std::min(1.0, overprovisioning * static_cast<double>(own.healthy) /
                                                static_cast<double>(own.serving));
            }
            fill(level, model, tags, panic_here);
            level.turn_is_taken = turn_of(priority);
            level.turn = *level.turn_is_taken;
            group.bytes += sizeof(level) + level.candidates.capacity() * sizeof(Candidate) +
                           level.draws.memory() + memory_of(*level.table);
            group.levels.push_back(std::move(level));
        }
    }

    /// Which members a level's table was built for, in order: equal means that the table may be used again.
    static std::vector<std::uint64_t> membership(std::span<const Candidate> candidates) {
        std::vector<std::uint64_t> key;
        key.reserve(candidates.size() * 2);
        for (const auto& candidate : candidates) {
            const auto& backend = CandidateAccess::backend(candidate);
            key.push_back((std::uint64_t{backend.serial} << 32) | candidate.id());
            key.push_back(candidate.weight());
        }
        return key;
    }

  private:
    void fill(Level<S>& level, std::string_view model, std::span<const std::string_view> tags,
              bool panic) const {
        bool is_whole = false;
        for (const auto& member : snapshot_.members) {
            if (member.config->priority != level.priority || member.config->mirror) continue;
            if (!matches(*member.config, model, tags)) continue;
            const bool serves = member.serving && (member.usable || panic);
            if (!serves && !all_members_) continue;
            level.candidates.push_back(panic && member.serving ? CandidateAccess::in_panic(member.candidate)
                                                               : member.candidate);
            is_whole |= member.healthy && !CandidateAccess::is_warming(member.candidate);
        }
        // Who warms up leaves the rest to those that are warm. Where nobody is, there is nobody to leave it
        // to: a fleet that was added in one go would else refuse nine requests of ten. One on trial takes one
        // at a time, the unhealthy in a panic are worse than cold.
        if (!is_whole) {
            for (auto& candidate : level.candidates) candidate = CandidateAccess::warm(candidate);
        }
        std::vector<std::uint32_t> weights;
        weights.reserve(level.candidates.size());
        for (const auto& candidate : level.candidates) weights.push_back(candidate.weight());
        level.draws = AliasTable{weights};
        level.table = table_for(level.candidates);
    }

    std::shared_ptr<const typename S::Table> table_for(std::span<const Candidate> candidates) const {
        if (all_members_ && !snapshot_.built.empty()) {
            const auto wanted = membership(candidates);
            for (const auto& old : snapshot_.built) {
                if (old.membership == wanted) return old.table;
            }
        }
        auto table = std::make_shared<typename S::Table>(snapshot_.strategy.build(candidates));
        if constexpr (Learns<S>) table->learn_from(*snapshot_.learned);
        return table;
    }

    const Snapshot<S>& snapshot_;
    const bool all_members_;
};

}  // namespace fairlead::detail
