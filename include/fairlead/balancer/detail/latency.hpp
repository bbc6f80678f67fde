// A backend's latency by Little's law, without a lock: in flight, integrated over time, per completion.
//
// A mean of measured latencies learns of a stall only when the slow answer arrives. The integral of "in
// flight" over time grows while the answer is still out: a backend that hangs looks slow at once.
//
// `select` and `report` advance one word (tick, integral) by a relaxed load and store. The store is
// idempotent in time: a lost update means that the next one covers the interval too, with a slightly stale
// "in flight".
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>

#include <fairlead/balancer/detail/load_account.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/detail/account.hpp>
#include <fairlead/strategies/detail/tick.hpp>

namespace fairlead::detail {

/// What counts as under way for the latency: in flight, less those whose answer already began, and the
/// failures that are not forgotten. `w` is the account's word.
[[gnu::always_inline]] inline std::uint32_t waiting(const Account& account, std::uint64_t w) noexcept {
    const std::uint32_t sum = word::in_flight(w) + account.failed.load(std::memory_order_relaxed) -
                              account.forgotten.load(std::memory_order_relaxed) -
                              account.streaming.load(std::memory_order_relaxed);
    // All are read apart: between two of them it may seem to be less than 0.
    return sum < (std::uint32_t{1} << 31) ? sum : 0;
}

/// Ticks, 0.27 s. Times the 2^20 that may be in flight it is below 2^32, which is what the sum is modulo.
inline constexpr Tick soon = Tick{1} << 12;

/// As `advance_area`, where it was not done for long, or another thread was ahead. A thousand requests that
/// hang for five minutes are more than the sum could tell: they are added to one of 64 bits. Of several
/// threads by one, since what is added does not cover the interval, as what is stored does.
inline void advance_area_far(Account& account, Tick now, std::uint64_t w) noexcept {
    std::uint64_t area = account.area.load(std::memory_order_relaxed);
    const Tick last = static_cast<Tick>(area >> 32);
    if (last == now || !due(last, now)) return;
    const std::uint64_t more = std::uint64_t{waiting(account, w)} * Tick{now - last};
    const std::uint64_t sum = static_cast<std::uint32_t>(area);
    if (account.area.compare_exchange_strong(area, (std::uint64_t{now} << 32) | sum,
                                             std::memory_order_relaxed))
        account.far_area.fetch_add(more, std::memory_order_relaxed);
}

/// Where it was done `soon` before, or another thread was ahead.
[[gnu::always_inline]] inline void advance_area_soon(Account& account, Tick now, std::uint64_t w) noexcept {
    const std::uint64_t area = account.area.load(std::memory_order_relaxed);
    const Tick passed = now - static_cast<Tick>(area >> 32);
    if (passed == 0 || passed >= (Tick{1} << 31)) return;
    const std::uint32_t sum = static_cast<std::uint32_t>(area) + waiting(account, w) * passed;
    account.area.store((std::uint64_t{now} << 32) | sum, std::memory_order_relaxed);
}

/// Brings the integral up to `now`; `w` is the word before the change that is about to happen or just did.
/// All relaxed: see the head of this file.
[[gnu::noinline]] inline void advance_area(Account& account, Tick now, std::uint64_t w) noexcept {
    const auto last = static_cast<Tick>(account.area.load(std::memory_order_relaxed) >> 32);
    if (now - last > soon) [[unlikely]]
        return advance_area_far(account, now, w);
    advance_area_soon(account, now, w);
}

/// The noise gate b(x) of a ratio of latencies: differences below 10 % are noise and must not starve anyone.
inline double without_noise(double ratio) noexcept {
    constexpr double gate = 1.1;
    if (ratio > gate) return ratio / gate;
    if (ratio < 1.0 / gate) return ratio * gate;
    return 1.0;
}

/// The mean latency of all backends of one model. Lock-free: each backend adds what changed of its own sums.
class PoolLatency {
  public:
    /// Adds to the sums; any thread. Relaxed: a mean that lacks the last addition is as good.
    void add(double area, double done) noexcept {
        area_.fetch_add(area, std::memory_order_relaxed);
        done_.fetch_add(done, std::memory_order_relaxed);
    }

