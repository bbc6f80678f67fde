// Which blocks of prompts an engine still holds: least recently used out first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <unordered_map>
#include <vector>

namespace inference {

/// A bounded set of block hashes. Hashes are chained, so that one stands for a whole leading part of a
/// prompt. Everything is O(1) a block; what it takes grows up to the capacity and no further.
///
/// Threads: one at a time.
class BlockCache {
  public:
    explicit BlockCache(std::size_t capacity) : capacity_{capacity} { places_.reserve(capacity); }

    /// How many leading blocks are held. These become the most recently used, the first of them most of all:
    /// a later block is of no use without those before it, so it has to go before them.
    std::size_t match(std::span<const std::uint64_t> blocks) {
        std::size_t held = 0;
        while (held < blocks.size() && places_.contains(blocks[held])) ++held;
        touch(blocks.first(held));
        return held;
    }

    /// Holds all of them, the first one longest.
    void insert(std::span<const std::uint64_t> blocks) {
        for (std::size_t i = blocks.size(); i-- > 0;) insert_one(blocks[i]);
    }

    /// As after a restart.
    void clear() {
        places_.clear();
        nodes_.clear();
        newest_ = oldest_ = none;
    }

    bool holds(std::uint64_t block) const { return places_.contains(block); }
    std::size_t size() const { return places_.size(); }
    std::size_t capacity() const { return capacity_; }

  private:
    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
    struct Node {
        std::uint64_t block;
        std::uint32_t newer;
        std::uint32_t older;
    };

    void touch(std::span<const std::uint64_t> held) {
        for (std::size_t i = held.size(); i-- > 0;) {
            const auto node = places_.find(held[i])->second;
            unlink(node);
            link(node);
        }
    }

    void insert_one(std::uint64_t block) {
        if (capacity_ == 0) return;
        if (const auto found = places_.find(block); found != places_.end()) {
            unlink(found->second);
            link(found->second);
            return;
        }
        std::uint32_t node = oldest_;
        if (nodes_.size() < capacity_) {
            node = static_cast<std::uint32_t>(nodes_.size());
            nodes_.push_back({block, none, none});
        } else {
            places_.erase(nodes_[node].block);
            unlink(node);
            nodes_[node].block = block;
        }
        places_.emplace(block, node);
        link(node);
    }

    void link(std::uint32_t node) {
        nodes_[node].newer = none;
        nodes_[node].older = newest_;
        if (newest_ != none) nodes_[newest_].newer = node;
        newest_ = node;
        if (oldest_ == none) oldest_ = node;
    }

    void unlink(std::uint32_t node) {
        const auto [block, newer, older] = nodes_[node];
        (newer == none ? newest_ : nodes_[newer].older) = older;
        (older == none ? oldest_ : nodes_[older].newer) = newer;
    }

    std::size_t capacity_;
    std::unordered_map<std::uint64_t, std::uint32_t> places_{};
    std::vector<Node> nodes_{};
    std::uint32_t newest_ = none;
    std::uint32_t oldest_ = none;
};

}  // namespace inference
