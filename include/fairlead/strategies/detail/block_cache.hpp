// What lies in the backends' prefix caches, as far as the requests sent there tell.
//
// One index for all (block_index.hpp): hash of a block -> the set of backends that hold it, so that one
// look-up answers for 64 of them (a set for each backend costs ten times as much: as many cache misses as
// there are backends). Each backend has a ring of what it holds, as long as its cache (block_ring.hpp).
//
// No lock, all relaxed: what is read is a belief. Two rules keep the two parts together whatever the order of
// threads: whoever sets a backend's bit puts the key into its ring, once; whoever takes a key out of the ring
// clears the bit. A line of the index and a unit of a ring are changed by one thread at a time, by a claim
// that nobody on the path of requests waits for: what cannot be noted at this moment is not, and what cannot
// go stays another round.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/detail/block_index.hpp>
#include <fairlead/strategies/detail/block_ring.hpp>

namespace fairlead::detail {

class BlockCache {
  public:
    /// Backends to a word of the index.
    static constexpr std::uint32_t group_size = 64;
    /// A block in the index and in one ring: a quarter of a line at a load of a third, and 8 bytes.
    static constexpr std::size_t bytes_a_block = 56;

    /// Never holds more than `memory` bytes (but for 4 KiB for each 64 backends). Address space for all of
    /// them is taken at once, pages as they are used. Throws std::bad_alloc.
    explicit BlockCache(std::size_t memory)
        : most_blocks_{(std::max(memory, spare + bytes_a_block) - spare) / bytes_a_block},
          most_lines_{static_cast<std::uint32_t>(
              std::clamp<std::size_t>(lines_for(most_blocks_), least_lines, std::size_t{1} << 31))},
          index_{most_lines_} {}
    BlockCache(const BlockCache&) = delete;
    BlockCache& operator=(const BlockCache&) = delete;

    // --- one at a time ------------------------------------------------------------------------------------

    /// `id` takes part, with a cache of `blocks`; called again, with another one. `most` is what it may have
    /// of the memory to begin with; it gets less, down to nothing, where that is used up. Throws
    /// std::bad_alloc.
    void hold(BackendId id, std::size_t blocks, std::size_t most) {
        Column& column = make_column(id);
        if (column.wanted == blocks) return;
        BlockRing* ring = column.ring.load(std::memory_order_relaxed);
        const std::size_t has = ring == nullptr ? 0 : ring->size;
        if (blocks > has) {
            // A power of two when it grows: those left behind are together no longer than the present one.
            const std::size_t wanted = has == 0 ? std::min(blocks, most) : std::bit_ceil(blocks);
            const std::size_t size =
                std::min({wanted, most_blocks_ - std::min(most_blocks_, blocks_), std::size_t{1} << 30});
            if (size > has) ring = grow(column, size);
        }
        column.wanted = blocks;
        if (ring == nullptr) return;
        const auto limit = static_cast<std::uint32_t>(std::min<std::size_t>(blocks, ring->size));
        if (limit < ring->limit.exchange(limit, std::memory_order_relaxed)) drop(*ring, limit, id, patience);
    }

    /// What `id` holds is gone, and with it the doubt: whoever stands behind it now has not failed yet.
    /// O(its blocks). Others may note at the same time.
    void forget(BackendId id) noexcept {
        Column* column = find_column(id);
        if (column == nullptr) return;
        for (const auto& ring : column->rings) drop(*ring, 0, id, patience);
        column->unreachable.store(0, std::memory_order_relaxed);
        find_group(id / group_size)->doubted.fetch_and(~bit_of(id), std::memory_order_relaxed);
    }

    /// Blocks that fit into the memory, and those that the rings have taken of them.
    std::size_t most_blocks() const noexcept { return most_blocks_; }
    std::size_t blocks() const noexcept { return blocks_; }

    /// Bytes in use, at most.
    std::size_t memory() const noexcept {
        return blocks_ * sizeof(BlockKey) + std::size_t{index_.lines()} * sizeof(BlockLine);
    }

