// What one backend holds, in the order in which it came: a ring of keys, as long as the backend's cache, in
// which what is new takes the place of what the hand of the clock finds unused since it last came by (CLOCK:
// Corbato 1968), which is about least recently used and costs O(1) a block.
//
// So many keys in a row are a unit. Whoever reads or writes keys to change something claims the unit, by
// taking its first key away; nobody waits for one on the path of requests: the hand steps over it.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include <fairlead/strategies/detail/block_index.hpp>
#include <fairlead/strategies/detail/block_line.hpp>

namespace fairlead::detail {

class BlockRing {
  public:
    static constexpr std::uint32_t unit = 32;  // a claim costs a locked instruction for all of them

    /// Throws std::bad_alloc.
    explicit BlockRing(std::uint32_t n)
        : size{n}, keys_{static_cast<BlockKey*>(std::calloc(n, sizeof(BlockKey)))} {
        if (!keys_) throw std::bad_alloc{};
    }

    const std::uint32_t size;
    std::atomic<std::uint32_t> limit{0};  ///< of `size`, how many are in use
    std::atomic<bool> was_used{false};    ///< or nothing was ever put in

    /// The key at a place, 0 where there is none; or a small number, which no key is, while it is away.
    BlockKey peek(std::uint32_t at) const noexcept { return relaxed::load(keys_[at]); }

    [[gnu::always_inline]] void prefetch(std::uint32_t at) const noexcept {
#if defined(__GNUC__)
        __builtin_prefetch(keys_.get() + at);
#else
        static_cast<void>(at);
#endif
    }

    /// One unit, claimed until this goes or claims another.
    class Claim {
      public:
        explicit Claim(BlockRing& ring) noexcept : ring_{ring} {}
        Claim(const Claim&) = delete;
        Claim& operator=(const Claim&) = delete;
        ~Claim() { release(); }

        /// That of place `at`. False: another thread has it.
        bool claim(std::uint32_t at) noexcept {
            const std::uint32_t wanted = at - at % unit;
            if (is_mine_ && wanted == begin_) return true;
            release();
            // Acquire pairs with the release below: the other keys of the unit are what their last owner
            // left.
            const BlockKey first =
                std::atomic_ref<BlockKey>{ring_.keys_[wanted]}.exchange(away, std::memory_order_acquire);
            if (first == away) return false;  // it was away, and is: its owner will put one there
            is_mine_ = true;
            begin_ = wanted;
            first_ = first;
            return true;
        }

        BlockKey key(std::uint32_t at) const noexcept { return at == begin_ ? first_ : ring_.peek(at); }
        void set(std::uint32_t at, BlockKey key) noexcept {
            if (at == begin_) {
                first_ = key;
            } else {
                relaxed::store(ring_.keys_[at], key);
            }
        }

      private:
        static constexpr BlockKey away = 1;

        void release() noexcept {
            if (!is_mine_) return;
            std::atomic_ref<BlockKey>{ring_.keys_[begin_]}.store(first_, std::memory_order_release);
            is_mine_ = false;
        }

        BlockRing& ring_;
        bool is_mine_ = false;
        std::uint32_t begin_ = 0;
        BlockKey first_ = 0;
    };

  private:
    struct Free {
        void operator()(void* memory) const noexcept { std::free(memory); }
    };
    std::unique_ptr<BlockKey[], Free> keys_;
};

/// The hand's way over the ring for the new blocks of one request of one backend: so many steps as these are
/// of its own, then more, as all who note for the backend share it.
class BlockHand {
  public:
    BlockHand(BlockRing& ring, std::uint32_t limit, std::atomic<std::uint32_t>& shared, std::uint32_t wanted,
              const BlockIndex::View& index, std::uint64_t bit, std::uint64_t user,
              LineClaims& claims) noexcept
        : index_{index},
          bit_{bit},
          user_{user},
          claims_{claims},
          limit_{limit},
          shared_{shared},
          wanted_{wanted},
          ring_{ring},
          unit_{ring} {
        if (!ring.was_used.load(std::memory_order_relaxed))
            ring.was_used.store(true, std::memory_order_relaxed);
        reserve();
        constexpr std::uint32_t line = 64 / sizeof(BlockKey);
        for (std::uint32_t at = next_; at < std::min(next_ + std::min(wanted, most_ahead), limit_);
             at += line)
            ring_.prefetch(at);
        prefetch(next_, std::min(wanted, 2 * BlockRing::unit));
    }

    /// `key` takes its place in the ring, of one that was not used since the hand last came by, and that the
    /// backend holds no more. False: everything here is being changed by others.
    bool put(BlockKey key) noexcept {
        if (free_ == 0 && !make_free()) return false;
        unit_.set(begin_ + static_cast<std::uint32_t>(std::countr_zero(free_)), key);
        free_ &= free_ - 1;
        if (wanted_ > 1) --wanted_;
        return true;
    }

    /// The same for a row, from its end; where there are not four places together, each is to be put by
    /// itself.
    bool put_row(const BlockRow& row) noexcept {
        constexpr std::uint32_t all = (1U << BlockLine::slots) - 1;
        if (free_ == 0 && !make_free()) return false;
        const auto first = static_cast<std::uint32_t>(std::countr_zero(free_));
        if ((free_ >> first & all) != all) return false;
        for (std::uint32_t i = 0; i < BlockLine::slots; ++i)
            unit_.set(begin_ + first + i, row[BlockLine::slots - 1 - i]);
        free_ &= ~(all << first);
        wanted_ -= std::min(BlockLine::slots, wanted_ - 1);
        return true;
    }

