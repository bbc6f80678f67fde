// How a new picture of the fleet reaches the threads that read it, and when an old one is freed.
//
// A reader's cost in the steady state is one acquire load and a comparison with what its own lane remembers.
// No lock, no read-modify-write, no fence. (std::atomic<std::shared_ptr> is a spin lock in today's standard
// libraries: not on this path.)
//
// Why it is right. The writer stores the pointer and then the version, both under `mutex_`. A reader that
// sees a new version takes the same mutex and copies pointer and version together, so a lane's pair always
// belongs together; everything in the snapshot was written before the writer's unlock and is read after the
// reader's lock. A lane is used by one thread at a time: its index is the thread's number, and a number
// passes from one thread to the next through the mutex of `ThreadNumbers`. A snapshot that no lane holds any
// more dies with the next change, not with the request that was the last to leave it: to free one of
// thousands of backends takes longer than a thousand requests. An idle thread holds the last one it saw until
// its next call, its number's next use, or the balancer's end.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/thread_number.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead::detail {

template <class Snapshot>
class Publication {
    /// Mostly there is one: the last before the newest. More where threads that were idle come back.
    using Left = std::array<std::shared_ptr<const Snapshot>, 4>;

  public:
    /// What a new snapshot takes the place of.
    struct Before {
        std::shared_ptr<const Snapshot> last;
        Left left;
    };

    /// What one thread keeps of one balancer.
    struct alignas(64) Lane {
        std::uint64_t version = 0;
        const Snapshot* current = nullptr;
        Rng rng{};
        typename Snapshot::Shortcut shortcut{};
        std::vector<Turn> turns{};  // the shortcut's among them
        std::uint32_t number = 0;
        std::uint64_t salt = 0;
        std::shared_ptr<const Snapshot> holder{};

        void begin(std::uint32_t lane_number, std::uint64_t seed) noexcept {
            number = lane_number;
            salt = seed;
            rng = Rng{Rng::mix(seed + 0x632be59bd9b4e019U * (number + 1))};
        }

        /// This thread's place in the group; evenly spread over threads (a Weyl sequence by the golden ratio)
        /// from a place of the group's own. Throws std::bad_alloc on a group's first use by this thread.
        Turn& turn(std::uint32_t index) {
            if (index >= turns.size()) [[unlikely]]
                grow(index);
            return turns[index];
        }

      private:
        void grow(std::uint32_t index) {
            constexpr std::uint32_t golden = 0x9e3779b9U;  // 2^32 / golden ratio
            std::size_t i = turns.size();
            turns.resize(std::bit_ceil(std::size_t{index} + 1));
            for (; i < turns.size(); ++i) {
                turns[i].position = static_cast<std::uint32_t>(Rng::mix(salt + i)) + number * golden;
            }
        }
    };

    explicit Publication(std::uint64_t seed) noexcept : seed_{seed} {
        for (std::uint32_t i = 0; i < first_.size(); ++i) first_[i].begin(i, seed);
    }
    Publication(const Publication&) = delete;
    Publication& operator=(const Publication&) = delete;

    ~Publication() {
        for (std::size_t i = 0; i < chunks; ++i) {
            delete[] lanes_[i].load(std::memory_order_relaxed);
        }
    }

    /// The running thread's lane where it already has the newest snapshot, and the thread is one of the first
    /// few; else nullptr. For the path of nearly every request; `read` is for the others.
    [[gnu::always_inline]] Lane* read_known() noexcept {
        const std::uint32_t number = thread_number_plus_one - 1;  // the largest there is before the first use
        if (number >= first_.size()) [[unlikely]]
            return nullptr;
        Lane* const lane = &first_[number];
        // Acquire: see `read`.
        return lane->version == version_.load(std::memory_order_acquire) ? lane : nullptr;
    }

    /// The running thread's lane with the newest snapshot; nullptr when memory ran out on a first use.
    Lane* read() noexcept {
        Lane* lane = find(thread_number());
        if (lane == nullptr) [[unlikely]]
            return nullptr;
        // Acquire pairs with the release in `publish`; the data itself is handed over under the mutex.
        if (lane->version != version_.load(std::memory_order_acquire)) [[unlikely]]
            renew(*lane);
        return lane;
    }

    /// Called with the writers' mutex; takes `mutex_` for some stores. Returns those before, of which some
    /// have no other holder: to be freed under no lock.
    [[nodiscard]] Before publish(std::shared_ptr<const Snapshot> snapshot) noexcept {
        const std::lock_guard lock{mutex_};
        return advance(std::move(snapshot));
    }

