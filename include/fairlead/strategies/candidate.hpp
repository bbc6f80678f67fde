// What a strategy sees of one backend.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/strategies/detail/account.hpp>

namespace fairlead {

namespace detail {
struct CandidateAccess;  // the balancer's side of a candidate: balancer/detail/seat.hpp
}

/// A backend's dense number within one balancer; given again some time after the backend was removed.
using BackendId = std::uint32_t;

/// One member of the set that a strategy chooses from: a view of a backend. Names, weights and tags are
/// fixed for the table's life; the figures are live and may be a moment old.
///
/// Threads: any number may read one. Cost: `name`, `weight`, `tags` touch no shared line; the others load
/// one.
class Candidate {
  public:
    /// As a test or a simulation of strategies makes one; `account` and `config` must outlive it.
    Candidate(const BackendConfig& config, const detail::Account& account, BackendId id = 0) noexcept
        : account_{&account},
          config_{&config},
          weight_{config.weight},
          inverse_weight_{1.0F / static_cast<float>(config.weight)},
          limit_{config.max_connections},
          id_{id} {}

    std::string_view name() const noexcept { return config_->name; }
    std::uint32_t weight() const noexcept { return weight_; }
    float inverse_weight() const noexcept { return inverse_weight_; }  ///< 1 / weight, ready made
    std::span<const std::string> tags() const noexcept { return config_->tags; }
    BackendId id() const noexcept { return id_; }

    /// Requests in flight now.
    std::uint32_t in_flight() const noexcept {
        return detail::word::in_flight(account_->word.load(std::memory_order_relaxed));
    }

    /// Requests in flight, and the recent failures that still count as such: a backend that fails in 1 ms
    /// must not look idle. What choices by load should use.
    std::uint32_t load() const noexcept { return in_flight() + recent_failures(); }

    /// Failures of the last 10 mean latencies of the pool.
    std::uint32_t recent_failures() const noexcept { return detail::recent_failures(*account_); }

    /// Tokens of work outstanding: the prompts that have no first byte yet, and what is expected of, or has
    /// come of, the answers that began.
    std::uint64_t tokens() const noexcept {
        return not_below_0(account_->prefill.load(std::memory_order_relaxed) +
                           account_->tokens.load(std::memory_order_relaxed));
    }

    /// Uncached prompt tokens of the requests in flight that have no first byte yet.
    std::uint64_t waiting_tokens() const noexcept {
        return not_below_0(account_->prefill.load(std::memory_order_relaxed));
    }

    /// Requests in flight that are past their first byte.
    std::uint32_t decoding() const noexcept { return detail::decoding(*account_); }

    /// Latency relative to the pool's mean, differences below 10 % removed as noise: 1 is normal, 2 about
    /// twice as slow. Kept ready where the strategy's `Needs` ask for it.
    float slowness() const noexcept { return account_->slowness.load(std::memory_order_relaxed); }

    /// Whether it could take a request at this moment: it serves, does not rest, and is below its limit.
    bool can_take() const noexcept {
        return ((account_->word.load(std::memory_order_relaxed) ^ generation_) & detail::word::busy_mask) <
               limit_;
    }

    /// How many requests it may have in flight; 0 while it is in the table but out of service.
    std::uint32_t limit() const noexcept { return limit_; }

  private:
    friend struct detail::CandidateAccess;
    Candidate() = default;

    static std::uint64_t not_below_0(std::int64_t tokens) noexcept {
        return tokens > 0 ? static_cast<std::uint64_t>(tokens) : 0;
    }

    const detail::Account* account_ = nullptr;
    const BackendConfig* config_ = nullptr;
    std::uint64_t generation_ = 0;  // of the config, where the word has it; above it the balancer's marks
    std::uint32_t weight_ = 1;
    float inverse_weight_ = 1.0F;
    std::uint32_t limit_ = 0;
    BackendId id_ = 0;
};

}  // namespace fairlead