  private:
    static constexpr std::uint32_t most_ahead = 512;  // keys: 4 KiB

    void reserve() noexcept {
        reserved_ = wanted_;
        next_ = shared_.fetch_add(wanted_, std::memory_order_relaxed) % limit_;
    }

    bool make_free() noexcept {
        // Each that is passed was used since: so on average no more are passed than were used.
        for (std::uint32_t passed = 0; passed <= 2 * limit_;) {
            if (reserved_ == 0) reserve();
            begin_ = next_;
            const std::uint32_t count =
                std::min({reserved_, wanted_, BlockRing::unit - begin_ % BlockRing::unit, limit_ - begin_});
            reserved_ -= count;
            next_ = begin_ + count == limit_ ? 0 : begin_ + count;
            passed += count;
            // A unit is eight lines of the index at least: those of the next are here by now.
            const std::uint32_t unit = begin_ - begin_ % BlockRing::unit;
            if (wanted_ > count) prefetch_beside(unit + BlockRing::unit, BlockRing::unit);
            if (wanted_ > count + BlockRing::unit) prefetch(unit + 2 * BlockRing::unit, BlockRing::unit);
            if (!unit_.claim(begin_)) continue;
            free_ = make_free(count, passed > limit_);
            if (free_ != 0) return true;
        }
        return false;
    }

    /// Which of the places from `begin_` on are free now; `all`: the used ones, too.
    std::uint32_t make_free(std::uint32_t count, bool all) noexcept {
        std::uint32_t freed = 0;
        for (std::uint32_t i = 0; i < count; ++i) {
            const BlockKey key = unit_.key(begin_ + i);
            if (i + BlockLine::slots <= count && key % BlockLine::slots == BlockLine::slots - 1 &&
                make_free_row(i)) {
                freed |= 15U << i;
                i += BlockLine::slots - 1;
            } else if (key == 0 || make_free(key, all)) {
                freed |= 1U << i;
            }
        }
        return freed;
    }
    bool make_free_row(std::uint32_t i) noexcept {
        const BlockKey d = unit_.key(begin_ + i), c = unit_.key(begin_ + i + 1),
                       b = unit_.key(begin_ + i + 2), a = unit_.key(begin_ + i + 3);
        constexpr BlockKey low = 0xffffffff;
        const BlockRow row{a & ~low, {(a & low) | b << 32, (c & low) | d << 32}};
        // The same home, and the places 3, 2, 1, 0 in this order: what differs is the tags alone.
        if ((((a ^ b) | (a ^ c) | (a ^ d)) & ~low) != 0 || (a & 3) != 0 || (b & 3) != 1 || (c & 3) != 2)
            return false;
        BlockLine* line = index_.find_row(row, bit_);
        if (line == nullptr || (relaxed::load(line->users) & BlockLine::everywhere(user_)) != 0) return false;
        return index_.remove_row(*line, row, bit_, claims_);
    }
    bool make_free(BlockKey key, bool all) noexcept {
        const auto place = index_.find(key, bit_);
        if (!place) return true;
        if (!all && place.line->is_used(place.at, user_)) {
            place.line->unuse(place.at, user_);
            return false;
        }
        return index_.remove(place, key, bit_, claims_);
    }

    // What stands there will be looked for: blocks in a row have one home, and those noted together are
    // mostly in rows.

    [[gnu::always_inline]] void prefetch(std::uint32_t begin, std::uint32_t count) const noexcept {
        const std::uint32_t end = std::min(begin + count, limit_);
        for (std::uint32_t at = begin; at < end; at = next_row(at, end)) index_.prefetch(ring_.peek(at));
    }
    [[gnu::always_inline]] void prefetch_beside(std::uint32_t begin, std::uint32_t count) const noexcept {
        const std::uint32_t end = std::min(begin + count, limit_);
        for (std::uint32_t at = begin; at < end; at = next_row(at, end))
            index_.prefetch_beside(ring_.peek(at));
    }
    std::uint32_t next_row(std::uint32_t at, std::uint32_t end) const noexcept {
        constexpr std::uint32_t last = BlockLine::slots - 1;
        const BlockKey key = ring_.peek(at);
        const bool is_row =
            key % BlockLine::slots == last && at + last < end && key >> 32 == ring_.peek(at + last) >> 32;
        return at + (is_row ? BlockLine::slots : 1);
    }

    const BlockIndex::View index_;
    const std::uint64_t bit_;
    const std::uint64_t user_;
    LineClaims& claims_;
    const std::uint32_t limit_;
    std::atomic<std::uint32_t>& shared_;
    std::uint32_t wanted_;
    std::uint32_t reserved_ = 0;
    std::uint32_t next_ = 0;
    std::uint32_t begin_ = 0;  // of the places looked at last
    std::uint32_t free_ = 0;   // which of these are free
    const BlockRing& ring_;
    BlockRing::Claim unit_;
};

}  // namespace fairlead::detail
