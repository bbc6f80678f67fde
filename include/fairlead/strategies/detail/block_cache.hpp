// What lies in the backends' prefix caches, as far as the requests sent there tell.
//
// One index for all: hash of a block -> the set of backends that hold it, 64 to a word, so that one look-up
// answers for all of them (a set for each backend costs ten times as much: as many cache misses as there are
// backends). Each backend has a ring of the hashes that it holds, as long as its cache: what is new takes the
// place of what the hand of the clock finds unused since it last came by (CLOCK: Corbato 1968), which is
// about least recently used and costs O(1) a block.
//
// No lock, all relaxed: what is read is a belief. Two rules keep the two parts together whatever the order of
// threads: whoever sets a backend's bit puts the hash into its ring, once; whoever takes a hash out of the
// ring clears the bit. A block that comes and goes at the same moment may be believed wrongly until the hand
// comes by.
//
// A line of the index is one cache line: four blocks, each with its set, a tag of 32 bits, and who used it
// since the hand came by (16 bits, which backends 16 apart share: an exact set would leave room for three
// blocks only); and how many blocks, at home here or before, had to go on to the next line. A look-up ends at
// a line that none had to pass: nearly always the first.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include <fairlead/model/rng.hpp>
#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/detail/zeroed_memory.hpp>

namespace fairlead::detail {

class BlockCache {
  public:
    /// Backends to a word of the index.
    static constexpr std::uint32_t group_size = 64;

    /// A block in the index and in one ring: a quarter of a line at a load of a half, and 8 bytes.
    static constexpr std::size_t bytes_a_block = 40;

    /// Never holds more than `memory` bytes (but for 4 KiB for each 64 backends). Address space for all of
    /// them is taken at once, pages as they are used. Throws std::bad_alloc.
    explicit BlockCache(std::size_t memory)
        : most_blocks_{std::max<std::size_t>(memory / bytes_a_block, 1)},
          most_lines_{static_cast<std::uint32_t>(
              std::clamp<std::size_t>(most_blocks_ / (slots / 2) + 1, least_lines, std::size_t{1} << 31))},
          storage_{std::size_t{most_lines_} * sizeof(Line)},
          lines_{static_cast<Line*>(storage_.begin())} {}
    BlockCache(const BlockCache&) = delete;
    BlockCache& operator=(const BlockCache&) = delete;

    // --- one at a time ------------------------------------------------------------------------------------

    /// `id` takes part, with a cache of `blocks`; called again, with another one. `most` is what it may have
    /// of the memory to begin with; it gets less, down to nothing, where that is used up. Throws
    /// std::bad_alloc.
    void hold(BackendId id, std::size_t blocks, std::size_t most) {
        Column& column = make_column(id);
        if (column.wanted == blocks) return;
        column.wanted = blocks;
        Ring* ring = column.ring.load(std::memory_order_relaxed);
        const std::size_t has = ring == nullptr ? 0 : ring->size;
        if (blocks > has) {
            // A power of two when it grows: those left behind are together no longer than the present one.
            const std::size_t wanted = has == 0 ? std::min(blocks, most) : std::bit_ceil(blocks);
            const std::size_t size =
                std::min({wanted, most_blocks_ - std::min(most_blocks_, blocks_), std::size_t{1} << 30});
            if (size > has) ring = grow(column, size);
        }
        if (ring == nullptr) return;
        const auto limit = static_cast<std::uint32_t>(std::min<std::size_t>(blocks, ring->size));
        if (limit < ring->limit.exchange(limit, std::memory_order_relaxed)) {
            for (std::uint32_t i = limit; i < ring->size; ++i) drop(*ring, i, id);
        }
    }

    /// What `id` holds is gone. O(its blocks). Others may note at the same time.
    void forget(BackendId id) noexcept {
        Column* column = find_column(id);
        if (column == nullptr) return;
        for (const auto& ring : column->rings) {
            for (std::uint32_t i = 0; i < ring->size; ++i) drop(*ring, i, id);
        }
    }

    /// Blocks that fit into the memory, and those that the rings have taken of them.
    std::size_t most_blocks() const noexcept { return most_blocks_; }
    std::size_t blocks() const noexcept { return blocks_; }

