// What a balancer did since it was made, so that no count ever falls: not when a backend goes, not when the
// strategy changes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/balancer/figures.hpp>

namespace fairlead::detail {

/// Called with the roster's mutex. `alive` are the backends that are not yet gone, with empty places between.
class Ledger {
  public:
    using Alive = std::span<const std::shared_ptr<LiveBackend>>;

    /// A backend goes, with nothing in flight: what it counted stays.
    void gone(const LiveBackend& backend) { gone_.add(backend.counts()); }

    /// `strategy` is the one in force.
    Totals totals(Alive alive, std::string_view strategy) const {
        Totals totals = gone_;
        for (const auto& backend : alive) {
            if (backend) totals.add(backend->counts());
        }
        totals.picks[std::string{strategy}] += taken(alive) - taken_before_;
        return totals;
    }

    /// `strategy` gives way to another: what was chosen since it came was its choice.
    void strategy_leaves(Alive alive, std::string_view strategy) {
        const std::uint64_t taken_now = taken(alive);
        gone_.picks[std::string{strategy}] += taken_now - taken_before_;
        taken_before_ = taken_now;
    }

  private:
    /// Places ever taken: each is in flight or completed, both in one word. The sum never falls but by places
    /// that were taken in vain (`Core::take_back`): then what was shown already stands.
    std::uint64_t taken(Alive alive) const noexcept {
        std::uint64_t taken = gone_.completed;
        for (const auto& backend : alive) {
            if (!backend) continue;
            // In this order: see `total_completed`.
            const auto half_turns = backend->half_turns.load(std::memory_order_acquire);
            const auto word = backend->word.load(std::memory_order_relaxed);
            taken += total_completed(half_turns, word) + word::in_flight(word);
        }
        return most_taken_ = std::max(most_taken_, taken);
    }

    Totals gone_;                     // of backends that were removed, and picks of earlier strategies
    std::uint64_t taken_before_ = 0;  // when the strategy in force came
    mutable std::uint64_t most_taken_ = 0;
};

}  // namespace fairlead::detail
