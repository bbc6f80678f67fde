// What `prefix_affinity` learns, and how its table finds a backend's candidate.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include <fairlead/model/load_report.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/detail/block_cache.hpp>
#include <fairlead/strategies/detail/stable_hash.hpp>

namespace fairlead::detail {

/// The beliefs of one balancer about its backends' caches. Made empty: the memory is taken when the first
/// backend takes part. Threads: as `Learns` says.
class AffinityState {
  public:
    explicit AffinityState(const Options& options) noexcept { set_options(options); }

    /// Any time. Relaxed: a choice between two of them is one of a moment ago.
    void set_options(const Options& options) noexcept {
        gateways_.store(options.gateways, std::memory_order_relaxed);
        block_tokens_.store(block_tokens_of(options), std::memory_order_relaxed);
        learned_speed_.store(options.prefix_learned_speed, std::memory_order_relaxed);
        cache_blocks_.store(options.prefix_cache_blocks, std::memory_order_relaxed);
        memory_.store(options.prefix_memory, std::memory_order_relaxed);
    }

    std::uint32_t gateways() const noexcept { return gateways_.load(std::memory_order_relaxed); }
    std::uint32_t block_tokens() const noexcept { return block_tokens_.load(std::memory_order_relaxed); }
    bool learned_speed() const noexcept { return learned_speed_.load(std::memory_order_relaxed); }

    /// nullptr before the first backend.
    BlockCache* cache() const noexcept { return cache_.load(std::memory_order_acquire); }

    /// Uncached prompt tokens of a request on average, the last 64 counting most. Relaxed: a lost update
    /// costs one request's part in it.
    float mean_request() const noexcept { return mean_request_.load(std::memory_order_relaxed); }
    void note_request(float uncached) noexcept {
        const float mean = mean_request();
        const float now = mean == 0 ? uncached : mean + (uncached - mean) / 64;
        if (now != mean) mean_request_.store(now, std::memory_order_relaxed);
    }

    bool was_told() const noexcept { return was_told_.load(std::memory_order_relaxed); }

    /// `candidate` takes part with `blocks`, unless it is configured or was told otherwise. `members` share
    /// `memory`. 0: as the options say. Where memory is not to be had nothing is believed: backends are then
    /// chosen by their load alone.
    void joined(const Candidate& candidate, std::size_t members, std::size_t blocks, std::size_t memory) {
        try {
            hold(candidate, members, blocks, memory);
        } catch (const std::bad_alloc&) {
        }
    }

    /// Blocks of `block_tokens`, where the engine says how many it has and how long they are.
    void told(BackendId id, const LoadReport& report, std::uint32_t block_tokens) {
        was_told_.store(true, std::memory_order_relaxed);
        if (!report.cache_blocks || *report.cache_blocks == 0) return;
        const double tokens = static_cast<double>(*report.cache_blocks) *
                              static_cast<double>(report.block_tokens.value_or(block_tokens));
        Known& known = known_of(id);
        known.told = static_cast<std::size_t>(std::clamp(tokens / std::max(1U, block_tokens), 1.0, 1e9));
        if (owned_ && known.configured == 0) owned_->hold(id, known.told, known.told);
    }

    void left(BackendId id) noexcept {
        if (id < known_.size()) known_[id].told = 0;  // the config's word stands, until another `joined`
        if (owned_) owned_->forget(id);
    }

    /// An answer came, or the request ended without one.
    void answered(BackendId id) noexcept {
        if (BlockCache* beliefs = cache()) beliefs->answered(id);
    }
    void finished(BackendId id, const Outcome& outcome) noexcept {
        BlockCache* beliefs = cache();
        if (beliefs == nullptr) return;
        switch (outcome.kind) {
            case Outcome::success:
            case Outcome::client_error:
                return beliefs->answered(id);
            case Outcome::connect_error:
            case Outcome::timeout:
            case Outcome::server_error:
                return beliefs->failed(id, outcome.kind == Outcome::connect_error);
            case Outcome::rate_limited:
            case Outcome::cancelled:
                return;  // says nothing of what it holds
        }
    }

