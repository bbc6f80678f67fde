// Which leading blocks of prompts an engine still holds: least recently used out first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mock_llm {

/// A bounded set of block hashes. Hashes are chained, so one hash stands for a whole leading part.
class PromptCache {
  public:
    /// Bytes of text to a block: 16 tokens of about 4 bytes, the block size of common engines.
    static constexpr std::size_t block_bytes = 64;

    explicit PromptCache(std::size_t capacity) : capacity_{capacity} {}

    /// How many leading blocks are held; then holds all of them, as a prefill would.
    std::size_t take(std::span<const std::uint64_t> blocks) {
        std::size_t hits = 0;
        bool unbroken = true;
        for (const auto block : blocks) {
            const auto found = places_.find(block);
            unbroken = unbroken && found != places_.end();
            if (unbroken) ++hits;
            if (found != places_.end()) {
                order_.splice(order_.begin(), order_, found->second);
            } else if (capacity_ > 0) {
                order_.push_front(block);
                places_[block] = order_.begin();
            }
        }
        while (order_.size() > capacity_) {
            places_.erase(order_.back());
            order_.pop_back();
        }
        asked_ += blocks.size();
        hits_ += hits;
        return hits;
    }

    std::size_t size() const { return order_.size(); }
    std::uint64_t asked() const { return asked_; }  ///< blocks looked up since the start
    std::uint64_t hits() const { return hits_; }    ///< of those, held

  private:
    std::size_t capacity_;
    std::list<std::uint64_t> order_{};  // most recent first
    std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> places_{};
    std::uint64_t asked_ = 0;
    std::uint64_t hits_ = 0;
};

/// FNV-1a, 64 bits (Fowler, Noll and Vo): enough for a stand-in, and the same on every machine.
inline std::uint64_t hash(std::string_view text, std::uint64_t seed = 0xcbf29ce484222325U) {
    for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return seed;
}

/// The chained hashes of the text's blocks; the last one may be short.
inline std::vector<std::uint64_t> block_hashes(std::string_view prompt) {
    std::vector<std::uint64_t> blocks;
    std::uint64_t chain = hash({});
    for (std::size_t at = 0; at < prompt.size(); at += PromptCache::block_bytes) {
        blocks.push_back(chain = hash(prompt.substr(at, PromptCache::block_bytes), chain));
    }
    return blocks;
}

}  // namespace mock_llm
