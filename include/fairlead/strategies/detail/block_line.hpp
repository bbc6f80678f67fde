// One cache line of the index of blocks: four blocks, and for each the set of backends that hold it.
//
// Words are read by any thread, relaxed: what is read is a belief, and may be that of a moment ago. They are
// changed by whoever has claimed the line, and nobody waits for a claim on the path of requests: who does not
// get it leaves the change undone. So a block's tag and its set are never those of two blocks, no change is
// lost under another's, and a change costs no locked instruction of its own: a claim does, for all blocks of
// the line.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fairlead::detail {

namespace relaxed {

template <class Word>
Word load(const Word& word) noexcept {
    return std::atomic_ref<Word>{const_cast<Word&>(word)}.load(std::memory_order_relaxed);
}
template <class Word>
void store(Word& word, Word value) noexcept {
    std::atomic_ref<Word>{word}.store(value, std::memory_order_relaxed);
}

}  // namespace relaxed

/// All zero is an empty line. Four blocks in a row are handled at once where they stand together.
struct alignas(64) BlockLine {
    static constexpr std::uint32_t slots = 4;

    std::uint64_t holders[slots];  ///< none: the place is empty, whatever its tag says
    std::uint64_t tags[2];         ///< of the places 0 and 1, 2 and 3: the lower half first
    std::uint64_t users;           ///< who used it lately, 16 bits a place: backends 16 apart share one
    std::uint32_t passed;          ///< blocks that had to go on from here to another line
    std::uint32_t claimed;         ///< 1 while a thread changes the line

    std::uint32_t tag(std::uint32_t at) const noexcept {
        return static_cast<std::uint32_t>(relaxed::load(tags[at / 2]) >> (32 * (at % 2)));
    }
    /// Called by who has claimed the line.
    void set_tag(std::uint32_t at, std::uint32_t tag) noexcept {
        const std::uint64_t other =
            relaxed::load(tags[at / 2]) & (0xffffffffU * (at % 2 == 0 ? 1ULL << 32 : 1ULL));
        relaxed::store(tags[at / 2], other | std::uint64_t{tag} << (32 * (at % 2)));
    }

    /// Whether a block with this tag stands there and has all of `bits` among its holders.
    bool holds(std::uint32_t at, std::uint32_t its, std::uint64_t bits) const noexcept {
        const std::uint64_t set = relaxed::load(holders[at]);
        return tag(at) == its && set != 0 && (set & bits) == bits;
    }

    bool is_used(std::uint32_t at, std::uint64_t user) const noexcept {
        return (relaxed::load(users) & user << (16 * at)) != 0;
    }
    /// Without a claim: a lost update is a block that goes, or stays, a round too long.
    void use(std::uint32_t at, std::uint64_t user) noexcept { use(user << (16 * at)); }
    void unuse(std::uint32_t at, std::uint64_t user) noexcept {
        relaxed::store(users, relaxed::load(users) & ~(user << (16 * at)));
    }

    // --- all four places ----------------------------------------------------------------------------------

    bool is_row(const std::uint64_t (&its)[2]) const noexcept {
        return relaxed::load(tags[0]) == its[0] && relaxed::load(tags[1]) == its[1];
    }
    /// Whether the tag of any place is that of the same place there.
    bool has_any_of(const std::uint64_t (&its)[2]) const noexcept {
        const auto has = [](std::uint64_t a, std::uint64_t b) {
            return static_cast<std::uint32_t>(a ^ b) == 0 || (a ^ b) >> 32 == 0;
        };
        return has(relaxed::load(tags[0]), its[0]) || has(relaxed::load(tags[1]), its[1]);
    }
    /// The backends that hold all four, or any of them.
    std::uint64_t held_by_all() const noexcept {
        return relaxed::load(holders[0]) & relaxed::load(holders[1]) & relaxed::load(holders[2]) &
               relaxed::load(holders[3]);
    }
    std::uint64_t held_by_any() const noexcept {
        return relaxed::load(holders[0]) | relaxed::load(holders[1]) | relaxed::load(holders[2]) |
               relaxed::load(holders[3]);
    }
    /// A user's bit in each place.
    static std::uint64_t everywhere(std::uint64_t user) noexcept { return user * 0x0001000100010001U; }

    void use(std::uint64_t user_bits) noexcept {
        const std::uint64_t all = relaxed::load(users);
        if ((all & user_bits) != user_bits) relaxed::store(users, all | user_bits);
    }
};
static_assert(sizeof(BlockLine) == 64);

/// The lines that one thread has claimed: the last one of each of two uses, since blocks that follow each
/// other stand in one line, and what comes and what goes take turns.
class LineClaims {
  public:
    enum Use : std::uint32_t { coming, going };

    LineClaims() = default;
    LineClaims(const LineClaims&) = delete;
    LineClaims& operator=(const LineClaims&) = delete;
    ~LineClaims() {
        release(coming);
        release(going);
    }

    /// Until the next line is claimed for the same use. False: another thread has it.
    bool claim(BlockLine& line, Use use) noexcept {
        if (&line == claimed_[coming] || &line == claimed_[going]) return true;
        release(use);
        const std::atomic_ref<std::uint32_t> mark{line.claimed};
        // Acquire pairs with the release below: what the last owner left is what this one changes.
        if (mark.load(std::memory_order_relaxed) != 0 || mark.exchange(1, std::memory_order_acquire) != 0)
            return false;
        claimed_[use] = &line;
        return true;
    }

  private:
    void release(Use use) noexcept {
        if (claimed_[use] == nullptr) return;
        std::atomic_ref<std::uint32_t>{claimed_[use]->claimed}.store(0, std::memory_order_release);
        claimed_[use] = nullptr;
    }

    BlockLine* claimed_[2] = {nullptr, nullptr};
};

}  // namespace fairlead::detail
