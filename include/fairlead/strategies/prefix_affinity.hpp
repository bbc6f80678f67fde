// The one with the least work before the first token, what lies in its cache counted.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <fairlead/strategies/detail/affinity_cost.hpp>
#include <fairlead/strategies/detail/affinity_state.hpp>
#include <fairlead/strategies/explained.hpp>
#include <fairlead/strategies/learns.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// The least expected time to the first token, in tokens of work, exact over all candidates; at random among
/// those within 2 % of the least, or 5 % once an engine told what runs or waits there (all balancers then see
/// the same least):
///
///     4 uncached + (uncached + waiting + 256 decoding + pressure) / weight
///
/// *uncached*: the prompt's tokens less the longest beginning of `Criteria::prefix` that the backend is
/// believed to hold, because such a prompt went there; *waiting*: uncached tokens of the requests there that
/// have no first token; *decoding*: requests past it; *pressure*: 1,200 k / (1 - k) where the engine tells
/// the use k of its cache; *weight*: relative to the candidates' mean. Affinity is priced, never switched
/// off: a full backend's cache is worth what it saves and no more. Without `prefix` it is a least-work
/// strategy.
///
/// What engines tell (`Balancer::report_load`) adds what other balancers brought. With `Options::gateways`
/// above 1 a fifth of what nobody is known to hold is taken to lie with the owner of the conversation
/// (`Criteria::owner`), so that all gateways send a new one to the same place; two fifths where engines tell
/// their waiting tokens.
///
/// When: language models with a prefix cache (vLLM, SGLang, ...) and requests that share beginnings. When
/// not: no such cache, or no hashes to give. Cost: for 64 backends and 256 blocks about 1 us to choose, 2
/// to 12 more to note where it went; O(backends + blocks held). Memory: 56 bytes a block of all caches
/// together, at most `Options::prefix_memory`; a backend that finds it used up is chosen by load alone.
struct PrefixAffinity {
    static constexpr std::string_view name = "prefix_affinity";

    // 0, or false: as `Options::prefix_...` say.
    std::uint32_t block_tokens = 0;  ///< tokens to a hash of `Criteria::prefix`
    std::size_t cache_blocks = 0;    ///< of a backend that does not say
    std::size_t memory = 0;          ///< bytes of all that is remembered, at most
    bool learned_speed = false;      ///< multiply the weight by the speed of prefill seen

    using State = detail::AffinityState;
    using Terms = detail::AffinityTerms;
    using Table = detail::AffinityTable;