    /// Bytes in use, at most.
    std::size_t memory() const noexcept {
        return blocks_ * sizeof(std::uint64_t) +
               std::size_t{lines_in_use_.load(std::memory_order_relaxed)} * sizeof(Line);
    }

    // --- any thread ---------------------------------------------------------------------------------------

    /// How many blocks `id` is believed to hold at most.
    std::uint32_t capacity(BackendId id) const noexcept {
        const Column* column = find_column(id);
        const Ring* ring = column == nullptr ? nullptr : column->ring.load(std::memory_order_acquire);
        return ring == nullptr ? 0 : ring->limit.load(std::memory_order_relaxed);
    }

    /// For each backend of `group` (ids from 64 * group) in the set `asked`: how many leading blocks of
    /// `prefix` it holds. Ends where nobody asked holds more.
    void look_up(std::span<const std::uint64_t> prefix, std::uint32_t group, std::uint64_t asked,
                 std::array<std::uint32_t, group_size>& held) const noexcept {
        const std::uint32_t lines = lines_in_use_.load(std::memory_order_relaxed);
        const Group* shared = find_group(group);
        const std::size_t size = lines == 0 || shared == nullptr ? 0 : prefix.size();
        if (size != 0) {
            for (std::uint64_t out = asked & shared->doubted.load(std::memory_order_relaxed); out != 0;
                 out &= out - 1) {
                held[static_cast<std::size_t>(std::countr_zero(out))] = 0;
                asked &= ~(out & (~out + 1));
            }
        }
        Window keys{*this, group, lines};
        for (std::size_t k = 0; k < std::min(size, ahead); ++k) keys.fetch(k, prefix[k]);
        for (std::size_t k = 0; k < size && asked != 0; ++k) {
            const std::uint64_t hash = keys[k];
            if (k + ahead < size) keys.fetch(k + ahead, prefix[k + ahead]);
            const Place place = find(hash, lines, 0);
            const std::uint64_t holders = place ? load(place.line->holders[place.at]) : 0;
            for (std::uint64_t end = asked & ~holders; end != 0; end &= end - 1) {
                held[static_cast<std::size_t>(std::countr_zero(end))] = static_cast<std::uint32_t>(k);
            }
            asked &= holders;
        }
        for (; asked != 0; asked &= asked - 1) {
            held[static_cast<std::size_t>(std::countr_zero(asked))] = static_cast<std::uint32_t>(size);
        }
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
        Ring* ring = column->ring.load(std::memory_order_acquire);
        if (column->unreachable.exchange(0, std::memory_order_relaxed) >= 2 && ring != nullptr) {
            // Here only the present ring: those left behind are the writers'.
            for (std::uint32_t i = 0; i < ring->size; ++i) drop(*ring, i, id);
        }
        find_group(id / group_size)->doubted.fetch_and(~bit_of(id), std::memory_order_relaxed);
    }

