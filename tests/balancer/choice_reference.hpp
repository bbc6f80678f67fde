// Whom a strategy may choose of those who may serve: slow and plain, beside state_reference.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fairlead/strategies/any_strategy.hpp>

#include "balancer/state_reference.hpp"
#include "strategies/rendezvous.hpp"

namespace fairlead::test {

/// Follows the choices of one thread. Judges what a strategy promises of single choices and of rows of them;
/// who may serve at all is judged elsewhere.
class ChoiceReference {
  public:
    /// Rows of choices begin anew: something changed.
    void forget() { rows_.clear(); }
    /// Turns of these groups were used in a way that is not followed.
    void forget(const Wanted& wanted) {
        std::erase_if(rows_, [&](const auto& row) { return is_of(row.first, wanted); });
    }

    /// What is wrong with `chosen`, empty when nothing is. `state` is that of just before the choice.
    std::string judge(StrategyKind kind, StateReference& state, const Wanted& wanted, std::string_view key,
                      const ReferenceBackend& chosen) {
        // Levels that were asked before had nobody, but their turns moved on.
        std::erase_if(rows_, [&](const auto& row) {
            return is_of(row.first, wanted) && std::get<2>(row.first) < chosen.config.priority;
        });
        switch (kind) {
            case StrategyKind::round_robin:
                return in_turn(state, wanted, chosen, true);
            case StrategyKind::weighted_round_robin:
                return in_turn(state, wanted, chosen, false);
            case StrategyKind::least_connections:
                return least(state, wanted, chosen, false);
            case StrategyKind::least_tokens:
                return least(state, wanted, chosen, true);
            case StrategyKind::consistent_hash:
                return key.empty() ? "" : owner(state, wanted, key, chosen);
            default:
                return {};  // chance, or a clock: bounds over many choices, which other tests hold them to
        }
    }

  private:
    using Place = std::tuple<std::string, std::string, int>;  // model, tag, priority

    static bool is_of(const Place& place, const Wanted& wanted) {
        return std::get<0>(place) == wanted.model && std::get<1>(place) == wanted.tag;
    }

    static std::vector<const ReferenceBackend*> level(StateReference& state, const Wanted& wanted,
                                                      int priority) {
        std::vector<const ReferenceBackend*> members;
        for (const auto& each : state.backends()) {
            if (each.config.priority == priority && state.is_candidate(each, wanted))
                members.push_back(&each);
        }
        return members;
    }

    /// While all of a level can serve, the choices are those of a fixed rotation or of the quotas.
    std::string in_turn(StateReference& state, const Wanted& wanted, const ReferenceBackend& chosen,
                        bool equally) {
        const auto members = level(state, wanted, chosen.config.priority);
        const Place place{wanted.model, wanted.tag, chosen.config.priority};
        if (!std::all_of(members.begin(), members.end(),
                         [&](const auto* each) { return state.may_serve(*each, wanted); })) {
            rows_.erase(place);
            return {};
        }
        auto& row = rows_[place];
        row.push_back(chosen.config.name);
        std::uint64_t weights = 0;
        for (const auto* each : members) weights += each->config.weight;
        const bool same = std::all_of(members.begin(), members.end(), [&](const auto* each) {
            return each->config.weight == members.front()->config.weight;
        });
        if (equally || same) {
            const std::size_t n = members.size();
            const auto last = row.end() - 1;
            const auto from = row.size() > n ? last - static_cast<std::ptrdiff_t>(n - 1) : row.begin();
            if (std::find(from, last, chosen.config.name) != last)
                return chosen.config.name + " comes twice within a round";
            if (row.size() > 2 * n) row.erase(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(n));
            return {};
        }
        if (weights > 65'536) return {};  // rounded
        for (const auto* each : members) {
            const auto had = std::count(row.begin(), row.end(), each->config.name);
            const double due =
                static_cast<double>(row.size()) * each->config.weight / static_cast<double>(weights);
            if (std::abs(static_cast<double>(had) - due) >= 2) return each->config.name + " is off its quota";
        }
        return {};
    }

    /// Nobody who could have taken it has less for its weight. Failures go on counting as load for a while,
    /// which is not followed: all of `other`'s may count, none of the chosen one's.
    static std::string least(StateReference& state, const Wanted& wanted, const ReferenceBackend& chosen,
                             bool tokens) {
        if (chosen.trial_under_way) return {};  // in a panic, when nobody was free
        const auto cost = [&](const ReferenceBackend& b, std::uint64_t failures) {
            const std::uint64_t load =
                b.in_flight + failures + 1 + (tokens ? b.waiting_tokens + b.answer_tokens : 0);
            return static_cast<double>(load) / b.config.weight;
        };
        for (const auto* other : level(state, wanted, chosen.config.priority)) {
            if (other->trial_under_way || !state.may_serve(*other, wanted)) continue;
            // A float has 24 bits, and three roundings.
            if (cost(chosen, 0) > cost(*other, other->failed) * (1 + 0x1p-21))
                return other->config.name + " has less than " + chosen.config.name;
        }
        return {};
    }

    /// The first in the key's order of preference, over all members whatever their state, that can serve.
    static std::string owner(StateReference& state, const Wanted& wanted, std::string_view key,
                             const ReferenceBackend& chosen) {
        std::vector<std::pair<std::string_view, std::uint32_t>> members;
        for (const auto& each : state.backends()) {
            if (each.config.priority == chosen.config.priority && !each.config.mirror &&
                StateReference::matches(each, wanted))
                members.emplace_back(each.config.name, each.config.weight);
        }
        const auto attempts = std::min<std::size_t>(16, members.size() * 2);
        for (std::uint32_t attempt = 0; attempt < attempts; ++attempt) {
            const auto name = members[rendezvous(members, key, attempt)].first;
            if (!state.may_serve(*state.find(name), wanted)) continue;
            return name == chosen.config.name ? "" : "the key is " + std::string{name} + "'s";
        }
        return {};
    }

    std::map<Place, std::vector<std::string>> rows_;
};

}  // namespace fairlead::test
