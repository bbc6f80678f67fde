// What all requests of one balancer share about their further tries: how many, the budget, pauses, hedges.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/resilience/latency_quantile.hpp>
#include <fairlead/resilience/retry.hpp>
#include <fairlead/resilience/retry_budget.hpp>

namespace fairlead::detail {

/// Any thread. A request that goes well touches one counter here; the mutex is taken for a further try, and
/// for each answer while hedging is on.
template <class Core>
class Tries {
  public:
    Tries(Core& core, const OptionsInForce& options, std::uint64_t seed) noexcept
        : core_{core}, options_{options}, rng_{seed} {}

    void count_request() noexcept { requests_.fetch_add(1, std::memory_order_relaxed); }
    std::uint64_t requests() const noexcept { return requests_.load(std::memory_order_relaxed); }
    std::uint32_t max_retries() const noexcept { return options_.max_retries(); }

    /// Whether the budget allows one more try; tells the host either way. `reason`: why another is wanted.
    bool take(const std::string& backend, const char* reason) {
        const Time now = core_.clock().now();
        bool allowed = false;
        {
            const std::lock_guard lock{mutex_};
            allowed = budget_.take(now, requests(), *options_);
            if (!allowed) ++refused_;
        }
        core_.tell({.kind = allowed ? Event::Kind::retry : Event::Kind::retry_budget_exhausted,
                    .backend = backend,
                    .reason = reason});
        return allowed;
    }

    /// Further tries that the budget forbade.
    std::uint64_t refused() const {
        const std::lock_guard lock{mutex_};
        return refused_;
    }

    /// How long to wait before the same backend is tried for the `again`-th time.
    Duration back_off(std::uint32_t again) {
        const std::lock_guard lock{mutex_};
        return detail::back_off(again, *options_, rng_);
    }

    // --- hedging -----------------------------------------------------------------------------------------

    bool hedges() const noexcept { return options_->hedge_quantile > 0; }

    /// An answer began (or, for a request that is not streamed, came) so long after it was asked for.
    void answered(const std::string& model, Duration after) {
        const std::lock_guard lock{mutex_};
        latencies_[model].add(after);
    }

    /// How long an answer may take before one more backend is asked. Nothing while too little is known, or
    /// hedging is off.
    std::optional<Duration> hedge_after(const std::string& model) const {
        const double quantile = options_->hedge_quantile;
        if (quantile <= 0) return std::nullopt;
        const std::lock_guard lock{mutex_};
        const auto known = latencies_.find(model);
        return known == latencies_.end() ? std::nullopt : known->second.quantile(quantile);
    }

    /// Whether this request is one of those that are also sent to a mirror.
    bool draws_mirror() {
        const double share = options_->mirror_share;
        if (share <= 0) return false;
        const std::lock_guard lock{mutex_};
        return rng_.uniform() < share;
    }

  private:
    Core& core_;
    const OptionsInForce& options_;
    std::atomic<std::uint64_t> requests_{0};  // that began an exchange: what the retry budget is a share of
    mutable std::mutex mutex_;
    RetryBudget budget_{};
    Rng rng_;
    std::uint64_t refused_ = 0;
    std::map<std::string, LatencyQuantile, std::less<>> latencies_;  // by model_name: as many as there are
};

}  // namespace fairlead::detail