    /// From now on `id` holds `prefix`, as much of its beginning as fits. How many leading blocks it held.
    std::uint32_t note(BackendId id, std::span<const std::uint64_t> prefix) noexcept {
        Column* column = find_column(id);
        // Acquire pairs with the release in `grow`.
        Ring* ring = column == nullptr ? nullptr : column->ring.load(std::memory_order_acquire);
        const std::uint32_t limit = ring == nullptr ? 0 : ring->limit.load(std::memory_order_relaxed);
        if (limit == 0 || is_doubted(id)) return 0;
        const std::size_t size = std::min<std::size_t>(prefix.size(), limit);
        const std::uint32_t group = id / group_size;
        const std::uint64_t bit = bit_of(id);
        const std::uint32_t lines = lines_in_use_.load(std::memory_order_relaxed);

        Window keys{*this, group, lines};
        std::size_t held = 0;
        for (std::size_t k = 0; k < std::min(size, ahead); ++k) keys.fetch(k, prefix[k]);
        for (; held < size; ++held) {
            const std::uint64_t hash = keys[held];
            if (held + ahead < size) keys.fetch(held + ahead, prefix[held + ahead]);
            const Place place = find(hash, lines, bit);
            if (!holds(place, bit)) break;
            use(place, bit);
        }
        if (held == size) return static_cast<std::uint32_t>(held);

        // From the end: the hand then takes the last blocks first, as engines do, and leaves a beginning.
        const auto wanted = static_cast<std::uint32_t>(size - held);
        Hand hand{*ring, limit, column->hand.fetch_add(wanted, std::memory_order_relaxed) % limit, wanted,
                  column->hand};
        for (std::size_t k = size; k > held && k + ahead > size; --k) keys.fetch(k - 1, prefix[k - 1]);
        for (std::size_t k = size; k-- > held;) {
            const std::uint64_t hash = keys[k];
            if (k >= held + ahead) keys.fetch(k - ahead, prefix[k - ahead]);
            if (const std::uint64_t next = hand.peek(ahead); next != 0) prefetch(next, lines);
            if (const Place place = find(hash, lines, bit)) {
                const Set set = set_bit(place, hash, bit, lines);
                if (set == Set::was_set) use(place, bit);
                if (set == Set::is_new) put(hand, hash, bit, lines);
                if (set != Set::is_another) continue;
            }
            if (!insert(hash, bit, lines)) continue;
            put(hand, hash, bit, lines);
        }
        return static_cast<std::uint32_t>(held);
    }

  private:
    static constexpr std::size_t ahead = 16;            // misses under way at once: what a core can have
    static constexpr std::uint32_t least_lines = 1024;  // 64 KiB
    static constexpr std::uint32_t most_probes = 32;    // lines: at a load of a half none goes as far
    static constexpr std::uint32_t short_ring = 4096;   // longer ones take 100 us to go round at least

    static constexpr std::size_t slots = 4;
    struct alignas(64) Line {
        std::uint64_t holders[slots];
        std::uint32_t tags[slots];
        std::uint16_t users[slots];
        std::uint32_t passed;
    };
    static_assert(sizeof(Line) == 64);

    /// Where a block stands.
    struct Place {
        Line* line = nullptr;
        std::size_t at = 0;
        explicit operator bool() const noexcept { return line != nullptr; }
    };

    struct Ring {
        explicit Ring(std::uint32_t n)
            : size{n}, hashes{static_cast<std::uint64_t*>(std::calloc(n, sizeof(std::uint64_t)))} {
            if (!hashes) throw std::bad_alloc{};
        }
        struct Free {
            void operator()(void* memory) const noexcept { std::free(memory); }
        };
        const std::uint32_t size;
        std::atomic<std::uint32_t> limit{0};  ///< of `size`, how many are in use
        std::unique_ptr<std::uint64_t[], Free> hashes;
    };

    struct Column {
        std::atomic<Ring*> ring{nullptr};
        std::atomic<std::uint32_t> hand{0};
        std::atomic<std::uint32_t> unreachable{0};  // connections that failed, in a row
        std::size_t wanted = 0;
        std::vector<std::unique_ptr<Ring>> rings;  // the present one last: those before may still be read
    };
    struct Group {
        std::array<Column, group_size> columns{};
        std::atomic<std::uint64_t> doubted{0};
    };

    /// The hand's way over the ring for one note: `reserved` steps of its own, then one by one.
    struct Hand {
        Ring& ring;
        const std::uint32_t limit;
        std::uint32_t at;
        std::uint32_t reserved;
        std::atomic<std::uint32_t>& shared;

        std::uint64_t& step() noexcept {
            if (reserved > 0) {
                --reserved;
            } else {
                at = shared.fetch_add(1, std::memory_order_relaxed) % limit;
            }
            std::uint64_t& here = ring.hashes[at];
            at = at + 1 == limit ? 0 : at + 1;
            return here;
        }
        std::uint64_t peek(std::size_t steps) const noexcept {
            const std::size_t there = at + steps;
            return there < limit ? load(ring.hashes[there]) : 0;
        }
    };