    void joined() noexcept { members_.fetch_add(1, std::memory_order_relaxed); }
    void left() noexcept { members_.fetch_sub(1, std::memory_order_relaxed); }

    /// Faded completions for each backend: how much is known about one that gets its fair share.
    double done_a_member() const noexcept {
        const auto members = members_.load(std::memory_order_relaxed);
        return done_.load(std::memory_order_relaxed) / std::max(1, members);
    }

    /// In ticks; one second before the first completion, so that nothing is thought infinitely fast.
    double mean() const noexcept {
        constexpr double second = 1e9 / nanoseconds_per_tick;
        const double done = done_.load(std::memory_order_relaxed);
        if (done < 0.5) return second;
        return std::max(area_.load(std::memory_order_relaxed) / done, 0.01);
    }

  private:
    std::atomic<double> area_{0.0};
    std::atomic<double> done_{0.0};
    std::atomic<int> members_{0};
};

/// The fading sums behind one backend's `slowness`, and the pool that they are a part of. Evidence fades, and
/// goes at once when so little came to it in a tau that nobody can have seen a recovery. One thread at a
/// time, by `Pace::refresh`'s try flag: who finds it taken goes on, since the other is doing the same work.
///
/// The pool stands behind the flag too. It changes with the backend's model, while requests begin and end: a
/// pointer read outside of the flag could be of a pool that is gone, and what is added to one pool must be
/// taken from the same one.
class Pace {
  public:
    /// Brings sums, slowness and forgotten failures up to `now`, and plans the next time. Any thread;
    /// wait-free. Some 30 ns, run once in tau / 64 a backend, and in `soon`.
    void refresh(Account& account, Tick now, const Options& options) noexcept {
        if (busy_.exchange(true, std::memory_order_acquire)) return;  // pairs with the release below
        if (pool_ == nullptr) return busy_.store(false, std::memory_order_release);  // removed
        account.refresh_tick.store(now + update(account, now, options), std::memory_order_relaxed);
        forget_old_load(account, now);
        busy_.store(false, std::memory_order_release);
    }

    /// The same between two of those: the next is planned no later than it was. It takes others along that
    /// nobody chooses, who would else wait for as long as requests here are cancelled in short intervals.
    void refresh_between(Account& account, Tick now, const Options& options) noexcept {
        if (busy_.exchange(true, std::memory_order_acquire)) return;  // pairs with the release below
        if (pool_ == nullptr) return busy_.store(false, std::memory_order_release);  // removed
        const Tick next = now + update(account, now, options);
        if (!due(account.refresh_tick.load(std::memory_order_relaxed), next))
            account.refresh_tick.store(next, std::memory_order_relaxed);
        busy_.store(false, std::memory_order_release);
    }

    /// Forgets what was learned (the backend is another one now); counters stay. Waits for a refresh under
    /// way. Called with the roster's mutex.
    void restart(Account& account) noexcept {
        take_flag();
        forget(account);
        busy_.store(false, std::memory_order_release);
    }

    /// Forgets, and belongs to `pool` from now on; to none when it is nullptr: the backend is gone, though
    /// an old snapshot may still show it. Waits for a refresh under way. Called with the roster's mutex.
    void join(Account& account, std::shared_ptr<PoolLatency> pool) noexcept {
        take_flag();
        forget(account);
        if (pool_ != nullptr) pool_->left();
        if (pool != nullptr) pool->joined();
        pool_.swap(pool);
        busy_.store(false, std::memory_order_release);
    }

    /// The pool's mean latency in ticks, as of the last refresh. Any thread.
    double mean() const noexcept { return static_cast<double>(mean_.load(std::memory_order_relaxed)); }

    /// The whole integral since the start, in ticks times requests; the share since the last refresh is
    /// missing. Any thread.
    double total_area() const noexcept { return total_.load(std::memory_order_relaxed); }

  private:
    static constexpr double failure_memory = 10.0;  // mean latencies: a backend failing in 1 ms looks as busy
                                                    // as one that is ten times slower than the pool
    static constexpr std::size_t failure_slots = 16;
    static constexpr double enough = 20.0;  // completions in tau: the mean of so many strays by 22 %
    // A backend that is passed over starts again as if it had answered once in the pool's mean. Its next
    // answer is weighed with that one and the one in the estimate, (2 + t) / 3 <= 1.1, so that one of up
    // to 1.3 means brings it back, which are 73 % of exponential ones. A backend ten times slower is found
    // out by its first answer all the same: (2 + 10) / 3 = 4.
    static constexpr double fresh_start = 1.0;

