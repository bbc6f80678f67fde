// The least that a select and a report can do: what every figure is a ratio to.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace fairlead::benchmarks {

/// A version check, a turn, a load and a compare-and-swap on the backend's word, a latency store, one adding
/// release: no eligibility, no strategy, no lease, no clock.
class Floor {
  public:
    explicit Floor(std::size_t backends) : backends_(backends), order_(backends) {
        for (std::size_t i = 0; i < backends; ++i) order_[i] = &backends_[(i * 7) % backends];
    }

    struct Lane {
        std::uint64_t version = 0;
        std::uint32_t turn = 0;
    };

    void request(Lane& lane) noexcept {
        if (lane.version != version_.load(std::memory_order_acquire)) {
            lane.version = version_.load(std::memory_order_relaxed);
        }
        const std::uint32_t here = lane.turn;
        lane.turn = here + 1 == order_.size() ? 0 : here + 1;
        Backend& backend = *order_[here];
        auto word = backend.word.load(std::memory_order_relaxed);
        do {
            if ((word & 0xfffff) >= 1000) return;
        } while (!backend.word.compare_exchange_weak(word, word + 1, std::memory_order_acquire,
                                                     std::memory_order_relaxed));
        backend.area.store(backend.area.load(std::memory_order_relaxed) + word, std::memory_order_relaxed);
        backend.word.fetch_add((std::uint64_t{1} << 40) - 1, std::memory_order_release);
    }

  private:
    struct alignas(64) Backend {
        std::atomic<std::uint64_t> word{0};
        std::atomic<std::uint64_t> area{0};
    };
    alignas(64) std::atomic<std::uint64_t> version_{0};
    std::vector<Backend> backends_;
    std::vector<Backend*> order_;
};

}  // namespace fairlead::benchmarks
