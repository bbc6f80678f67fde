// Hash of a block -> the set of backends that hold it: one table for 64 backends to a word, any number of
// words.
//
// A look-up of hundreds of blocks is hundreds of cache misses, if each block stands at a random place. But
// blocks come in chains, and all who ask for one come along the same chain: so four blocks in a row, from a
// multiple of four on, share a home, the line that the first of them names, and each has its place in it.
// Where that is taken (others live there too, or chains part within the four) a block has the same place in
// the line beside it, then in one of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

#include <fairlead/model/rng.hpp>
#include <fairlead/strategies/detail/block_line.hpp>
#include <fairlead/strategies/detail/zeroed_memory.hpp>

namespace fairlead::detail {

/// A block's name in the index: above, what names its home; below, its tag. Never 0, nor any small number.
using BlockKey = std::uint64_t;

/// Four blocks in a row, from a multiple of four on.
struct BlockRow {
    BlockKey home = 0;  ///< what their keys have in common
    std::uint64_t tags[2] = {0, 0};

    BlockKey operator[](std::size_t at) const noexcept {
        return home | static_cast<std::uint32_t>(tags[at / 2] >> (32 * (at % 2)));
    }
};

/// The keys of a chain of blocks for one group of backends.
class BlockKeys {
  public:
    static constexpr std::size_t in_a_row = BlockLine::slots;

    BlockKeys(std::span<const std::uint64_t> chain, std::uint32_t group) noexcept
        : chain_{chain.data()}, group_{std::uint64_t{group} * odd} {}

    BlockKey operator[](std::size_t k) const noexcept { return home(k) | tag(k); }

    /// The row that begins with block k, a multiple of four.
    BlockRow row(std::size_t k) const noexcept {
        return {home(k), {tag(k) | tag(k + 1) << 32, tag(k + 2) | tag(k + 3) << 32}};
    }

    /// What the keys of all blocks in a row have in common. The caller's hashes may be poor ones: here all
    /// bits are mixed, in the tags each moves those above it.
    BlockKey home(std::size_t k) const noexcept {
        return Rng::mix(chain_[k - k % in_a_row] + group_) & ~std::uint64_t{0xffffffff};
    }

  private:
    static constexpr std::uint64_t odd = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio

    /// 29 bits of the hash, one that is always set, and the place in a line.
    std::uint64_t tag(std::size_t k) const noexcept {
        return ((chain_[k] * odd) >> 32 & ~std::uint64_t{7}) | 4 | (k % in_a_row);
    }

    const std::uint64_t* chain_;
    std::uint64_t group_;
};

/// Address space for all lines is taken at once, pages as they are used. A block is found in all the lines on
/// its way from home as long as these count some that had to pass: nearly always in the first.
class BlockIndex {
  public:
    /// Where a block stands.
    struct Place {
        BlockLine* line = nullptr;
        std::uint32_t at = 0;
        explicit operator bool() const noexcept { return line != nullptr; }
        std::uint64_t holders() const noexcept {
            return line == nullptr ? 0 : relaxed::load(line->holders[at]);
        }
    };
    enum class Added : std::uint8_t { is_new, was_there, not_now };

    /// Lines are taken by so many.
    static constexpr std::uint32_t lines_unit = 4;

    /// Of at most so many lines, a multiple of 4. Throws std::bad_alloc.
    explicit BlockIndex(std::size_t most_lines)
        : storage_{most_lines * sizeof(BlockLine)}, all_{static_cast<BlockLine*>(storage_.begin())} {}

    /// The index with so many lines of all in use: a call stands on one number.
    class View {
      public:
        View(BlockLine* all, const std::atomic<std::uint32_t>& lines) noexcept
            : all_{all}, in_use_{lines}, lines_{lines.load(std::memory_order_relaxed)} {}

        // All that only prefetches is always inlined: g++ takes a function that does nothing else for one
        // without effect, and leaves its calls out (g++ 12 at -O2 did, which took half as long again).