    void take_flag() noexcept {
        while (busy_.exchange(true, std::memory_order_acquire)) {  // pairs with the release of who had it
        }
    }

    /// Brings all up to `now`. After how many ticks that is to be done again. Called with the flag.
    Tick update(Account& account, Tick now, const Options& options) noexcept {
        advance_area(account, now, account.word.load(std::memory_order_relaxed));
        fade(account, *pool_, now, options);
        const double mean = pool_->mean();
        mean_.store(static_cast<float>(mean), std::memory_order_relaxed);
        const bool pending = forget_failures(account, mean, now);
        double wait = ticks_of(options.latency_tau) / 64.0;
        if (pending) wait = std::min(wait, failure_memory * mean / failure_slots);
        return static_cast<Tick>(std::clamp(wait, 1.0, static_cast<double>(soon)));
    }

    /// Called with the flag.
    void forget(Account& account) noexcept {
        if (pool_ != nullptr) pool_->add(-area_, -done_);
        area_ = done_ = 0.0;
        owed_ = 0.0F;
        account.slowness.store(1.0F, std::memory_order_relaxed);
    }

    void fade(Account& account, PoolLatency& pool, Tick now, const Options& options) noexcept {
        const auto sum = static_cast<std::uint32_t>(account.area.load(std::memory_order_relaxed));
        const auto done = static_cast<std::uint32_t>(total_completed(account)) +
                          account.streaming.load(std::memory_order_relaxed) -
                          account.failed.load(std::memory_order_relaxed) -
                          account.neutral.load(std::memory_order_relaxed);
        double more_area = sum - sum_;
        if (account.far_area.load(std::memory_order_relaxed) != 0)
            more_area += static_cast<double>(account.far_area.exchange(0, std::memory_order_relaxed));
        // Below 0 where a request is known to have failed and not yet to have ended. Of what that takes from
        // nothing its end must not make an answer.
        const double more_done = static_cast<std::int32_t>(done - counted_) + static_cast<double>(owed_);
        const Tick passed = started_ && due(last_, now) ? now - last_ : 0;
        double stale = 0.0;
        if (count_ != 0) [[unlikely]] {
            stale = std::min(more_area, stale_failures(account, now, passed));
            more_area -= stale;
        }

        // Where requests are few, evidence must last longer, or every backend always looks unknown: tau is
        // what 20 completions take. The rate is the count over the time, both fading alike, so that it is
        // right from the first seconds on, when little was counted because little time has passed. The pool's
        // count for each backend, not this one's: that one was slow and gets little must not be held against
        // it for longer.
        const double least = ticks_of(options.latency_tau);
        const double tau = std::clamp(enough * seen_ / std::max(pool.done_a_member(), 0.1), least,
                                      std::max(least, ticks_of(options.latency_tau_max)));
        const double keep = std::exp(-static_cast<double>(passed) / tau);
        double area = std::max(0.0, area_ * keep + more_area);
        double completed = done_ * keep + more_done;
        owed_ = static_cast<float>(std::min(0.0, completed));
        completed = std::max(0.0, completed);
        if (is_passed_over(pool, done, now, passed, tau)) {
            completed = fresh_start;
            area = fresh_start * pool.mean();
        }
        seen_ = seen_ * keep + static_cast<double>(passed);

        pool.add(area - area_, completed - done_);
        // Failures that still count are nobody's waiting: what the host is shown leaves them out.
        const double failures =
            std::min(more_area, static_cast<double>(recent_failures(account)) * passed - stale);
        total_.store(total_.load(std::memory_order_relaxed) + more_area - failures,
                     std::memory_order_relaxed);
        area_ = area;
        done_ = completed;
        sum_ = sum;
        counted_ = done;
        last_ = now;
        started_ = true;

        const double mean = pool.mean();
        const double own = (area_ + mean) / (done_ + 1.0);  // no evidence: the pool's mean
        account.slowness.store(static_cast<float>(without_noise(own / mean)), std::memory_order_relaxed);
    }

