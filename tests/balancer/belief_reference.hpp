// What prefix_affinity may believe of each backend's cache, and whom it may choose for it: a set of blocks
// for each backend, that only grows, beside choice_reference.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/model/criteria.hpp>
#include <fairlead/strategies/explained.hpp>

namespace fairlead::test {

/// The library's beliefs are bounded, and doubted after failures: it may hold less than this. Never more; and
/// exactly this as long as nothing happened to a backend that takes beliefs away.
class BeliefReference {
  public:
    /// `room`: blocks of each backend that are surely kept.
    BeliefReference(std::size_t room, std::uint32_t block_tokens)
        : room_{room}, block_tokens_{block_tokens} {}

    /// A request with these blocks went to `name`.
    void noted(const std::string& name, std::span<const std::uint64_t> prefix) {
        auto& held = held_[name];
        held.blocks.insert(prefix.begin(), prefix.end());
        if (held.blocks.size() > room_) held.is_exact = false;
    }
    /// It was restarted. A doubt stays until it answers.
    void gone(const std::string& name) { held_[name].blocks.clear(); }
    /// It is another server now.
    void replaced(const std::string& name) {
        gone(name);
        held_[name].start.reset();
    }
    /// Its engine says when it began.
    void started(const std::string& name, double start) {
        auto& before = held_[name].start;
        if (before && std::abs(start - *before) > 1) gone(name);
        before = start;
    }
    void removed(const std::string& name) { held_.erase(name); }
    /// Less than all may be believed from now on: of `name`, or of whoever has its place now.
    void doubted(const std::string& name) { held_[name].is_exact = false; }
    void all_doubted() {
        all_exact_ = false;
        for (auto& [name, held] : held_) held.is_exact = false;
    }

    /// Tokens of a request's prompt; where nothing is said of it, requests are counted.
    std::uint64_t tokens_of(const Criteria& criteria) const {
        return std::max<std::uint64_t>(
            {criteria.tokens, criteria.tokens == 0 ? criteria.prefix.size() * block_tokens_ : 0, 1});
    }

    /// The least that the request may be accounted with on `name`.
    std::uint64_t least_uncached(const std::string& name, const Criteria& criteria) const {
        const auto tokens = tokens_of(criteria);
        return tokens - std::min(tokens - 1, longest(name, criteria.prefix) * block_tokens_);
    }

    /// What is wrong with the terms of a moment, and with `chosen` by them; empty when nothing is. `share`:
    /// of the least cost, that a choice may cost more.
    std::string judge(const std::vector<Explained>& terms, const Criteria& criteria, std::string_view chosen,
                      double share) const {
        const Explained* of_chosen = nullptr;
        for (const auto& each : terms) {
            if (const auto wrong = judge(each, criteria); !wrong.empty()) return each.name + " " + wrong;
            if (each.name == chosen) of_chosen = &each;
        }
        if (of_chosen == nullptr) return std::string{chosen} + " is not explained";
        if (!of_chosen->can_take) return std::string{chosen} + " could not take it";
        for (const auto& each : terms) {
            if (each.priority != of_chosen->priority || !each.can_take) continue;
            // A float has 24 bits, and the cost half a dozen roundings.
            if (of_chosen->cost > each.cost * (1 + share) * (1 + 0x1p-20))
                return each.name + " costs less than " + std::string{chosen};
        }
        return {};
    }

  private:
    struct Held {
        std::set<std::uint64_t> blocks{};
        std::optional<double> start{};
        bool is_exact = true;
    };

    std::size_t longest(const std::string& name, std::span<const std::uint64_t> prefix) const {
        const auto held = held_.find(name);
        if (held == held_.end()) return 0;
        std::size_t length = 0;
        while (length < prefix.size() && held->second.blocks.contains(prefix[length])) ++length;
        return length;
    }

    std::string judge(const Explained& each, const Criteria& criteria) const {
        const auto tokens = tokens_of(criteria);
        const double believed = each.cached;
        const auto most = static_cast<double>(
            std::min<std::uint64_t>(longest(each.name, criteria.prefix) * block_tokens_, tokens));
        if (!(believed <= most)) return "is believed to hold what never went there, or is gone";
        const auto held = held_.find(each.name);
        const bool is_exact = all_exact_ && (held == held_.end() || held->second.is_exact);
        if (is_exact && believed != most) return "holds more than is believed";
        if (each.cached + each.uncached != static_cast<float>(tokens))
            return "has tokens neither cached nor not";
        for (const float term : {each.uncached, each.waiting, each.decoding, each.pressure, each.cost}) {
            if (!(term >= 0) || !std::isfinite(term)) return "has a term that is no amount of work";
        }
        if (!(each.speed > 0) || !(each.weight > 0)) return "has no speed or weight";
        return {};
    }

    const std::size_t room_;
    const std::uint64_t block_tokens_;
    std::map<std::string, Held> held_;
    bool all_exact_ = true;
};

}  // namespace fairlead::test
