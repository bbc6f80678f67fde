// Requests that wait for a place: who is served when one comes free.
//
// A place that comes free is offered to those who wait, in order, by the thread that freed it. Nobody is
// lost: one that waits counts itself in (the signal's flag) and then tries once more; a release adds to the
// backend's word and then reads the flag; all of it sequentially consistent (place_signal.hpp). Nobody is
// served twice: whoever takes the request out of the queue, under the mutex, completes it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/lease_access.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/detail/place_signal.hpp>
#include <fairlead/balancer/figures.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/resilience/wait_queue.hpp>

namespace fairlead::detail {

/// A request that waits, as the line sees it. The line calls `served` exactly once, on any thread and under
/// no lock of the library.
class Waiter {
  public:
    virtual ~Waiter() = default;

    /// What it asks of the choice; stays as it is while it waits.
    virtual const Criteria& criteria() const noexcept = 0;

    /// A place; or a lease that says why there is none.
    virtual void served(Lease lease) = 0;

    /// Nothing will wake it before `at`: it is to call `WaitingLine::look` then. May be called often; the
    /// nearest of the moments counts.
    virtual void look_by(Time at) = 0;

  private:
    template <class Core>
    friend class WaitingLine;
    std::string kind_{};  // equal for requests that find a place, or none, together; fixed while it waits
    Time since_{};
};

template <class Core>
class WaitingLine {
  public:
    WaitingLine(Core& core, const OptionsInForce& options, PlaceSignal& places) noexcept
        : core_{core}, options_{options}, places_{places} {}

    /// Whether a refusal with this error is worth a wait.
    static bool is_worth_it(std::error_code error) noexcept {
        return error == Errc::all_full || error == Errc::all_resting;
    }

    /// Whether anybody waits: who comes then stands behind them. Any thread.
    bool is_empty() const noexcept { return size_.load(std::memory_order_seq_cst) == 0; }

    /// Joins the line, within `queue_timeout` and the request's deadline; `served` is told when there is no
    /// room. Throws std::bad_alloc.
    void join(const std::shared_ptr<Waiter>& waiter, const RequestOptions& request) {
        const Options& options = *options_;
        const Time now = core_.clock().now();
        waiter->kind_ = kind_of(waiter->criteria());
        waiter->since_ = now;
        const Deadline until = request.deadline.or_earlier(Deadline::in(options.queue_timeout, now));
        bool joined = false;
        bool is_first = false;
        {
            const std::lock_guard lock{mutex_};
            joined = queue_.push({waiter, request.deadline}, waiter->kind_, request.priority, until,
                                 options.queue_limit);
            is_first = !joined && !queue_.waits(waiter->kind_);
            size_changed();
        }
        if (!joined) return waiter->served(without_room(*waiter, is_first));
        if (until.is_set()) waiter->look_by(until.at);
        serve();
    }

    /// The request is given up: whether it was still waiting. It is then told `Errc::cancelled`.
    bool leave(const std::shared_ptr<Waiter>& waiter) {
        {
            const std::lock_guard lock{mutex_};
            if (!queue_.remove(waiter->kind_, Ticket{waiter, {}})) return false;
            ++figures_.cancelled;
            size_changed();
        }
        waiter->served(LeaseAccess::refused(Errc::cancelled));
        serve();  // the next of its kind may have relied on it to look
        return true;
    }

    /// A place may have come free, or somebody's time may be up. Any thread; one at a time works, the others
    /// leave word. Not under a lock of the library: it completes requests.
    void serve() noexcept {
        // Acquire and release: what the others did before they left word is seen by who works.
        if (word_left_.fetch_add(1, std::memory_order_acq_rel) != 0) return;
        std::uint32_t seen = 1;
        do {
            seen = word_left_.load(std::memory_order_acquire);
            try {
                pass();
            } catch (const std::bad_alloc&) {
                // Whoever is left is looked at when the next place comes free.
            }
        } while (!word_left_.compare_exchange_strong(seen, 0, std::memory_order_acq_rel,
                                                     std::memory_order_relaxed));
    }

    QueueFigures figures() const {
        const std::lock_guard lock{mutex_};
        QueueFigures figures = figures_;
        figures.waiting = queue_.size();
        return figures;
    }

  private:
    struct Ticket {
        std::shared_ptr<Waiter> waiter;
        Deadline deadline;  // the request's own, to tell the two time-outs apart

