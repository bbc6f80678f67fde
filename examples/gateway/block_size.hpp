// How many tokens a block of the engines' caches has, for the prompts that are cut into such blocks.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include <fairlead/model/options.hpp>

namespace gateway {

/// Brings the balancer's `prefix_block_tokens` to what the engines tell of their blocks
/// (`LoadFigures::block_tokens`), where the settings do not say it and the engines are listened to. Of
/// unlike engines the shortest counts, and never less than is usual: shorter blocks cost, and tell no more.
///
/// Threads: any.
template <class Balancer>
class BlockSize {
  public:
    using Clock = std::chrono::steady_clock;

    explicit BlockSize(Balancer& balancer, Clock::duration between = std::chrono::seconds{5}) noexcept
        : balancer_{balancer}, between_{between} {}

    /// Tokens to a block. Looks at the backends once in `between`.
    std::uint32_t get(const fairlead::Options& set, Clock::time_point now) {
        if (is_due(now)) follow(set);
        return block_tokens_of(balancer_.options());
    }

  private:
    /// To one of the threads. Relaxed: the number stands for itself.
    bool is_due(Clock::time_point now) noexcept {
        const auto ticks = now.time_since_epoch().count();
        auto due = due_.load(std::memory_order_relaxed);
        return ticks >= due &&
               due_.compare_exchange_strong(due, ticks + between_.count(), std::memory_order_relaxed);
    }

    void follow(const fairlead::Options& set) {
        const auto in_force = balancer_.options().prefix_block_tokens;
        const bool learns = set.load_monitor && set.prefix_block_tokens == 0;
        const auto wanted = learns ? shortest().value_or(in_force) : set.prefix_block_tokens;
        if (wanted == in_force) return;
        balancer_.update_options([&](auto& options) { options.prefix_block_tokens = wanted; });
    }

    std::optional<std::uint32_t> shortest() const {
        std::optional<std::uint32_t> least;
        for (const auto& backend : balancer_.snapshot()) {
            if (const auto tokens = backend.load.block_tokens)
                least = std::min(least.value_or(longest), std::max(*tokens, fairlead::usual_block_tokens));
        }
        return least;
    }

    static constexpr std::uint32_t longest = 65'536;  // that the option allows

    Balancer& balancer_;
    const Clock::duration between_;
    std::atomic<Clock::rep> due_{0};
};

}  // namespace gateway
