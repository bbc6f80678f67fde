// "A place came free": so that a refusal need not look over thousands, and nobody who waits is forgotten.
//
// Who found no place says so (`expect`), and then looks once more; who frees a place adds to the backend's
// word and then asks whether anybody expects one. Both write first and read afterwards, all of it
// sequentially consistent, so at least one of them sees the other: either the second look finds the place, or
// the release finds the flag. A new picture of the fleet is such a place: its version is written, then the
// flag is read.
//
// A group that is known to be full notes `count()`, read before the flag was set. A release that clears the
// flag raises the count after clearing it. So a note stays good only while the flag that its owner set, or a
// later one, still stands: no release can pass it by.
#pragma once

#include <atomic>
#include <cstdint>

namespace fairlead::detail {

class PlaceSignal {
  public:
    /// How often places came free while somebody expected one. Never 0.
    std::uint64_t count() const noexcept { return count_.load(std::memory_order_seq_cst); }

    /// Somebody found no place. Written only when it changes: while all is full, refusals share the line.
    void expect() noexcept { raise(full_group); }

    /// Somebody waits, or nobody any more. Called with the queue's mutex.
    void set_waiting(bool waiting) noexcept {
        if (waiting) {
            raise(waiters);
        } else {
            flags_.fetch_and(~waiters, std::memory_order_seq_cst);
        }
    }

    /// After a place was given back: whether `freed` has anything to do. One load of a line that is rarely
    /// written.
    bool is_expected() const noexcept { return flags_.load(std::memory_order_seq_cst) != 0; }

    /// A place is free. Returns whether somebody waits for it.
    bool freed() noexcept {
        const std::uint32_t flags = flags_.load(std::memory_order_seq_cst);
        if ((flags & full_group) != 0) {
            flags_.fetch_and(~full_group, std::memory_order_seq_cst);
            count_.fetch_add(1, std::memory_order_seq_cst);
        }
        // Read again: one that began to wait meanwhile may have been refused by the note of a full group,
        // which stood until the count was raised. Whoever waits after that looks past the note.
        return (flags_.load(std::memory_order_seq_cst) & waiters) != 0;
    }

  private:
    static constexpr std::uint32_t full_group = 1;
    static constexpr std::uint32_t waiters = 2;

    void raise(std::uint32_t flag) noexcept {
        if ((flags_.load(std::memory_order_seq_cst) & flag) == 0) {
            flags_.fetch_or(flag, std::memory_order_seq_cst);
        }
    }

    alignas(64) std::atomic<std::uint32_t> flags_{0};
    std::atomic<std::uint64_t> count_{1};
};

}  // namespace fairlead::detail