    /// The next keys of a walk over a prefix, their lines on the way to this core.
    class Window {
      public:
        Window(const BlockCache& cache, std::uint32_t group, std::uint32_t lines) noexcept
            : cache_{cache}, group_{group}, lines_{lines} {}
        void fetch(std::size_t k, std::uint64_t hash) noexcept {
            keys_[k % ahead] = key(hash, group_);
            cache_.prefetch(keys_[k % ahead], lines_);
        }
        std::uint64_t operator[](std::size_t k) const noexcept { return keys_[k % ahead]; }

      private:
        const BlockCache& cache_;
        const std::uint32_t group_;
        const std::uint32_t lines_;
        std::array<std::uint64_t, ahead> keys_;
    };

    enum class Set : std::uint8_t { was_set, is_new, is_another };

    bool is_doubted(BackendId id) const noexcept {
        const Group* group = find_group(id / group_size);
        return group != nullptr && (group->doubted.load(std::memory_order_relaxed) & bit_of(id)) != 0;
    }

    // --- words of the index: relaxed throughout ------------------------------------------------------------

    template <class Word>
    static Word load(const Word& word) noexcept {
        return std::atomic_ref<Word>{const_cast<Word&>(word)}.load(std::memory_order_relaxed);
    }
    template <class Word>
    static void store(Word& word, Word value) noexcept {
        std::atomic_ref<Word>{word}.store(value, std::memory_order_relaxed);
    }

    static std::uint64_t bit_of(BackendId id) noexcept { return std::uint64_t{1} << (id % group_size); }

    /// A group's own name of the block; the caller's hashes may be poor ones. 0 means an empty place.
    static std::uint64_t key(std::uint64_t hash, std::uint32_t group) noexcept {
        const std::uint64_t mixed = Rng::mix(hash + std::uint64_t{group} * 0x9e3779b97f4a7c15U);
        return mixed == 0 ? 1 : mixed;
    }
    static std::uint32_t tag_of(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash); }

    Line* home(std::uint64_t hash, std::uint32_t lines) const noexcept {
        return lines_ + (((hash >> 32) * lines) >> 32);
    }
    Line* next(Line* line, std::uint32_t lines) const noexcept {
        return line + 1 == lines_ + lines ? lines_ : line + 1;
    }
    void prefetch(std::uint64_t hash, std::uint32_t lines) const noexcept {
#if defined(__GNUC__)
        __builtin_prefetch(home(hash, lines));
#endif
    }

    /// Which places of the line have this tag and are taken; which are empty. Without a branch: where a block
    /// stands cannot be foretold.
    struct Look {
        std::uint32_t matches = 0;
        std::uint32_t empty = 0;
    };
    static Look look(const Line& line, std::uint32_t tag) noexcept {
        Look seen;
        for (std::uint32_t i = 0; i < slots; ++i) {
            const std::uint32_t is_empty = load(line.holders[i]) == 0 ? 1U : 0U;
            const std::uint32_t is_same = load(line.tags[i]) == tag ? 1U : 0U;
            seen.empty |= is_empty << i;
            seen.matches |= (is_same & ~is_empty) << i;
        }
        return seen;
    }

    /// Where the block stands, with `bit` among its holders where it stands twice.
    Place find(std::uint64_t hash, std::uint32_t lines, std::uint64_t bit) const noexcept {
        Place found;
        Line* line = home(hash, lines);
        for (std::uint32_t probe = 0; probe < most_probes; ++probe) {
            for (std::uint32_t same = look(*line, tag_of(hash)).matches; same != 0; same &= same - 1) {
                const Place here{line, static_cast<std::size_t>(std::countr_zero(same))};
                if (bit == 0 || holds(here, bit)) return here;
                if (!found) found = here;
            }
            if (load(line->passed) == 0) return found;
            line = next(line, lines);
        }
        return found;
    }
    static bool holds(const Place& place, std::uint64_t bit) noexcept {
        return place && (load(place.line->holders[place.at]) & bit) != 0;
    }

    /// Lines on the way from home to where it stands count how many had to pass them.
    void count_passed(std::uint64_t hash, const Line* end, std::uint32_t lines, bool came) noexcept {
        Line* line = home(hash, lines);
        for (std::uint32_t probe = 0; line != end && probe < most_probes; ++probe) {
            std::atomic_ref<std::uint32_t>{line->passed}.fetch_add(came ? 1U : ~0U,
                                                                   std::memory_order_relaxed);
            line = next(line, lines);
        }
    }

