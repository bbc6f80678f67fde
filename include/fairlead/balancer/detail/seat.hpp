// The balancer's side of a candidate: how one is made, and how a place on its backend is taken.
#pragma once

#include <atomic>
#include <cstdint>

#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/strategies/candidate.hpp>

namespace fairlead::detail {

struct CandidateAccess {
    // Marks above the generation, in bits that `busy_mask` does not look at; the weight stands above them.
    static constexpr std::uint64_t half_open = std::uint64_t{1} << 40;      // its outcomes decide
    static constexpr std::uint64_t one_at_a_time = std::uint64_t{1} << 42;  // half open, not in panic
    static constexpr std::uint64_t warming = std::uint64_t{1} << 41;
    static constexpr std::uint64_t panicking = std::uint64_t{1} << 43;  // a trial under way keeps nobody out

    static Candidate none() noexcept { return {}; }

    /// As `backend` stands now. Called with the roster's mutex.
    static Candidate make(const LiveBackend& backend) noexcept {
        Candidate candidate;
        candidate.account_ = &backend;
        candidate.config_ = backend.config.get();
        candidate.seat_ =
            backend.word.load(std::memory_order_relaxed) & (word::generation_mask | word::epoch_mask);
        if (backend.ejection.is_half_open()) candidate.seat_ |= half_open | one_at_a_time;
        if (backend.warming) candidate.seat_ |= warming;
        candidate.seat_ |= std::uint64_t{backend.config->weight} << Candidate::weight_shift;
        candidate.inverse_weight_ = 1.0F / static_cast<float>(backend.config->weight);
        if (backend.in_service()) set_limit(candidate, backend.config->max_connections);
        candidate.id_ = backend.id;
        return candidate;
    }

    /// The same as it serves in a panic: in service whatever its findings, and not one at a time, even while
    /// a trial from before the panic is under way.
    static Candidate in_panic(Candidate candidate) noexcept {
        candidate.seat_ = (candidate.seat_ & ~one_at_a_time) | panicking;
        set_limit(candidate, candidate.config_->max_connections);
        return candidate;
    }

    /// The same, past its slow start.
    static Candidate warm(Candidate candidate) noexcept {
        candidate.seat_ &= ~warming;
        return candidate;
    }

    static LiveBackend& backend(const Candidate& candidate) noexcept {
        // Made from a LiveBackend that is not const (`make`); strategies only ever see it const.
        return static_cast<LiveBackend&>(const_cast<Account&>(*candidate.account_));
    }
    static const BackendConfig& config(const Candidate& candidate) noexcept { return *candidate.config_; }
    static bool is_half_open(const Candidate& candidate) noexcept {
        return (candidate.seat_ & half_open) != 0;
    }
    static bool is_one_at_a_time(const Candidate& candidate) noexcept {
        return (candidate.seat_ & one_at_a_time) != 0;
    }
    static bool is_warming(const Candidate& candidate) noexcept { return (candidate.seat_ & warming) != 0; }

    /// Whether one that is in service here was closed, or given another config, since; or is on trial here,
    /// and its trials are over, or others. Relaxed: asked after a place on it was refused, by a load of the
    /// same word.
    static bool is_outdated(const Candidate& candidate) noexcept {
        const std::uint64_t now = candidate.account_->word.load(std::memory_order_relaxed);
        const std::uint64_t same = word::generation_mask | word::closed | epoch_of_trial(candidate);
        return candidate.limit() != 0 && ((now ^ candidate.seat_) & same) != 0;
    }

    /// Whether a place within `limit` is free, in the one order of all sequentially consistent operations.
    static bool has_place(const Candidate& candidate, std::uint32_t limit) noexcept {
        const std::uint64_t now = candidate.account_->word.load(std::memory_order_seq_cst);
        return has_place(candidate, now, limit);
    }