    Table build(std::span<const Candidate> candidates) const { return Table{candidates}; }

    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        const detail::AffinityRequest request = request_of(table, candidates, pick.criteria, pick.now);
        // Where load is known of others too, all gateways see the same least: more of them share it.
        detail::NearLeast least{request.told.is_known() ? 0.05F : 0.02F, pick.rng};
        each_cost(table, candidates, pick.criteria, request, [&](std::size_t i, const auto& terms) {
            if (candidates[i].can_take() && !is_excluded(candidates[i], pick.criteria))
                least.offer(i, terms.cost());
        });
        return least.is_empty() ? candidates.size() : least.chosen();  // none can take it
    }

    /// Calls `visit(index, terms)` for every candidate, in no particular order.
    template <class Visit>
    void explain(const Table& table, std::span<const Candidate> candidates, const Criteria& criteria,
                 Time now, Visit&& visit) const {
        each_cost(table, candidates, criteria, request_of(table, candidates, criteria, now), visit);
    }

    // What it learns: see `Learns`.

    void joined(State& state, const Candidate& candidate, std::size_t members) const {
        state.joined(candidate, members, cache_blocks, memory);
    }
    void told(State& state, BackendId id, const LoadReport& report) const {
        state.told(id, report, block_tokens_of(&state));
    }
    std::uint64_t picked(State& state, BackendId id, const Criteria& criteria) const noexcept {
        auto* cache = state.cache();
        const std::uint64_t held = cache == nullptr ? 0 : cache->note(id, criteria.prefix);
        const std::uint32_t block = block_tokens_of(&state);
        const std::uint64_t tokens = tokens_of(criteria, block);
        const std::uint64_t uncached = tokens - std::min(tokens - 1, held * block);
        state.note_request(static_cast<float>(uncached));
        return uncached;
    }
    void first_byte(State& state, BackendId id) const noexcept { state.answered(id); }
    void finished(State& state, BackendId id, const Outcome& outcome) const noexcept {
        state.finished(id, outcome);
    }

  private:
    /// At least one: where nothing is known of prompts, requests are counted.
    static std::uint64_t tokens_of(const Criteria& criteria, std::uint32_t block) noexcept {
        return std::max<std::uint64_t>(
            {criteria.tokens, criteria.tokens == 0 ? criteria.prefix.size() * block : 0, 1});
    }

    std::uint32_t block_tokens_of(const State* state) const noexcept {
        if (block_tokens != 0) return block_tokens;
        return state == nullptr ? usual_block_tokens : state->block_tokens();
    }

    static bool is_excluded(const Candidate& candidate, const Criteria& criteria) noexcept {
        return !criteria.exclude.empty() && std::find(criteria.exclude.begin(), criteria.exclude.end(),
                                                      candidate.name()) != criteria.exclude.end();
    }

    detail::AffinityRequest request_of(const Table& table, std::span<const Candidate> candidates,
                                       const Criteria& criteria, Time now) const noexcept {
        detail::AffinityRequest request;
        const State* state = table.state();
        request.block_tokens = static_cast<float>(block_tokens_of(state));
        request.tokens = static_cast<float>(tokens_of(criteria, block_tokens_of(state)));
        request.now = now;
        request.mean_weight = table.mean_weight();
        request.learned_speed = learned_speed || (state != nullptr && state->learned_speed());
        if (request.learned_speed) request.speed = detail::PoolSpeed{candidates};
        if (state != nullptr) {
            request.mean_request = std::max(1.0F, state->mean_request());
            if (state->was_told()) request.told = detail::ToldLoad{candidates, now};
        }
        return request;
    }

    /// Looks up each group of 64 and visits its candidates with their terms.
    template <class Visit>
    void each_cost(const Table& table, std::span<const Candidate> candidates, const Criteria& criteria,
                   const detail::AffinityRequest& request, Visit&& visit) const noexcept {
        std::size_t owner = candidates.size();
        float owners_share = 0;
        if (criteria.owner != 0 && table.state() != nullptr && table.state()->gateways() > 1) {
            owner = table.owner(criteria.owner, candidates);
            std::uint32_t most = 0;
            each_held(table, criteria, [&](std::size_t, std::uint32_t held) { most = std::max(most, held); });
            const float share = request.told.tokens.is_known() ? 0.4F : 0.2F;
            owners_share =
                share * std::max(0.0F, request.tokens - static_cast<float>(most) * request.block_tokens);
        }
        each_held(table, criteria, [&](std::size_t i, std::uint32_t held) {
            const float cached =
                static_cast<float>(held) * request.block_tokens + (i == owner ? owners_share : 0);
            visit(i, request.terms(candidates[i], cached));
        });
    }

    template <class Visit>
    static void each_held(const Table& table, const Criteria& criteria, Visit&& visit) noexcept {
        const detail::BlockCache* cache = table.state() == nullptr ? nullptr : table.state()->cache();
        for (const auto& group : table.groups()) {
            std::array<std::uint32_t, detail::BlockCache::group_size> held;
            if (cache != nullptr && !criteria.prefix.empty()) {
                cache->look_up(criteria.prefix, group.number, group.members, held);
            } else {
                held.fill(0);
            }
            for (std::uint64_t rest = group.members; rest != 0; rest &= rest - 1) {
                const auto bit = static_cast<std::size_t>(std::countr_zero(rest));
                visit(std::size_t{group.candidate[bit]}, held[bit]);
            }
        }
    }
};

static_assert(Learns<PrefixAffinity> && Explains<PrefixAffinity>);

}  // namespace fairlead