        /// Its home on the way to this core.
        [[gnu::always_inline]] void prefetch(BlockKey key) const noexcept { fetch(home(key)); }
        /// Some time later: the two lines beside it, where some had to go there, or where a new one will have
        /// to. Without a branch: one that waits for the line would hold up all that follows.
        [[gnu::always_inline]] void prefetch_beside(BlockKey key) const noexcept {
            const std::uint32_t at = home(key);
            fetch_beside(at, relaxed::load(all_[at].passed));
        }
        [[gnu::always_inline]] void prefetch_room(BlockKey key) const noexcept {
            const std::uint32_t at = home(key);
            fetch_beside(at, relaxed::load(all_[at].holders[0]) | relaxed::load(all_[at].passed));
        }

        /// Where the block stands with all of `bits` among its holders.
        Place find(BlockKey key, std::uint64_t bits) const noexcept {
            BlockLine& line = all_[home(key)];
            if (line.holds(place_of(key), tag_of(key), bits)) return {&line, place_of(key)};
            return relaxed::load(line.passed) == 0 ? Place{} : find_further(key, bits);
        }

        /// `bit` is one of the holders from now on. `not_now`: no room, or another changes that line.
        Added add(BlockKey key, std::uint64_t bit, LineClaims& claims) const noexcept {
            if (const Place place = find(key, 0)) {
                const std::uint64_t set = place.holders();
                if ((set & bit) != 0) return Added::was_there;
                if (!claim(*place.line, claims)) return Added::not_now;
                if (!place.line->holds(place.at, tag_of(key), 0)) return Added::not_now;  // it just went
                if ((place.holders() & bit) != 0) return Added::was_there;  // another was a moment faster
                relaxed::store(place.line->holders[place.at], place.holders() | bit);
                return Added::is_new;
            }
            const std::uint32_t at = place_of(key);
            BlockLine& line = all_[home(key)];
            if (relaxed::load(line.holders[at]) != 0) return add_further(key, bit, claims);
            return put(line, key, bit, claims) ? Added::is_new : Added::not_now;
        }

        /// `bit` is no more a holder. False: another changes that line.
        bool remove(const Place& place, BlockKey key, std::uint64_t bit, LineClaims& claims) const noexcept {
            BlockLine& line = *place.line;
            if (!claims.claim(line, LineClaims::going)) return false;
            if (!line.holds(place.at, tag_of(key), bit)) return true;
            const std::uint64_t left = place.holders() & ~bit;
            relaxed::store(line.holders[place.at], left);
            if (left == 0) {
                for (std::uint32_t n = 0; n < most_probes && all_ + nth(key, n) != &line; ++n)
                    count_down(all_[nth(key, n)], 1);
            }
            return true;
        }

        // The same for a row where its blocks stand together, or are to: in the home or a line beside it.

        /// Where all four stand with `bit` among the holders of each, or nullptr.
        BlockLine* find_row(const BlockRow& row, std::uint64_t bit) const noexcept {
            for (std::uint32_t n = 0; n < row_probes; ++n) {
                BlockLine& line = all_[nth(row.home, n)];
                if (line.is_row(row.tags) && (line.held_by_all() & bit) != 0) return &line;
                if (relaxed::load(line.passed) == 0) break;
            }
            return nullptr;
        }

        /// True: all four are new, and held. False: nothing was done, each is to be added by itself.
        bool add_row(const BlockRow& row, std::uint64_t bit, LineClaims& claims) const noexcept {
            std::uint32_t empty = row_probes;
            std::uint32_t n = 0;
            for (;; ++n) {
                if (n == row_probes) return false;  // some may stand further on
                BlockLine& line = all_[nth(row.home, n)];
                if (line.held_by_any() == 0) {
                    empty = std::min(empty, n);
                } else if (line.has_any_of(row.tags)) {
                    return line.is_row(row.tags) && join_row(line, row, bit, claims);
                }
                if (relaxed::load(line.passed) == 0) break;
            }
            while (empty == row_probes && ++n < row_probes) {
                if (all_[nth(row.home, n)].held_by_any() == 0) empty = n;
            }
            if (empty == row_probes || !put_row(all_[nth(row.home, empty)], row, bit, claims)) return false;
            for (n = 0; n < empty; ++n) count(all_[nth(row.home, n)], BlockLine::slots);
            return true;
        }