    /// Takes one place, if there is one: never more than `limit` in flight, by any interleaving, since the
    /// comparison and the count are one compare-and-swap. `before` receives the word as it was.
    [[gnu::always_inline]] static bool take(const Candidate& candidate, std::uint32_t limit,
                                            std::uint64_t& before) noexcept {
        const std::uint64_t mark = is_one_at_a_time(candidate) ? word::trial : 0;
        return add_place(backend(candidate), mark, before,
                         [&](std::uint64_t now) { return has_place(candidate, now, limit); });
    }
    /// As `take`, of one that is neither half open, nor within its slow start, nor serving in a panic: false
    /// for those, too. `of` is the candidate's backend.
    [[gnu::always_inline]] static bool take_unmarked(const Candidate& candidate, LiveBackend& of,
                                                     std::uint64_t& before) noexcept {
        const std::uint64_t seat = candidate.seat_;  // once, not after each atomic operation
        if ((seat & (half_open | one_at_a_time | warming | panicking)) != 0) return false;
        const std::uint64_t limit = seat & word::in_flight_mask;
        return add_place(of, 0, before,
                         [&](std::uint64_t now) { return Candidate::busy(now, seat) < limit; });
    }

    /// The limit of one that has none, when nothing else may take the backend's places: less than what the
    /// word can count by 65,536, for the threads that stand between the two steps of a `take_unlimited` in
    /// vain.
    static constexpr std::uint32_t unlimited = max_connections_limit - 65'536;

    /// The same candidate, `unlimited` if its backend has the limit of one that was given none.
    static Candidate without_limit(Candidate candidate) noexcept {
        if (candidate.limit() == max_connections_limit) set_limit(candidate, unlimited);
        return candidate;
    }

    /// As `take`, of an `unlimited` one, by a single addition: to load the word first would wait for the
    /// addition with which this thread gave back its last place. False, and the place to be taken back, when
    /// the backend is closed or of another generation, or has half of `unlimited` in flight: `take` decides
    /// then.
    [[gnu::always_inline]] static bool take_unlimited(const Candidate& candidate,
                                                      std::uint64_t& before) noexcept {
        // Acquire: as in `take`.
        before = backend(candidate).word.fetch_add(word::one_in_flight, std::memory_order_acquire);
        return candidate.busy(before) < unlimited / 2;
    }

  private:
    /// `has_place(word)` says whether there is one.
    ///
    /// Acquire on success: pairs with the release half of the add in `Reporting::give_back`, so that what the
    /// previous holder of the place wrote is seen. Relaxed on failure: a stale word costs one more turn of
    /// the loop.
    template <class HasPlace>
    [[gnu::always_inline]] static bool add_place(LiveBackend& backend, std::uint64_t mark,
                                                 std::uint64_t& before, HasPlace has_place) noexcept {
        auto& word = backend.word;
        std::uint64_t now = word.load(std::memory_order_relaxed);
        do {
            if (!has_place(now)) return false;
        } while (!word.compare_exchange_weak(now, (now + word::one_in_flight) | mark,
                                             std::memory_order_acquire, std::memory_order_relaxed));
        before = now;
        return true;
    }

    /// What must be the same in the word: of one that gives its places one at a time, the epoch. A picture
    /// from before its return to service would else set the bit of a trial that keeps everybody out.
    static std::uint64_t epoch_of_trial(const Candidate& candidate) noexcept {
        return is_one_at_a_time(candidate) ? word::epoch_mask : 0;
    }

    static void set_limit(Candidate& candidate, std::uint32_t limit) noexcept {
        candidate.seat_ = (candidate.seat_ & ~word::in_flight_mask) | limit;
    }

    static bool has_place(const Candidate& candidate, std::uint64_t now, std::uint32_t limit) noexcept {
        const std::uint64_t busy =
            candidate.busy(now) | ((now ^ candidate.seat_) & epoch_of_trial(candidate));
        if (busy < limit) [[likely]]
            return true;
        return (candidate.seat_ & panicking) != 0 && (busy & ~word::trial) < limit;
    }
};

}  // namespace fairlead::detail
