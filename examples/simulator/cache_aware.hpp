// How other routers choose by cache and load, written as strategies of one's own, to compare with.
//
// Both remember what was sent where (`fairlead::Learns`). They allocate as they do so, and keep what they
// know for one thread: good enough for a comparison, not for a gateway.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fairlead/strategies/learns.hpp>
#include <fairlead/strategies/strategy.hpp>

#include "engine/block_cache.hpp"
#include "simulator/board.hpp"

namespace simulator {

/// Cache-aware until the load is unequal, then by load alone: the router of SGLang. When the requests in
/// flight differ by more than 32 and by more than 1.1 times, the fewest in flight; else the backend that was
/// sent the longest part of this prompt, if that is over half of it; else the one that was sent least.
///
/// What was sent is remembered without bound: chained hashes make a set of them a tree.
struct ThresholdCacheAware {
    static constexpr std::string_view name = "threshold_cache_aware";

    using Tree = std::unordered_set<std::uint64_t>;
    struct State {
        std::vector<Tree> trees{};  // by backend's number

        Tree& tree_of(fairlead::BackendId id) {
            if (trees.size() <= id) trees.resize(id + 1);
            return trees[id];
        }
        void left(fairlead::BackendId) noexcept {}  // it keeps what it sent there
    };
    struct Table {
        State* state = nullptr;
        void learn_from(State& learned) noexcept { state = &learned; }
    };
    Table build(std::span<const fairlead::Candidate>) const { return {}; }

    std::size_t pick(const Table& table, std::span<const fairlead::Candidate> candidates,
                     fairlead::Pick& pick) const noexcept {
        return choose(*table.state, candidates, pick.criteria.prefix);
    }

    void picked(State& state, fairlead::BackendId id, const fairlead::Criteria& criteria) const noexcept {
        state.tree_of(id).insert(criteria.prefix.begin(), criteria.prefix.end());
    }
    void first_byte(State&, fairlead::BackendId) const noexcept {}
    void finished(State&, fairlead::BackendId, const fairlead::Outcome&) const noexcept {}

  private:
    static std::size_t choose(State& state, std::span<const fairlead::Candidate> candidates,
                              std::span<const std::uint64_t> prompt) {
        const auto can_take = [&](std::size_t i) { return candidates[i].can_take(); };
        const auto least_by = [&](auto&& value) {
            std::size_t least = candidates.size();
            for (std::size_t i = 0; i < candidates.size(); ++i) {
                if (can_take(i) && (least == candidates.size() || value(i) < value(least))) least = i;
            }
            return least == candidates.size() ? 0 : least;
        };
        const auto in_flight = [&](std::size_t i) { return candidates[i].in_flight(); };
        std::uint32_t most = 0;
        std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (!can_take(i)) continue;
            most = std::max(most, in_flight(i));
            least = std::min(least, in_flight(i));
        }
        if (most > least && most - least > 32 && most > 1.1 * least) return least_by(in_flight);
        const auto matched = [&](std::size_t i) {
            const Tree& tree = state.tree_of(candidates[i].id());
            std::size_t count = 0;
            while (count < prompt.size() && tree.contains(prompt[count])) ++count;
            return count;
        };
        std::size_t best = 0;
        std::size_t best_match = 0;
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (!can_take(i)) continue;
            if (const std::size_t its = matched(i); its > best_match) {
                best = i;
                best_match = its;
            }
        }
        if (2 * best_match > prompt.size()) return best;
        return least_by([&](std::size_t i) { return state.tree_of(candidates[i].id()).size(); });
    }
};
static_assert(fairlead::Learns<ThresholdCacheAware>);

/// Weighted sum of scores from 0 to 1: the scheduler of the Kubernetes gateway API's inference extension,
/// with llm-d's weights. Share of the prompt that the backend was sent before (3), how short its queue is
/// among all (2), how much of its cache is free (2); the last two from the engines' metrics.
///
/// What was sent is remembered as a cache of the believed size would.
class WeightedScorers {
  public:
    static constexpr std::string_view name = "weighted_scorers";

    WeightedScorers(std::shared_ptr<Board> board, std::size_t believed_blocks)
        : board_{std::move(board)}, believed_blocks_{believed_blocks} {}

    struct State {
        std::vector<inference::BlockCache> caches{};  // by backend's number

        void left(fairlead::BackendId) noexcept {}
    };
    struct Table {
        const State* state = nullptr;
        void learn_from(State& learned) noexcept { state = &learned; }
    };
    Table build(std::span<const fairlead::Candidate>) const { return {}; }

    std::size_t pick(const Table& table, std::span<const fairlead::Candidate> candidates,
                     fairlead::Pick& pick) const noexcept {
        const auto& metrics = board_->read();
        const auto waiting = [&](std::size_t i) { return metrics[candidates[i].id()].waiting; };
        std::uint32_t most = 0;
        std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (candidates[i].id() >= metrics.size()) return 0;
            most = std::max(most, waiting(i));
            least = std::min(least, waiting(i));
        }
        std::size_t best = 0;
        double best_score = -1;
        std::uint32_t ties = 0;
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (!candidates[i].can_take()) continue;
            const double queue = most == least ? 1.0 : double(most - waiting(i)) / double(most - least);
            const double free = 1 - metrics[candidates[i].id()].used;
            const double score =
                3 * matched(*table.state, candidates[i].id(), pick.criteria.prefix) + 2 * queue + 2 * free;
            if (score > best_score) {
                best = i;
                best_score = score;
                ties = 1;
            } else if (score == best_score && pick.rng.below(++ties) == 0) {
                best = i;
            }
        }
        return best;
    }

    void picked(State& state, fairlead::BackendId id, const fairlead::Criteria& criteria) const noexcept {
        while (state.caches.size() <= id) state.caches.emplace_back(believed_blocks_);
        state.caches[id].insert(criteria.prefix);
    }
    void first_byte(State&, fairlead::BackendId) const noexcept {}
    void finished(State&, fairlead::BackendId, const fairlead::Outcome&) const noexcept {}

  private:
    static double matched(const State& state, fairlead::BackendId id, std::span<const std::uint64_t> prompt) {
        if (prompt.empty() || id >= state.caches.size()) return 0;
        std::size_t count = 0;
        while (count < prompt.size() && state.caches[id].holds(prompt[count])) ++count;
        return static_cast<double>(count) / static_cast<double>(prompt.size());
    }

    std::shared_ptr<Board> board_;
    std::size_t believed_blocks_;
};
static_assert(fairlead::Learns<WeightedScorers>);

}  // namespace simulator