        /// `bit` is no more a holder of any of the four, which `line` holds. False: nothing was done.
        bool remove_row(BlockLine& line, const BlockRow& row, std::uint64_t bit,
                        LineClaims& claims) const noexcept {
            if (!claims.claim(line, LineClaims::going)) return false;
            if (!line.is_row(row.tags) || (line.held_by_all() & bit) == 0) return false;
            std::uint32_t gone = 0;
            for (std::uint64_t& holders : line.holders) {
                const std::uint64_t left = relaxed::load(holders) & ~bit;
                relaxed::store(holders, left);
                gone += left == 0 ? 1U : 0U;
            }
            if (gone == 0) return true;
            for (std::uint32_t n = 0; n < row_probes && &all_[nth(row.home, n)] != &line; ++n)
                count_down(all_[nth(row.home, n)], gone);
            return true;
        }

      private:
        static constexpr std::uint32_t beside = lines_unit;  // from a multiple of it on
        static constexpr std::uint32_t row_probes = 2 * beside;
        static constexpr std::uint32_t most_probes = 32;  // lines: at a load of a third none goes as far

        static std::uint32_t tag_of(BlockKey key) noexcept { return static_cast<std::uint32_t>(key); }
        static std::uint32_t place_of(BlockKey key) noexcept {
            return static_cast<std::uint32_t>(key % BlockLine::slots);
        }

        std::uint32_t of(std::uint64_t hash) const noexcept {
            return static_cast<std::uint32_t>(((hash >> 32) * lines_) >> 32);
        }
        std::uint32_t home(BlockKey key) const noexcept { return of(key); }

        /// Four lines from home on, and four that the home names too, for rows; then, for a block that found
        /// no place there, such as one of hundreds that part from the same row, its own and those after it.
        std::uint32_t nth(BlockKey key, std::uint32_t n) const noexcept {
            if (n < beside) return home(key) ^ n;
            if (n < row_probes) return of(Rng::mix(key >> 32)) ^ (n % beside);
            const std::uint64_t at = std::uint64_t{of(Rng::mix(key))} + n / beside * beside - row_probes;
            return static_cast<std::uint32_t>(at < lines_ ? at : at - lines_) ^ (n % beside);
        }

        [[gnu::noinline]] Place find_further(BlockKey key, std::uint64_t bits) const noexcept {
            for (std::uint32_t n = 1; n < most_probes; ++n) {
                BlockLine& line = all_[nth(key, n)];
                if (line.holds(place_of(key), tag_of(key), bits)) return {&line, place_of(key)};
                if (relaxed::load(line.passed) == 0) break;
            }
            return {};
        }

        [[gnu::noinline]] Added add_further(BlockKey key, std::uint64_t bit,
                                            LineClaims& claims) const noexcept {
            for (std::uint32_t n = 1; n < most_probes; ++n) {
                BlockLine& line = all_[nth(key, n)];
                if (relaxed::load(line.holders[place_of(key)]) != 0) continue;
                if (!put(line, key, bit, claims)) return Added::not_now;
                for (std::uint32_t before = 0; before < n; ++before) count(all_[nth(key, before)], 1);
                return Added::is_new;
            }
            return Added::not_now;
        }

        /// To add to it. Whoever claims a line after `reset` emptied it knows by this claim that another
        /// number of lines is in use: nothing is added where nobody would find it to take it out again.
        bool claim(BlockLine& line, LineClaims& claims) const noexcept {
            return claims.claim(line, LineClaims::coming) &&
                   in_use_.load(std::memory_order_relaxed) == lines_;
        }