    /// Which of the 16 bits of users stands for the backend with that bit.
    static std::uint16_t user(std::uint64_t bit) noexcept {
        return static_cast<std::uint16_t>(1U << (std::countr_zero(bit) % 16));
    }
    static bool is_used(const Place& place, std::uint64_t bit) noexcept {
        return (load(place.line->users[place.at]) & user(bit)) != 0;
    }
    static void use(const Place& place, std::uint64_t bit) noexcept {
        if (is_used(place, bit)) return;
        std::atomic_ref<std::uint16_t>{place.line->users[place.at]}.fetch_or(user(bit),
                                                                             std::memory_order_relaxed);
    }
    static void unuse(const Place& place, std::uint64_t bit) noexcept {
        if (!is_used(place, bit)) return;
        std::atomic_ref<std::uint16_t>{place.line->users[place.at]}.fetch_and(
            static_cast<std::uint16_t>(~user(bit)), std::memory_order_relaxed);
    }

    Set set_bit(const Place& place, std::uint64_t hash, std::uint64_t bit, std::uint32_t lines) noexcept {
        std::uint64_t& word = place.line->holders[place.at];
        if ((load(word) & bit) != 0) return Set::was_set;
        const std::atomic_ref<std::uint64_t> holders{word};
        const std::uint64_t before = holders.fetch_or(bit, std::memory_order_relaxed);
        if ((before & bit) != 0) return Set::was_set;
        if (load(place.line->tags[place.at]) != tag_of(hash)) {  // it went, and another came
            holders.fetch_and(~bit, std::memory_order_relaxed);
            return Set::is_another;
        }
        if (before == 0) count_passed(hash, place.line, lines, true);  // it had just gone
        return Set::is_new;
    }

    /// In the first line from home that has room. False when there is none for a long way.
    bool insert(std::uint64_t hash, std::uint64_t bit, std::uint32_t lines) noexcept {
        Line* line = home(hash, lines);
        for (std::uint32_t probe = 0; probe < most_probes; ++probe) {
            for (std::uint32_t room = look(*line, 0).empty; room != 0; room &= room - 1) {
                const auto i = static_cast<std::size_t>(std::countr_zero(room));
                std::uint64_t empty = 0;
                if (!std::atomic_ref<std::uint64_t>{line->holders[i]}.compare_exchange_strong(
                        empty, bit, std::memory_order_relaxed, std::memory_order_relaxed)) {
                    continue;
                }
                store(line->tags[i], tag_of(hash));
                store(line->users[i], std::uint16_t{0});
                if (probe != 0) count_passed(hash, line, lines, true);
                return true;
            }
            line = next(line, lines);
        }
        return false;
    }

    /// The hash takes its place in the ring, of one that was not used since the hand last came by.
    void put(Hand& hand, std::uint64_t hash, std::uint64_t bit, std::uint32_t lines) noexcept {
        std::uint64_t* slot = &hand.step();
        std::uint64_t old = load(*slot);
        Place place;
        // Each that is passed was used since: so on average no more are passed than were used.
        for (std::uint32_t passed = 0; old != 0; ++passed) {
            place = find(old, lines, bit);
            if (passed == hand.limit || !place || !is_used(place, bit)) break;
            unuse(place, bit);
            slot = &hand.step();
            old = load(*slot);
        }
        // The step is this note's alone until the hand has come round: within one note it does so in a short
        // ring only, where whoever takes a hash out must be the one that gets it.
        std::uint64_t taken = old;
        if (hand.limit < short_ring) {
            taken = std::atomic_ref<std::uint64_t>{*slot}.exchange(hash, std::memory_order_relaxed);
        } else {
            store(*slot, hash);
        }
        if (taken == 0) return;
        clear_bit(taken == old ? place : find(taken, lines, bit), taken, bit, lines);
    }

    void clear_bit(const Place& place, std::uint64_t hash, std::uint64_t bit, std::uint32_t lines) noexcept {
        if (!holds(place, bit)) return;
        const std::uint64_t before = std::atomic_ref<std::uint64_t>{place.line->holders[place.at]}.fetch_and(
            ~bit, std::memory_order_relaxed);
        if (before == bit) count_passed(hash, place.line, lines, false);
    }