  private:
    void hold(const Candidate& candidate, std::size_t members, std::size_t blocks, std::size_t memory) {
        if (blocks == 0) blocks = cache_blocks_.load(std::memory_order_relaxed);
        if (!owned_) {
            if (memory == 0) memory = memory_.load(std::memory_order_relaxed);
            owned_ = std::make_unique<BlockCache>(memory);
            cache_.store(owned_.get(), std::memory_order_release);  // pairs with `cache`
        }
        Known& known = known_of(candidate.id());
        known.configured = candidate.cache_blocks();
        if (known.configured != 0) {
            blocks = known.configured;
        } else if (known.told != 0) {
            blocks = known.told;
        }
        // A fifth is kept for those that come later.
        const std::size_t share = owned_->most_blocks() * 4 / 5 / std::max<std::size_t>(members, 1);
        owned_->hold(candidate.id(), blocks, std::max<std::size_t>(share, 1));
    }

    /// Blocks of a backend's cache; 0: not said.
    struct Known {
        std::size_t configured = 0;
        std::size_t told = 0;
    };
    Known& known_of(BackendId id) {
        if (id >= known_.size()) known_.resize(id + 1);
        return known_[id];
    }

    std::atomic<std::uint32_t> gateways_{1};
    std::atomic<std::uint32_t> block_tokens_{usual_block_tokens};
    std::atomic<bool> learned_speed_{false};
    std::atomic<std::size_t> cache_blocks_{0};
    std::atomic<std::size_t> memory_{0};
    std::atomic<BlockCache*> cache_{nullptr};
    std::atomic<bool> was_told_{false};
    std::unique_ptr<BlockCache> owned_;
    std::vector<Known> known_;  // by id
    // Every request writes it: on a line of its own.
    alignas(64) std::atomic<float> mean_request_{0.0F};
};

/// Which candidate each of a group's 64 bits is.
class AffinityTable {
  public:
    struct Group {
        std::uint32_t number = 0;
        std::uint64_t members = 0;
        std::array<std::uint16_t, BlockCache::group_size> candidate{};
    };

    AffinityTable() = default;
    explicit AffinityTable(std::span<const Candidate> candidates) {
        std::vector<std::uint32_t> order(candidates.size());
        for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
        std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
            return candidates[a].id() / BlockCache::group_size < candidates[b].id() / BlockCache::group_size;
        });
        names_.reserve(candidates.size());
        std::uint64_t weights = 0;
        for (const auto& candidate : candidates) {
            names_.push_back(stable_hash(candidate.name()));
            equal_weights_ = equal_weights_ && candidate.weight() == candidates.front().weight();
            weights += candidate.weight();
        }
        if (weights > 0) mean_weight_ = static_cast<float>(weights) / static_cast<float>(candidates.size());
        for (const std::uint32_t i : order) {
            const BackendId id = candidates[i].id();
            if (groups_.empty() || groups_.back().number != id / BlockCache::group_size)
                groups_.push_back({.number = id / BlockCache::group_size});
            groups_.back().members |= std::uint64_t{1} << (id % BlockCache::group_size);
            groups_.back().candidate[id % BlockCache::group_size] = static_cast<std::uint16_t>(i);
        }
    }

    void learn_from(AffinityState& state) noexcept { state_ = &state; }
    const AffinityState* state() const noexcept { return state_; }
    std::span<const Group> groups() const noexcept { return groups_; }
    float mean_weight() const noexcept { return mean_weight_; }
    std::size_t memory() const noexcept {
        return groups_.capacity() * sizeof(Group) + names_.capacity() * sizeof(std::uint64_t);
    }

    /// Whose a conversation is that nobody knows, the same in every gateway: by weighted rendezvous hashing
    /// (Thaler and Ravishankar 1998) among those that can take it. `candidates.size()` when none can.
    std::size_t owner(std::uint64_t key, std::span<const Candidate> candidates) const noexcept {
        std::size_t best = candidates.size();
        double least = 0;
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (!candidates[i].can_take()) continue;
            const std::uint64_t hash = Rng::mix(key ^ names_[i]);
            // An exponentially distributed time of rate `weight`; without the logarithm where all are alike.
            const double uniform = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;
            const double time = equal_weights_ ? uniform : -std::log1p(-uniform) / candidates[i].weight();
            if (best != candidates.size() && time >= least) continue;
            least = time;
            best = i;
        }
        return best;
    }

  private:
    const AffinityState* state_ = nullptr;
    std::vector<Group> groups_;
    std::vector<std::uint64_t> names_;
    bool equal_weights_ = true;
    float mean_weight_ = 1;
};

}  // namespace fairlead::detail
