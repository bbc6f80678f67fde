// Whom a strategy may choose of those who may serve: slow and plain, beside state_reference.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
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
    using Slowness = std::map<std::string, double, std::less<>>;  ///< by name

    /// Rows of choices begin anew: something changed.
    void forget() { rows_.clear(); }
    /// Turns of these groups were used in a way that is not followed.
    void forget(const Wanted& wanted) {
        std::erase_if(rows_, [&](const auto& row) { return is_of(row.first, wanted); });
    }

    /// What is wrong with `chosen`, empty when nothing is. `state` and `slowness`, which each backend showed
    /// and `response_time` alone looks at, are those of just before the choice.
    ///
    /// Where one of those that are asked is within its slow start, nothing is: a choice of it is kept by
    /// chance, and made by weight where it is not.
    std::string judge(StrategyKind kind, StateReference& state, const Wanted& wanted, std::string_view key,
                      const ReferenceBackend& chosen, const Slowness& slowness = {}) {
        // Levels that were asked before had nobody, but their turns moved on. With overprovisioning those
        // beyond may have been asked, too, before chance came back to this one.
        const bool all_asked = state.options().overprovisioning > 0;
        std::erase_if(rows_, [&](const auto& row) {
            const int priority = std::get<2>(row.first);
            return is_of(row.first, wanted) && priority != chosen.config.priority &&
                   (all_asked || priority < chosen.config.priority);
        });
        if (somebody_warms(state, wanted, chosen.config.priority)) {
            rows_.erase({std::string{wanted.model}, std::string{wanted.tag}, chosen.config.priority});
            return {};
        }
        const auto requests = [](const ReferenceBackend& b, std::uint64_t failures) {
            return static_cast<double>(b.in_flight + failures + 1);
        };
        switch (kind) {
            case StrategyKind::round_robin:
                return in_turn(state, wanted, chosen, true);
            case StrategyKind::weighted_round_robin:
                return in_turn(state, wanted, chosen, false);
            case StrategyKind::least_connections:
                return least(state, wanted, chosen, requests);
            case StrategyKind::least_tokens:
                return least(state, wanted, chosen, [&](const ReferenceBackend& b, std::uint64_t failures) {
                    return requests(b, failures) + static_cast<double>(b.waiting_tokens + b.answer_tokens);
                });
            case StrategyKind::response_time:
                return least(state, wanted, chosen, [&](const ReferenceBackend& b, std::uint64_t failures) {
                    return requests(b, failures) * slowness.at(b.config.name);
                });
            case StrategyKind::consistent_hash:
                if (state.options().hash_bounded_load > 0) return bounded(state, wanted, key, chosen);
                return key.empty() ? "" : owner(state, wanted, key, chosen);
            default:
                // Chance: that it could take it is judged with who may serve, shares over many choices by
                // tests/strategies. prefix_affinity: see belief_reference.hpp.
                return {};
        }
    }

    /// Whether somebody that is asked is within its slow start, out of service or not.
    static bool somebody_warms(StateReference& state, const Wanted& wanted, int priority) {
        const auto& all = state.backends();
        return std::any_of(all.begin(), all.end(), [&](const auto& each) {
            return each.config.priority == priority && StateReference::matches(each, wanted) &&
                   state.warms(each);
        });
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

    /// Nobody who could have taken it has less for its weight, by `load(backend, failures)`. Failures go on
    /// counting as load for a while, which is not followed: all of `other`'s may count, none of the chosen
    /// one's.
    template <class Load>
    static std::string least(StateReference& state, const Wanted& wanted, const ReferenceBackend& chosen,
                             Load&& load) {
        if (chosen.trial_under_way) return {};  // in a panic, when nobody was free
        const auto cost = [&](const ReferenceBackend& b, std::uint64_t failures) {
            return load(b, failures) / b.config.weight;
        };
        for (const auto* other : level(state, wanted, chosen.config.priority)) {
            if (other->trial_under_way || !state.may_serve(*other, wanted)) continue;
            // A float has 24 bits, and four roundings at most.
            if (cost(chosen, 0) > cost(*other, other->failed) * (1 + 0x1p-21))
                return other->config.name + " has less than " + chosen.config.name;
        }
        return {};
    }

    /// Who a key's order of preference is over: all of a level, whatever their state.
    static std::vector<std::pair<std::string_view, std::uint32_t>> all_of(StateReference& state,
                                                                          const Wanted& wanted,
                                                                          int priority) {
        std::vector<std::pair<std::string_view, std::uint32_t>> members;
        for (const auto& each : state.backends()) {
            if (each.config.priority == priority && !each.config.mirror &&
                StateReference::matches(each, wanted))
                members.emplace_back(each.config.name, each.config.weight);
        }
        return members;
    }

    /// With a bound, of 1 at least: the chosen one is below it, and the first such one in the key's order of
    /// preference, as far as that is looked at.
    static std::string bounded(StateReference& state, const Wanted& wanted, std::string_view key,
                               const ReferenceBackend& chosen) {
        if (chosen.trial_under_way) return {};  // in a panic, when nobody was free
        const auto is_free = [&](const ReferenceBackend& b) {
            return !b.trial_under_way && state.may_serve(b, wanted);
        };
        double in_flight = 1;
        double weights = 0;
        for (const auto* each : level(state, wanted, chosen.config.priority)) {
            if (!is_free(*each)) continue;
            in_flight += each->in_flight;
            weights += each->config.weight;
        }
        const auto is_below = [&](const ReferenceBackend& b) {
            const double fair = in_flight * b.config.weight / weights;
            return b.in_flight + 1 <= std::max(1.0, std::ceil(state.options().hash_bounded_load * fair));
        };
        if (!is_below(chosen)) return chosen.config.name + " is above its bound";
        if (key.empty()) return {};
        const auto members = all_of(state, wanted, chosen.config.priority);
        for (std::uint32_t attempt = 0; attempt < 16; ++attempt) {
            const auto name = members[rendezvous(members, key, attempt)].first;
            const auto& preferred = *state.find(name);
            if (!is_free(preferred) || !is_below(preferred)) continue;
            return name == chosen.config.name ? "" : "the key is " + std::string{name} + "'s";
        }
        return {};
    }

    /// The first in the key's order of preference, over all members whatever their state, that can serve.
    static std::string owner(StateReference& state, const Wanted& wanted, std::string_view key,
                             const ReferenceBackend& chosen) {
        const auto members = all_of(state, wanted, chosen.config.priority);
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