    // --- any thread ---------------------------------------------------------------------------------------

    /// How many blocks `id` is believed to hold at most.
    std::uint32_t capacity(BackendId id) const noexcept {
        const Column* column = find_column(id);
        const BlockRing* ring = column == nullptr ? nullptr : column->ring.load(std::memory_order_acquire);
        return ring == nullptr ? 0 : ring->limit.load(std::memory_order_relaxed);
    }

    /// For each backend of `group` (ids from 64 * group) in the set `asked`: how many leading blocks of
    /// `prefix` it holds, 0 for others.
    ///
    /// Who holds a block was sent all before it, later or at the same time: so who holds every 16th block
    /// holds what is between, and each is asked for only where somebody drops out. (Where the hand, which is
    /// about least recently used and no more, took an early block first, the engine most likely has it.)
    /// O(blocks / 16 + 16 for each place where somebody drops out); ends where all have.
    void look_up(std::span<const std::uint64_t> prefix, std::uint32_t group, std::uint64_t asked,
                 std::array<std::uint32_t, group_size>& held) const noexcept {
        held.fill(0);
        const Group* shared = find_group(group);
        if (prefix.empty() || shared == nullptr || index_.lines() == 0) return;
        const BlockKeys keys{prefix, group};
        const auto index = index_.view();
        // The first block and the last of each 16.
        const std::size_t size = prefix.size();
        const auto sample = [size](std::size_t n) { return n == 0 ? 0 : std::min(stride * n, size) - 1; };
        const std::size_t samples = (size + stride - 1) / stride + (size > 1 ? 1 : 0);
        for (std::size_t n = 0; n < std::min(samples, ahead); ++n) index.prefetch(keys[sample(n)]);
        std::uint64_t rest = asked & ~shared->doubted.load(std::memory_order_relaxed);
        std::size_t known = 0;  // so many blocks are held by the rest
        for (std::size_t n = 0; n < samples; ++n) {
            const std::size_t k = sample(n);
            if (n + ahead < samples) index.prefetch(keys[sample(n + ahead)]);
            const std::uint64_t holders = index.find(keys[k], 0).holders();
            if (const std::uint64_t out = rest & ~holders; out != 0)
                drop_out(keys, index, known, k, out, held);
            rest &= holders;
            if (rest == 0) return;
            known = k + 1;
        }
        set_all(held, rest, size);
    }

    /// A request failed there, which may have computed nothing: what `id` holds is doubted, and nothing
    /// noted, until it answers. `no_connection`: that failed; two of those in a row are a restart.
    void failed(BackendId id, bool no_connection) noexcept {
        Column* column = find_column(id);
        if (column == nullptr) return;
        find_group(id / group_size)->doubted.fetch_or(bit_of(id), std::memory_order_relaxed);
        if (no_connection) column->unreachable.fetch_add(1, std::memory_order_relaxed);
    }

    /// `id` answered. What it held before a restart is gone.
    void answered(BackendId id) noexcept {
        Column* column = find_column(id);
        if (column == nullptr || !is_doubted(id)) return;
        BlockRing* ring = column->ring.load(std::memory_order_acquire);
        // Here only the present ring: those left behind are the writers'.
        if (column->unreachable.exchange(0, std::memory_order_relaxed) >= 2 && ring != nullptr)
            drop(*ring, 0, id, 0);
        find_group(id / group_size)->doubted.fetch_and(~bit_of(id), std::memory_order_relaxed);
    }

