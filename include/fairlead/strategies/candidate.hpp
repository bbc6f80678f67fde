// What a strategy sees of one backend.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/detail/account.hpp>
#include <fairlead/strategies/detail/tick.hpp>

namespace fairlead {

namespace detail {
struct CandidateAccess;  // the balancer's side of a candidate: balancer/detail/seat.hpp
}

/// A backend's dense number within one balancer; given again some time after the backend was removed.
using BackendId = std::uint32_t;

/// A figure that a backend's engine told of itself, and how much of it still holds: 1 when it is new, about
/// e^(-age / 2 s), and 0 when it is unknown or three intervals old. An unknown figure is no 0.
struct ToldFigure {
    float value = 0;
    float trust = 0;

    /// The figure where it is trusted, `mean` where it is not.
    float towards(float mean) const noexcept { return mean + (value - mean) * trust; }
};

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
          seat_{(std::uint64_t{config.weight} << weight_shift) | config.max_connections},
          inverse_weight_{1.0F / static_cast<float>(config.weight)},
          id_{id} {}

    std::string_view name() const noexcept { return config_->name; }
    std::uint32_t weight() const noexcept { return static_cast<std::uint32_t>(seat_ >> weight_shift); }
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

    /// What the engine told (`Balancer::report_load`) at `now` (`Pick::now`): requests that others than this
    /// balancer brought, worked on and waiting; uncached prompt tokens of these; share of its cache in use.
    /// Unknown at `Time{}`, which is what a pick has that read no clock (`Options::timing`).
    ToldFigure others_running(Time now) const noexcept { return told(account_->others_running, now); }
    ToldFigure others_waiting(Time now) const noexcept { return told(account_->others_waiting, now); }
    ToldFigure others_waiting_tokens(Time now) const noexcept { return told(account_->others_tokens, now); }
    ToldFigure cache_use(Time now) const noexcept { return told(account_->cache_use, now); }

    /// Prompt tokens lately answered, and the seconds that they waited for their first byte; both fade.
    float prefilled_tokens() const noexcept {
        return account_->prefilled_tokens.load(std::memory_order_relaxed);
    }
    float prefilled_seconds() const noexcept {
        return account_->prefilled_seconds.load(std::memory_order_relaxed);
    }

    /// Blocks of the backend's prefix cache as configured; 0: not said.
    std::uint64_t cache_blocks() const noexcept { return config_->cache_blocks; }

    /// Whether it could take a request at this moment: it serves, does not rest, and is below its limit.
    bool can_take() const noexcept { return busy(account_->word.load(std::memory_order_relaxed)) < limit(); }

    /// How many requests it may have in flight; 0 while it is in the table but out of service.
    std::uint32_t limit() const noexcept {
        return static_cast<std::uint32_t>(seat_ & detail::word::in_flight_mask);
    }

  private:
    friend struct detail::CandidateAccess;
    Candidate() = default;

    static constexpr unsigned weight_shift = 48;

    /// What must be below the limit for a place to be free; `w` is the account's word.
    std::uint64_t busy(std::uint64_t w) const noexcept { return busy(w, seat_); }
    static std::uint64_t busy(std::uint64_t w, std::uint64_t seat) noexcept {
        return (w ^ (seat & ~detail::word::in_flight_mask)) & detail::word::busy_mask;
    }

    static std::uint64_t not_below_0(std::int64_t tokens) noexcept {
        return tokens > 0 ? static_cast<std::uint64_t>(tokens) : 0;
    }

    ToldFigure told(const detail::Told& figure, Time now) const noexcept {
        const float value = figure.value.load(std::memory_order_relaxed);
        if (!(value >= 0)) return {};  // NaN: unknown
        if (now == Time{}) return {};  // no clock was read: it may be of any age
        const detail::Tick age = detail::tick_of(now) - figure.tick.load(std::memory_order_relaxed);
        if (age >= detail::Tick{0} - detail::most_ahead) return {value, 1};  // told after this pick began
        if (age > account_->told_for.load(std::memory_order_relaxed)) return {};
        // e^x by four terms of its series: 7 % off at three seconds.
        constexpr auto ticks = static_cast<float>(2e9 / detail::nanoseconds_per_tick);
        const float x = static_cast<float>(age) / ticks;
        return {value, 1 / (1 + x * (1 + x * (0.5F + x / 6)))};
    }

    const detail::Account* account_ = nullptr;
    const BackendConfig* config_ = nullptr;
    // Where the word has what is in flight, the limit; where it has generation and epoch, those of the table;
    // above them the balancer's marks (40 to 43) and the weight.
    std::uint64_t seat_ = 0;
    float inverse_weight_ = 1.0F;
    BackendId id_ = 0;
};
static_assert(sizeof(Candidate) == 32);  // two a cache line: what a pick reads of one lies in one line

}  // namespace fairlead