        bool operator==(const Ticket& other) const noexcept { return waiter == other.waiter; }
    };

    /// The line is full. Those in it may all wait for something else: then a place that is free is given.
    Lease without_room(const Waiter& waiter, bool is_first) {
        if (is_first) {
            Lease lease = core_.select(waiter.criteria());
            if (lease || !is_worth_it(lease.error())) return lease;
        }
        const Time now = core_.clock().now();
        bool tell = false;
        Duration wait{};
        {
            const std::lock_guard lock{mutex_};
            ++figures_.overflowed;
            tell = !std::exchange(overflowing_, true);
            wait = queue_.expected_wait(now);
        }
        if (tell) core_.tell({.kind = Event::Kind::queue_overflow});
        return LeaseAccess::refused(Errc::queue_full, wait);
    }

    static std::string kind_of(const Criteria& criteria) {
        std::string kind{criteria.model};
        for (const auto tag : criteria.tags) kind.append(1, '\0').append(tag);
        kind.append(1, '\0');
        for (const auto name : criteria.exclude) kind.append(1, '\0').append(name);
        return kind;
    }

    void pass() {
        late();
        begin_pass();
        while (const auto waiter = first()) {
            Lease lease = core_.select(waiter->criteria());
            if (!lease && is_worth_it(lease.error())) {
                skip(*waiter);
                // What comes back by itself, in time, frees no place that would say so.
                if (const Time due = next_look(); due != Time::max()) waiter->look_by(due);
                continue;
            }
            // Was it cancelled meanwhile, the place goes back, and to the next.
            if (take_out(waiter, static_cast<bool>(lease))) waiter->served(std::move(lease));
        }
    }

    /// When a place may be there although nobody gave one back: a rest or an ejection is over, or a limit has
    /// risen in its slow start, which goes on all the time.
    Time next_look() const {
        constexpr int steps = 32;  // of the ramp: with a limit of 50, one or two places each
        const Time due = core_.next_due();
        const Duration slow_start = options_->slow_start;
        if (slow_start <= Duration::zero()) return due;
        return std::min(due, core_.clock().now() + slow_start / steps);
    }

    void late() {
        const Time now = core_.clock().now();
        std::vector<Ticket> late;
        Duration wait{};
        {
            const std::lock_guard lock{mutex_};
            late = queue_.take_late(now);
            figures_.timed_out += late.size();
            wait = queue_.expected_wait(now);
            size_changed();
        }
        for (const auto& ticket : late) {
            const bool by_deadline = ticket.deadline.passed(now);
            ticket.waiter->served(
                LeaseAccess::refused(by_deadline ? Errc::deadline_passed : Errc::queue_timeout, wait));
        }
    }

    void begin_pass() {
        const std::lock_guard lock{mutex_};
        queue_.begin_pass();
    }

    std::shared_ptr<Waiter> first() const {
        const std::lock_guard lock{mutex_};
        const auto* entry = queue_.first();
        return entry == nullptr ? nullptr : entry->ticket.waiter;
    }

    void skip(const Waiter& waiter) {
        const std::lock_guard lock{mutex_};
        queue_.skip(waiter.kind_);
    }

    bool take_out(const std::shared_ptr<Waiter>& waiter, bool served) {
        const Time now = core_.clock().now();
        const std::lock_guard lock{mutex_};
        if (!queue_.remove(waiter->kind_, Ticket{waiter, {}})) return false;
        if (served) {
            queue_.served(now);
            ++figures_.served;
            figures_.waited += now - waiter->since_;
        }
        size_changed();
        return true;
    }

    /// Called with the mutex.
    void size_changed() noexcept {
        const std::size_t size = queue_.size();
        if ((size_.exchange(size, std::memory_order_seq_cst) == 0) != (size == 0))
            places_.set_waiting(size != 0);
        // One event for each overflow, not for each request: half empty ends it.
        if (size <= options_->queue_limit / 2) overflowing_ = false;
    }

    Core& core_;
    const OptionsInForce& options_;
    PlaceSignal& places_;
    std::atomic<std::uint32_t> word_left_{0};
    std::atomic<std::size_t> size_{0};
    mutable std::mutex mutex_;
    WaitQueue<Ticket> queue_;
    QueueFigures figures_{};
    bool overflowing_ = false;
};

}  // namespace fairlead::detail
