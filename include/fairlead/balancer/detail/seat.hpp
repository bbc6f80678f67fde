// The balancer's side of a candidate: how one is made, and how a place on its backend is taken.
#pragma once

#include <atomic>
#include <cstdint>

#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/strategies/candidate.hpp>

namespace fairlead::detail {

struct CandidateAccess {
    // Marks above the generation, in bits that `busy_mask` does not look at.
    static constexpr std::uint64_t half_open = std::uint64_t{1} << 40;      // its outcomes decide
    static constexpr std::uint64_t one_at_a_time = std::uint64_t{1} << 42;  // half open, not in panic
    static constexpr std::uint64_t warming = std::uint64_t{1} << 41;
    static constexpr std::uint64_t panicking = std::uint64_t{1} << 43;  // a trial under way keeps nobody out

    /// As `backend` stands now. Called with the roster's mutex.
    static Candidate make(const LiveBackend& backend) noexcept {
        Candidate candidate;
        candidate.account_ = &backend;
        candidate.config_ = backend.config.get();
        candidate.generation_ = backend.word.load(std::memory_order_relaxed) & word::generation_mask;
        if (backend.ejection.is_half_open()) candidate.generation_ |= half_open | one_at_a_time;
        if (backend.warming) candidate.generation_ |= warming;
        candidate.weight_ = backend.config->weight;
        candidate.inverse_weight_ = 1.0F / static_cast<float>(candidate.weight_);
        candidate.limit_ = backend.in_service() ? backend.config->max_connections : 0;
        candidate.id_ = backend.id;
        return candidate;
    }

    /// The same as it serves in a panic: in service whatever its findings, and not one at a time, even while
    /// a trial from before the panic is under way.
    static Candidate in_panic(Candidate candidate) noexcept {
        candidate.generation_ = (candidate.generation_ & ~one_at_a_time) | panicking;
        candidate.limit_ = candidate.config_->max_connections;
        return candidate;
    }

    static LiveBackend& backend(const Candidate& candidate) noexcept {
        // Made from a LiveBackend that is not const (`make`); strategies only ever see it const.
        return static_cast<LiveBackend&>(const_cast<Account&>(*candidate.account_));
    }
    static const BackendConfig& config(const Candidate& candidate) noexcept { return *candidate.config_; }
    static bool is_half_open(const Candidate& candidate) noexcept {
        return (candidate.generation_ & half_open) != 0;
    }
    static bool is_one_at_a_time(const Candidate& candidate) noexcept {
        return (candidate.generation_ & one_at_a_time) != 0;
    }
    static bool is_warming(const Candidate& candidate) noexcept {
        return (candidate.generation_ & warming) != 0;
    }

    /// Whether a place within `limit` is free, in the one order of all sequentially consistent operations.
    static bool has_place(const Candidate& candidate, std::uint32_t limit) noexcept {
        const std::uint64_t now = candidate.account_->word.load(std::memory_order_seq_cst);
        return has_place(candidate, now, limit);
    }

    /// Takes one place, if there is one: never more than `limit` in flight, by any interleaving, since the
    /// comparison and the count are one compare-and-swap. `before` receives the word as it was.
    ///
    /// Acquire on success: pairs with the release half of the add in `Releasing`, so that what the previous
    /// holder of the place wrote is seen. Relaxed on failure: a stale word costs one more turn of the loop.
    static bool take(const Candidate& candidate, std::uint32_t limit, std::uint64_t& before) noexcept {
        auto& word = backend(candidate).word;
        const std::uint64_t mark = is_one_at_a_time(candidate) ? word::trial : 0;
        std::uint64_t now = word.load(std::memory_order_relaxed);
        do {
            if (!has_place(candidate, now, limit)) return false;
        } while (!word.compare_exchange_weak(now, (now + word::one_in_flight) | mark,
                                             std::memory_order_acquire, std::memory_order_relaxed));
        before = now;
        return true;
    }

  private:
    static bool has_place(const Candidate& candidate, std::uint64_t now, std::uint32_t limit) noexcept {
        const std::uint64_t busy = (now ^ candidate.generation_) & word::busy_mask;
        if (busy < limit) [[likely]]
            return true;
        return (candidate.generation_ & panicking) != 0 && (busy & ~word::trial) < limit;
    }
};

}  // namespace fairlead::detail