    /// From now on `id` holds `prefix`, as much of its beginning as fits. How many leading blocks it held.
    std::uint32_t note(BackendId id, std::span<const std::uint64_t> prefix) noexcept {
        Column* column = find_column(id);
        // Acquire pairs with the release in `grow`.
        BlockRing* ring = column == nullptr ? nullptr : column->ring.load(std::memory_order_acquire);
        const std::uint32_t limit = ring == nullptr ? 0 : ring->limit.load(std::memory_order_relaxed);
        if (limit == 0 || is_doubted(id)) return 0;
        const std::size_t size = std::min<std::size_t>(prefix.size(), limit);
        const std::uint64_t bit = bit_of(id);
        const BlockKeys keys{prefix, id / group_size};
        const auto index = index_.view();
        std::size_t held = 0;
        for (std::size_t k = 0; k < std::min(size, 2 * near); k += in_a_row) index.prefetch(keys[k]);
        for (bool is_whole = true; is_whole && held < size;) {
            if (held + 2 * near < size) index.prefetch(keys.home(held + 2 * near));
            if (held + near < size) index.prefetch_beside(keys.home(held + near));
            const std::size_t end = std::min(held + in_a_row, size);
            if (end == held + in_a_row) {
                if (BlockLine* line = index.find_row(keys.row(held), bit)) {
                    line->use(BlockLine::everywhere(user_of(id)));
                    held = end;
                    continue;
                }
            }
            for (; is_whole && held < end; held += is_whole ? 1 : 0) {
                const auto place = index.find(keys[held], bit);
                is_whole = static_cast<bool>(place);
                if (is_whole) place.line->use(place.at, user_of(id));
            }
        }
        if (held < size) note_new(*column, *ring, limit, id, keys, index, held, size);
        return static_cast<std::uint32_t>(held);
    }

  private:
    static constexpr std::size_t in_a_row = BlockKeys::in_a_row;
    static constexpr std::size_t ahead = 16;   // misses under way at once: what a core can have
    static constexpr std::size_t near = 32;    // blocks, 8 rows: half of the way on which their lines come
    static constexpr std::size_t stride = 16;  // of 256 blocks, 16 samples and 16 between two of them
    static constexpr std::uint32_t least_lines = 1024;                                // 64 KiB
    static constexpr std::size_t spare = BlockIndex::lines_unit * sizeof(BlockLine);  // what rounding adds
    static constexpr int patience = 10'000;  // times that a change of the fleet lets others run

    struct Column {
        std::atomic<BlockRing*> ring{nullptr};
        std::atomic<std::uint32_t> hand{0};
        std::atomic<std::uint32_t> unreachable{0};  // connections that failed, in a row
        std::size_t wanted = 0;
        std::vector<std::unique_ptr<BlockRing>> rings;  // the present one last; others may still be read
    };
    struct Group {
        std::array<Column, group_size> columns{};
        std::atomic<std::uint64_t> doubted{0};
    };

    static std::uint64_t bit_of(BackendId id) noexcept { return std::uint64_t{1} << (id % group_size); }
    static std::uint64_t user_of(BackendId id) noexcept { return std::uint64_t{1} << (id % 16); }

    bool is_doubted(BackendId id) const noexcept {
        const Group* group = find_group(id / group_size);
        return group != nullptr && (group->doubted.load(std::memory_order_relaxed) & bit_of(id)) != 0;
    }

    static void set_all(std::array<std::uint32_t, group_size>& held, std::uint64_t whose,
                        std::size_t blocks) noexcept {
        for (; whose != 0; whose &= whose - 1)
            held[static_cast<std::size_t>(std::countr_zero(whose))] = static_cast<std::uint32_t>(blocks);
    }

    /// All of `out` hold the blocks before `from`, and not block `to`: where each drops out.
    static void drop_out(const BlockKeys& keys, const BlockIndex::View& index, std::size_t from,
                         std::size_t to, std::uint64_t out,
                         std::array<std::uint32_t, group_size>& held) noexcept {
        for (std::size_t k = from; k < to; k += in_a_row - k % in_a_row) index.prefetch(keys.home(k));
        for (std::size_t k = from; k < to; ++k) {
            const std::uint64_t holders = index.find(keys[k], 0).holders();
            set_all(held, out & ~holders, k);
            out &= holders;
            if (out == 0) return;
        }
        set_all(held, out, to);
    }