    /// Once in tau: whether it completed less than half of what a judgement rests on, or of what the others
    /// did where that is less. What is believed of it then keeps it from showing anything else. Fading alone
    /// would free it late: one that was ten times slower looks so until (10 d + 1) / (d + 1) <= 1.1, when of
    /// one completion d = 0.011 is left, after 4.5 tau; and where many balancers share a fleet each has
    /// mostly nothing in flight, so that whoever looks slower at all is not chosen before. Once in tau is one
    /// request of 20 for each backend, 0.6 % of eight backends' requests: under the 1 % that would be the
    /// p99. The first review comes within tau, by the tick of the first request, so that balancers that began
    /// together do not try a slow backend together. `done` is what it completed ever. Called with the flag.
    bool is_passed_over(const PoolLatency& pool, std::uint32_t done, Tick now, Tick passed,
                        double tau) noexcept {
        const auto ticks = [](double n) { return static_cast<Tick>(std::min(n, 4e9)); };
        if (!started_) review_in_ = ticks(tau * Rng{now}.uniform());
        if (passed < review_in_) {
            review_in_ -= passed;
            return false;
        }
        const double completed = static_cast<std::int32_t>(done - done_at_review_);
        review_in_ = ticks(tau);
        done_at_review_ = done;
        return completed + 1.0 <= std::min(enough, pool.done_a_member()) / 2.0;
    }

    static Tick memory_of(double mean) noexcept {
        return static_cast<Tick>(std::min(failure_memory * mean, 1e9));
    }

    /// What of the integral since the last refresh, `passed` ago, are failures that were to be forgotten by
    /// then: without requests nobody did, and an hour of that would look like an hour's answer.
    [[gnu::noinline]] double stale_failures(const Account& account, Tick now, Tick passed) const noexcept {
        const Tick memory = memory_of(mean());
        std::uint32_t before = account.forgotten.load(std::memory_order_relaxed);
        double sum = 0.0;
        for (std::size_t i = 0; i < count_; ++i) {
            const Note& note = notes_[(first_ + i) % failure_slots];
            const Tick age = due(note.at, now) ? now - note.at : 0;
            if (age > memory)
                sum += static_cast<double>(note.failed - before) * std::min(age - memory, passed);
            before = note.failed;
        }
        return sum;
    }

    /// Takes note of new failures, and lets those go that are older than `failure_memory` means. Returns
    /// whether some still count.
    bool forget_failures(Account& account, double mean, Tick now) noexcept {
        const std::uint32_t failed = account.failed.load(std::memory_order_relaxed);
        if (failed != noted_) {
            // The ring is full only when refreshes came faster than planned: then the newest note is widened.
            if (count_ == failure_slots) --count_;
            notes_[(first_ + count_++) % failure_slots] = {now, failed};
            noted_ = failed;
        }
        const Tick memory = memory_of(mean);
        while (count_ > 0 && due(notes_[first_].at, now) && now - notes_[first_].at >= memory) {
            account.forgotten.store(notes_[first_].failed, std::memory_order_relaxed);
            first_ = static_cast<std::uint8_t>((first_ + 1U) % failure_slots);
            --count_;
        }
        return count_ > 0;
    }

    struct Note {
        Tick at;
        std::uint32_t failed;
    };

    std::atomic<bool> busy_{false};
    bool started_ = false;
    std::atomic<float> mean_{0.0F};
    std::shared_ptr<PoolLatency> pool_;  // of the backend's model
    Tick last_ = 0;
    std::uint32_t sum_ = 0;
    std::uint32_t counted_ = 0;
    std::uint32_t noted_ = 0;
    double area_ = 0.0;
    double done_ = 0.0;
    double seen_ = 0.0;  // ticks, faded: tau once it ran for long
    Tick review_in_ = 0;
    std::uint32_t done_at_review_ = 0;
    std::atomic<double> total_{0.0};
    std::array<Note, failure_slots> notes_{};
    std::uint8_t first_ = 0;
    std::uint8_t count_ = 0;
    float owed_ = 0.0F;  // of `done_`, 0 or below
};

}  // namespace fairlead::detail