    // --- cold ---------------------------------------------------------------------------------------------

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

    Ring* grow(Column& column, std::size_t size) {
        auto made = std::make_unique<Ring>(static_cast<std::uint32_t>(size));
        Ring* ring = made.get();
        column.rings.push_back(std::move(made));
        blocks_ += size;
        make_room();
        Ring* old = column.ring.load(std::memory_order_relaxed);
        if (old != nullptr) {
            // Those before the hand are the oldest: the order stays.
            const std::uint32_t limit = old->limit.load(std::memory_order_relaxed);
            const std::uint32_t hand = column.hand.load(std::memory_order_relaxed);
            for (std::uint32_t i = 0; i < limit; ++i) {
                std::uint64_t& from = old->hashes[(hand % limit + i) % limit];
                ring->hashes[i] = std::atomic_ref<std::uint64_t>{from}.exchange(0, std::memory_order_relaxed);
            }
            ring->limit.store(limit, std::memory_order_relaxed);
            column.hand.store(limit, std::memory_order_relaxed);
        }
        // Release: whoever finds the ring finds it made. Who still has the old one notes there: what it notes
        // stays until `forget`.
        column.ring.store(ring, std::memory_order_release);
        return ring;
    }

    void drop(Ring& ring, std::uint32_t at, BackendId id) noexcept {
        if (load(ring.hashes[at]) == 0) return;
        const std::uint64_t old =
            std::atomic_ref<std::uint64_t>{ring.hashes[at]}.exchange(0, std::memory_order_relaxed);
        if (old == 0) return;
        const std::uint32_t lines = lines_in_use_.load(std::memory_order_relaxed);
        clear_bit(find(old, lines, bit_of(id)), old, bit_of(id), lines);
    }

    /// So many lines that at most half of the places are taken. More lines mean another home for each block:
    /// the index is emptied and made again from the rings. Who looks meanwhile finds less; what is noted
    /// meanwhile by the old count of lines may stay where nobody finds it: a few blocks each time that the
    /// fleet doubles.
    void make_room() noexcept {
        const std::uint32_t before = lines_in_use_.load(std::memory_order_relaxed);
        if (before == most_lines_ || blocks_ <= std::size_t{before} * slots / 2) return;
        const auto lines = static_cast<std::uint32_t>(std::min<std::size_t>(
            most_lines_,
            std::max<std::size_t>({least_lines, std::size_t{before} * 2, blocks_ / (slots / 2) + 1})));
        for (std::uint32_t i = 0; i < before; ++i) {
            for (std::uint64_t& holders : lines_[i].holders) store(holders, std::uint64_t{0});
            store(lines_[i].passed, 0U);
        }
        lines_in_use_.store(lines, std::memory_order_relaxed);
        if (before == 0) return;
        for (BackendId id = 0; id < most_groups * group_size; ++id) {
            Column* column = find_column(id);
            if (column == nullptr) {
                id |= group_size - 1;  // none of this group
                continue;
            }
            Ring* ring = column->ring.load(std::memory_order_relaxed);
            for (std::uint32_t i = 0; ring != nullptr && i < ring->size; ++i) {
                const std::uint64_t hash = load(ring->hashes[i]);
                if (hash == 0) continue;
                const Place place = find(hash, lines, bit_of(id));
                if (place && set_bit(place, hash, bit_of(id), lines) != Set::is_another) continue;
                static_cast<void>(insert(hash, bit_of(id), lines));
            }
        }
    }

    static constexpr std::size_t most_groups = 1024;  // 65,536 backends: all that a balancer can have

    const std::size_t most_blocks_;
    const std::uint32_t most_lines_;
    const ZeroedMemory storage_;
    Line* const lines_;
    std::atomic<std::uint32_t> lines_in_use_{0};
    std::size_t blocks_ = 0;  // of all rings together, those left behind too
    std::array<std::atomic<Group*>, most_groups> groups_{};
    std::vector<std::unique_ptr<Group>> owned_;
};

}  // namespace fairlead::detail
