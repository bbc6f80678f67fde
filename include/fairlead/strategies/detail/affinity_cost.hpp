// What sending a request to a backend costs, in tokens of work until the first token.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include <fairlead/model/criteria.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/detail/stable_hash.hpp>

namespace fairlead::detail {

/// The terms of one candidate's cost, as `Balancer::explain` shows them.
struct AffinityTerms {
    float cached = 0;    ///< tokens of the prompt believed to lie in its cache, the owner's share included
    float uncached = 0;  ///< the others
    float waiting = 0;   ///< uncached tokens of the requests there that have no first token
    float decoding = 0;  ///< requests past it
    float pressure = 0;  ///< of its cache, in tokens
    float speed = 1;     ///< prefill, relative to the pool
    float weight = 1;    ///< relative to the candidates' mean

    /// This request's own work weighs five times: it delays whoever comes next, and its blocks push out of
    /// the cache what others would have found there. In the simulator, on a trace of conversations at 0.7
    /// to 1.25 times its load, 3 to 6 differ by 2 % in the mean time to the first token; 5 finds 1 to 2 %
    /// more of all prompts cached than 3, and suffers less from wrong estimates (prompts taken for twice as
    /// long: 3 % instead of 8 %). A request past its first token takes of each step what 256 tokens of
    /// prefill take.
    ///
    /// What takes time takes less of it on a faster backend; a hit is worth the same everywhere. (So weights
    /// are relative, as speeds are: all ten times as large would else take nine tenths of what load counts.)
    /// Divided, too, a fast one would be sent all that is not cached: in the simulator, one of eight at twice
    /// the speed and told so by its weight, that raises the mean time to the first token by a fifth, and this
    /// lowers it by a tenth.
    float cost() const noexcept {
        return 4 * uncached + (uncached + waiting + 256 * decoding + pressure) / (weight * speed);
    }
};

/// A mean of what some candidates tell.
class MeanOfTold {
  public:
    void add(const ToldFigure& figure) noexcept {
        if (figure.trust <= 0) return;
        sum_ += figure.value;
        ++count_;
    }
    bool is_known() const noexcept { return count_ > 0; }
    float value() const noexcept { return count_ == 0 ? 0 : sum_ / static_cast<float>(count_); }

  private:
    float sum_ = 0;
    std::uint32_t count_ = 0;
};

/// What engines told, over a set of candidates: what is unknown of one is taken to be as of the others.
struct ToldLoad {
    MeanOfTold running, waiting, tokens, cache_use;

    ToldLoad() = default;
    ToldLoad(std::span<const Candidate> candidates, Time now) noexcept {
        for (const auto& candidate : candidates) {
            running.add(candidate.others_running(now));
            waiting.add(candidate.others_waiting(now));
            tokens.add(candidate.others_waiting_tokens(now));
            cache_use.add(candidate.cache_use(now));
        }
    }
    bool is_known() const noexcept { return running.is_known() || waiting.is_known() || tokens.is_known(); }
};

/// How fast the pool's backends prefill together.
class PoolSpeed {
  public:
    PoolSpeed() = default;
    explicit PoolSpeed(std::span<const Candidate> candidates) noexcept {
        float tokens = 0;
        float seconds = 0;
        for (const auto& candidate : candidates) {
            tokens += candidate.prefilled_tokens();
            seconds += candidate.prefilled_seconds();
        }
        if (tokens > 0 && seconds > 0) rate_ = tokens / seconds;
    }

    /// The candidate's rate over the pool's, drawn towards 1 by a second's work, so that one that is new is
    /// taken for an average one; a quarter to four times.
    float of(const Candidate& candidate) const noexcept {
        if (rate_ <= 0) return 1;
        return std::clamp((candidate.prefilled_tokens() / rate_ + 1) / (candidate.prefilled_seconds() + 1),
                          0.25F, 4.0F);
    }

  private:
    float rate_ = 0;
};

/// What all candidates' terms have in common for one request.
struct AffinityRequest {
    float tokens = 0;  ///< of the prompt
    float block_tokens = 16;
    float mean_request = 0;  ///< uncached tokens of our requests on average
    float mean_weight = 1;   ///< of the candidates
    bool learned_speed = false;
    Time now{};
    ToldLoad told{};
    PoolSpeed speed{};

    AffinityTerms terms(const Candidate& candidate, float cached) const noexcept {
        AffinityTerms terms;
        terms.cached = std::min(cached, tokens);
        terms.uncached = tokens - terms.cached;
        // A request that just failed counts as one that waits, or a backend that fails at once looks idle.
        const auto failures = static_cast<float>(candidate.recent_failures());
        terms.waiting = static_cast<float>(candidate.waiting_tokens()) + failures * mean_request;
        terms.decoding = static_cast<float>(candidate.decoding()) + failures;
        if (told.running.is_known())
            terms.decoding += candidate.others_running(now).towards(told.running.value());
        if (told.tokens.is_known() || told.waiting.is_known()) terms.waiting += others_waiting(candidate);
        if (told.cache_use.is_known()) {
            const float use =
                std::clamp(candidate.cache_use(now).towards(told.cache_use.value()), 0.0F, 0.99F);
            terms.pressure = 1200 * use / (1 - use);
        }
        if (learned_speed) terms.speed = speed.of(candidate);
        terms.weight = 1 / (candidate.inverse_weight() * mean_weight);
        return terms;
    }

  private:
    float others_waiting(const Candidate& candidate) const noexcept {
        const ToldFigure tokens_there = candidate.others_waiting_tokens(now);
        if (tokens_there.trust > 0) return tokens_there.towards(told.tokens.value());
        const ToldFigure requests = candidate.others_waiting(now);
        if (requests.trust > 0 || !told.tokens.is_known())
            return requests.towards(told.waiting.value()) * mean_request;
        return told.tokens.value();
    }
};

/// The least of some costs, at random among those within a share of it: requests that cost the same
/// everywhere must not pile up on the first. One pass: each within the share of the least so far has the same
/// chance.
class NearLeast {
  public:
    NearLeast(float within, Rng& rng) noexcept : within_{1 + within}, rng_{rng} {}

    void offer(std::size_t index, float cost) noexcept {
        if (cost > bound_) return;
        if (cost < least_) {
            least_ = cost;
            bound_ = cost * within_;
            if (chosen_cost_ > bound_) count_ = 0;
        }
        if (count_++ != 0 && rng_.below(count_) != 0) return;
        chosen_ = index;
        chosen_cost_ = cost;
    }

    bool is_empty() const noexcept { return count_ == 0; }
    std::size_t chosen() const noexcept { return chosen_; }

  private:
    static constexpr float none = 3.0e38F;
    const float within_;
    Rng& rng_;
    float least_ = none;
    float bound_ = none;
    float chosen_cost_ = none;
    std::size_t chosen_ = 0;
    std::uint32_t count_ = 0;
};

}  // namespace fairlead::detail