    /// The blocks [held, size) of a chain, from the end: the hand then takes the last blocks first, as
    /// engines do, and leaves a beginning.
    void note_new(Column& column, BlockRing& ring, std::uint32_t limit, BackendId id, const BlockKeys& keys,
                  const BlockIndex::View& index, std::size_t held, std::size_t size) noexcept {
        const std::uint64_t bit = bit_of(id);
        LineClaims claims;
        const auto wanted = static_cast<std::uint32_t>(size - held);
        BlockHand hand{ring, limit, column.hand, wanted, index, bit, user_of(id), claims};
        for (std::size_t k = size; k > held && k + 2 * near > size; k -= std::min(k, in_a_row))
            index.prefetch(keys[k - 1]);
        const auto add = [&](BlockKey key) {
            const auto added = index.add(key, bit, claims);
            if (added == BlockIndex::Added::is_new) return put(hand, key, index, bit, claims);
            if (added == BlockIndex::Added::not_now) return;
            if (const auto place = index.find(key, bit)) place.line->use(place.at, user_of(id));
        };
        for (std::size_t end = size; end > held;) {
            const std::size_t begin = (end - 1) / in_a_row * in_a_row;  // of the row that block end - 1 is of
            if (begin >= held + 2 * near) index.prefetch(keys.home(begin - 2 * near));
            if (begin >= held + near) index.prefetch_room(keys.home(begin - near));
            if (end == begin + in_a_row && begin >= held) {
                const BlockRow row = keys.row(begin);
                const bool is_new = index.add_row(row, bit, claims);
                for (std::size_t at = is_new && hand.put_row(row) ? 0 : in_a_row; at-- > 0;)
                    is_new ? put(hand, row[at], index, bit, claims) : add(row[at]);
                end = begin;
            } else {
                while (end > std::max(begin, held)) add(keys[--end]);
            }
        }
    }

    /// A key whose bit was set takes its place in the ring; where there is none, the bit goes. (Who changes
    /// its line at this moment is done in less than these tries take, unless its thread was stopped there.)
    static void put(BlockHand& hand, BlockKey key, const BlockIndex::View& index, std::uint64_t bit,
                    LineClaims& claims) noexcept {
        if (hand.put(key)) return;
        for (int tries = 0; tries < 1000; ++tries) {
            const auto place = index.find(key, bit);
            if (!place || index.remove(place, key, bit, claims)) return;
        }
    }

    Group* find_group(std::uint32_t group) const noexcept {
        // Acquire pairs with the release in `make_column`.
        return group < most_groups ? groups_[group].load(std::memory_order_acquire) : nullptr;
    }

    Column* find_column(BackendId id) const noexcept {
        Group* group = find_group(id / group_size);
        return group == nullptr ? nullptr : &group->columns[id % group_size];
    }

    Column& make_column(BackendId id) {
        auto& slot = groups_.at(id / group_size);
        if (slot.load(std::memory_order_relaxed) == nullptr) {
            owned_.push_back(std::make_unique<Group>());
            slot.store(owned_.back().get(), std::memory_order_release);
        }
        return slot.load(std::memory_order_relaxed)->columns[id % group_size];
    }

    BlockRing* grow(Column& column, std::size_t size) {
        auto made = std::make_unique<BlockRing>(static_cast<std::uint32_t>(size));
        BlockRing* ring = made.get();
        column.rings.push_back(std::move(made));
        blocks_ += size;
        make_room();
        BlockRing* old = column.ring.load(std::memory_order_relaxed);
        if (old != nullptr) {
            // Those before the hand are the oldest: the order stays.
            const std::uint32_t limit = old->limit.load(std::memory_order_relaxed);
            const std::uint32_t hand = column.hand.load(std::memory_order_relaxed);
            BlockRing::Claim from{*old};
            BlockRing::Claim to{*ring};
            for (std::uint32_t i = 0; i < limit; ++i) {
                const std::uint32_t at = (hand % limit + i) % limit;
                if (!claim(from, at, patience) || !to.claim(i)) continue;
                to.set(i, from.key(at));
                from.set(at, 0);
            }
            ring->was_used.store(true, std::memory_order_relaxed);
            ring->limit.store(limit, std::memory_order_relaxed);
            column.hand.store(limit, std::memory_order_relaxed);
        }
        // Release: whoever finds the ring finds it made. Who still has the old one notes there: what it notes
        // stays until `forget`.
        column.ring.store(ring, std::memory_order_release);
        return ring;
    }