        bool put(BlockLine& line, BlockKey key, std::uint64_t bit, LineClaims& claims) const noexcept {
            const std::uint32_t at = place_of(key);
            if (!claim(line, claims) || relaxed::load(line.holders[at]) != 0) return false;
            line.set_tag(at, tag_of(key));
            line.unuse(at, 0xffff);
            relaxed::store(line.holders[at], bit);
            return true;
        }
        bool put_row(BlockLine& line, const BlockRow& row, std::uint64_t bit,
                     LineClaims& claims) const noexcept {
            if (!claim(line, claims) || line.held_by_any() != 0) return false;
            relaxed::store(line.tags[0], row.tags[0]);
            relaxed::store(line.tags[1], row.tags[1]);
            relaxed::store(line.users, std::uint64_t{0});
            for (std::uint64_t& holders : line.holders) relaxed::store(holders, bit);
            return true;
        }
        bool join_row(BlockLine& line, const BlockRow& row, std::uint64_t bit,
                      LineClaims& claims) const noexcept {
            if (!claim(line, claims) || !line.is_row(row.tags)) return false;
            for (const std::uint64_t& holders : line.holders) {
                const std::uint64_t set = relaxed::load(holders);
                if (set == 0 || (set & bit) != 0) return false;
            }
            for (std::uint64_t& holders : line.holders) relaxed::store(holders, relaxed::load(holders) | bit);
            return true;
        }

        /// Lines on the way from home to where it stands count how many had to pass them. Others count there
        /// at the same time: no line is claimed for it.
        static void count(BlockLine& line, std::uint32_t more) noexcept {
            std::atomic_ref<std::uint32_t>{line.passed}.fetch_add(more, std::memory_order_relaxed);
        }
        /// Not below 0, and not once another number of lines is in use: `reset` sets the counts to 0 while
        /// those who began before it still take away. One that stays too high costs a look; one too low hides
        /// a block.
        void count_down(BlockLine& line, std::uint32_t less) const noexcept {
            if (in_use_.load(std::memory_order_relaxed) != lines_) return;
            const std::atomic_ref<std::uint32_t> passed{line.passed};
            auto present = passed.load(std::memory_order_relaxed);
            while (!passed.compare_exchange_weak(present, present - std::min(present, less),
                                                 std::memory_order_relaxed)) {
            }
        }

        /// Those beside it unless `taken` is 0; by arithmetic, since compilers make a branch of a condition.
        [[gnu::always_inline]] void fetch_beside(std::uint32_t line, std::uint64_t taken) const noexcept {
            const auto one = static_cast<std::uint32_t>((taken | (0 - taken)) >> 63);
            fetch(line ^ one);
            fetch(line ^ (2 * one));
        }
        [[gnu::always_inline]] void fetch(std::uint32_t line) const noexcept {
#if defined(__GNUC__)
            __builtin_prefetch(all_ + line);
#else
            static_cast<void>(line);
#endif
        }

        BlockLine* all_;
        const std::atomic<std::uint32_t>& in_use_;
        std::uint32_t lines_;
    };

    std::uint32_t lines() const noexcept { return lines_.load(std::memory_order_relaxed); }
    /// With no lines nothing may be asked of it.
    View view() const noexcept { return {all_, lines_}; }

    /// Empty, with so many lines in use, a multiple of 4. One at a time; who looks meanwhile finds less.
    /// Waits for each line that is just being changed, so many times at most.
    void reset(std::uint32_t lines, int patience) noexcept {
        const std::uint32_t before = lines_.exchange(lines, std::memory_order_relaxed);
        LineClaims claims;
        for (std::uint32_t i = 0; i < before; ++i) {
            while (!claims.claim(all_[i], LineClaims::going) && patience-- > 0) std::this_thread::yield();
            for (std::uint64_t& holders : all_[i].holders) relaxed::store(holders, std::uint64_t{0});
            relaxed::store(all_[i].passed, 0U);
        }
    }

  private:
    const ZeroedMemory storage_;
    BlockLine* const all_;
    std::atomic<std::uint32_t> lines_{0};
};

}  // namespace fairlead::detail