    /// As `publish`, needs no mutex of the caller's. Publishes `snapshot` in the place of `expected`, unless
    /// that is not the newest any more.
    [[nodiscard]] Before replace(const Snapshot* expected,
                                 std::shared_ptr<const Snapshot> snapshot) noexcept {
        const std::lock_guard lock{mutex_};
        if (snapshot_.get() != expected) return {};
        return advance(std::move(snapshot));
    }

    /// The newest snapshot, for writers and for those who keep no lane. Takes `mutex_`.
    std::shared_ptr<const Snapshot> current() const noexcept {
        const std::lock_guard lock{mutex_};
        return snapshot_;
    }

    /// For who found no place. Sequentially consistent with the store in `advance`: one that said before that
    /// it waits sees the new picture, or whoever published it then sees that one waits (place_signal.hpp).
    std::uint64_t version() const noexcept { return version_.load(std::memory_order_seq_cst); }

  private:
    // The first 16 lanes stand here, one load nearer; chunk k holds 16 * 2^k more: numbers are small and
    // dense, memory follows them.
    static constexpr std::size_t chunks = 27;
    static constexpr unsigned first_bits = 4;

    Lane* find(std::uint32_t number) noexcept {
        if (number == no_thread_number) [[unlikely]]
            return nullptr;
        if (number < first_.size()) return &first_[number];
        const auto k = static_cast<std::size_t>(std::bit_width(number >> first_bits)) - 1;
        if (k >= chunks) return nullptr;
        const std::uint32_t begin = (std::uint32_t{1} << first_bits) << k;
        // Acquire pairs with the compare-and-swap in `allocate`.
        Lane* chunk = lanes_[k].load(std::memory_order_acquire);
        if (chunk == nullptr) [[unlikely]]
            chunk = allocate(k, begin);
        return chunk == nullptr ? nullptr : chunk + (number - begin);
    }

    Lane* allocate(std::size_t k, std::uint32_t begin) noexcept {
        const std::size_t size = begin;
        auto* chunk = new (std::nothrow) Lane[size];
        if (chunk == nullptr) return nullptr;
        for (std::uint32_t i = 0; i < size; ++i) chunk[i].begin(begin + i, seed_);
        Lane* expected = nullptr;
        // Release publishes the lanes' initial values; acquire sees those of whoever was quicker.
        if (lanes_[k].compare_exchange_strong(expected, chunk, std::memory_order_acq_rel,
                                              std::memory_order_acquire)) {
            return chunk;
        }
        delete[] chunk;
        return expected;
    }

    void renew(Lane& lane) noexcept {
        std::shared_ptr<const Snapshot> old;
        {
            const std::lock_guard lock{mutex_};
            old = std::exchange(lane.holder, snapshot_);
            lane.version = version_.load(std::memory_order_relaxed);
            // Given back under the lock, so that of several that leave at once the last one knows it is.
            if (old.use_count() == 1) {
                leave(old);
            } else {
                old.reset();
            }
        }
        lane.current = lane.holder.get();
        lane.shortcut = lane.current->shortcut();
        try {
            if (lane.shortcut.candidates != nullptr) static_cast<void>(lane.turn(lane.shortcut.turn));
        } catch (const std::bad_alloc&) {
            lane.shortcut = {};
        }
        // `old` may die here, outside the lock, where many were left since the last change.
    }

    /// Called with `mutex_`.
    Before advance(std::shared_ptr<const Snapshot> snapshot) noexcept {
        Before before{std::exchange(snapshot_, std::move(snapshot)), std::exchange(left_, Left{})};
        // Release: see `read`. Sequentially consistent: see `version`.
        version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
        return before;
    }

    /// Called with `mutex_`, by the last that holds it.
    void leave(std::shared_ptr<const Snapshot>& old) noexcept {
        for (auto& place : left_) {
            if (place == nullptr) return place.swap(old);
        }
    }

    const std::uint64_t seed_;
    alignas(64) std::atomic<std::uint64_t> version_{0};
    std::array<Lane, std::size_t{1} << first_bits> first_{};
    std::array<std::atomic<Lane*>, chunks> lanes_{};
    mutable std::mutex mutex_;
    std::shared_ptr<const Snapshot> snapshot_;
    Left left_;  // for the next change to free
};

}  // namespace fairlead::detail