    /// What a change of the fleet has to change, it waits for, so many times: longer than a thread is held
    /// up, and not for ever.
    static bool claim(BlockRing::Claim& unit, std::uint32_t at, int times) noexcept {
        while (!unit.claim(at)) {
            if (times-- == 0) return false;
            std::this_thread::yield();
        }
        return true;
    }

    /// What stands in the ring from `from` on is held no more.
    void drop(BlockRing& ring, std::uint32_t from, BackendId id, int times) noexcept {
        if (!ring.was_used.load(std::memory_order_relaxed)) return;
        const auto index = index_.view();
        LineClaims claims;
        BlockRing::Claim unit{ring};
        for (std::uint32_t at = from; at < ring.size; ++at) {
            if (ring.peek(at) == 0 || !claim(unit, at, times)) continue;
            const BlockKey key = unit.key(at);
            const auto place = key == 0 ? BlockIndex::Place{} : index.find(key, bit_of(id));
            bool is_gone = !place;
            for (int i = 0; !is_gone && i <= times; ++i) {
                is_gone = index.remove(place, key, bit_of(id), claims);
                if (!is_gone && times != 0) std::this_thread::yield();
            }
            if (is_gone) unit.set(at, 0);
        }
    }

    /// So many lines that at most a third of the places are taken: of ten rows six then stand at
    /// home and two in the line beside it.
    static constexpr std::size_t lines_for(std::size_t blocks) noexcept {
        constexpr std::size_t unit = BlockIndex::lines_unit;
        return (blocks * 3 / BlockLine::slots + unit) / unit * unit;
    }

    /// More lines mean another home for each block: the index is emptied and made again from the rings. Who
    /// looks meanwhile finds less, and what is noted meanwhile by the old count of lines is not held.
    void make_room() noexcept {
        const std::uint32_t before = index_.lines();
        if (before == most_lines_ || lines_for(blocks_) <= before) return;
        index_.reset(static_cast<std::uint32_t>(std::min<std::size_t>(
                         most_lines_,
                         std::max<std::size_t>({least_lines, std::size_t{before} * 2, lines_for(blocks_)}))),
                     patience);
        if (before == 0) return;
        const auto index = index_.view();
        LineClaims claims;
        for (BackendId id = 0; id < most_groups * group_size; ++id) {
            Column* column = find_column(id);
            if (column == nullptr) {
                id |= group_size - 1;  // none of this group
                continue;
            }
            BlockRing* ring = column->ring.load(std::memory_order_relaxed);
            if (ring == nullptr || !ring->was_used.load(std::memory_order_relaxed)) continue;
            BlockRing::Claim unit{*ring};
            for (std::uint32_t i = 0; i < ring->size; ++i) {
                if (ring->peek(i) == 0 || !claim(unit, i, patience)) continue;
                if (const BlockKey key = unit.key(i); key != 0)
                    static_cast<void>(index.add(key, bit_of(id), claims));  // else it is held no more
            }
        }
    }

    static constexpr std::size_t most_groups = 1024;  // 65,536 backends: all that a balancer can have

    const std::size_t most_blocks_;
    const std::uint32_t most_lines_;
    BlockIndex index_;
    std::size_t blocks_ = 0;  // of all rings together, those left behind too
    std::array<std::atomic<Group*>, most_groups> groups_{};
    std::vector<std::unique_ptr<Group>> owned_;
};

}  // namespace fairlead::detail
