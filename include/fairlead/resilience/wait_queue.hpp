// Who waits for a place, in which order, and for how long.
//
// Without it, a fleet at its limit answers errors for as long as a burst lasts, although a place comes free
// every few milliseconds; and where waiting is unbounded or unordered, some callers wait for ever while
// others are served.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fairlead/model/time.hpp>

namespace fairlead {

/// Requests that wait, first come first served within a priority (lower first). `Ticket` is what the caller
/// knows a request by: cheap to copy, with `==`, such as a shared pointer.
///
/// Requests of one *kind* want the same (model, tags, exclusions): when the first of a kind finds no place,
/// the others of it need not look. So one pass over those who wait asks once a kind, not once a request:
///
///     queue.begin_pass();
///     while (auto* entry = queue.first()) {
///         if (there is a place for entry->ticket) queue.remove(entry->kind, entry->order);
///         else queue.skip(entry->kind);
///     }
///
/// Threads: needs the caller's mutex. `push`, `remove` O(log n); `first` O(kinds). `push` throws
/// std::bad_alloc.
template <class Ticket>
class WaitQueue {
  public:
    /// Lower is served first: the priority, then the moment of arrival.
    using Order = std::pair<int, std::uint64_t>;

    struct Entry {
        Ticket ticket{};
        std::string kind{};
        Order order{};
        Deadline until{};
    };

    /// Puts it behind those of its priority. False when `limit` wait already.
    bool push(Ticket ticket, std::string kind, int priority, Deadline until, std::size_t limit) {
        if (size_ >= limit) return false;
        const Order order{priority, ++arrivals_};
        auto& line = lines_[kind];
        line.entries.emplace(order, Entry{std::move(ticket), std::move(kind), order, until});
        ++size_;
        earliest_ = std::min(earliest_, until.at);
        return true;
    }

    std::size_t size() const noexcept { return size_; }

    /// A look from the front begins: no kind is skipped.
    void begin_pass() noexcept { ++pass_; }

    /// The first of all kinds that are not skipped in this pass; nullptr when there is none.
    const Entry* first() const noexcept {
        const Entry* best = nullptr;
        for (const auto& [kind, line] : lines_) {
            if (line.skipped_in == pass_ || line.entries.empty()) continue;
            const Entry& front = line.entries.begin()->second;
            if (best == nullptr || front.order < best->order) best = &front;
        }
        return best;
    }

    /// There is no place for this kind in this pass.
    void skip(const std::string& kind) noexcept {
        if (const auto it = lines_.find(kind); it != lines_.end()) it->second.skipped_in = pass_;
    }

    /// Takes it out. False when it is not there any more: served, cancelled or too late.
    bool remove(const std::string& kind, const Ticket& ticket) noexcept {
        const auto line = lines_.find(kind);
        if (line == lines_.end()) return false;
        auto& entries = line->second.entries;
        for (auto it = entries.begin(); it != entries.end(); ++it) {
            if (!(it->second.ticket == ticket)) continue;
            entries.erase(it);
            --size_;
            if (entries.empty()) lines_.erase(line);
            return true;
        }
        return false;
    }

    /// Takes out all whose time is up. O(1) when there are none. Throws std::bad_alloc.
    std::vector<Ticket> take_late(Time now) {
        std::vector<Ticket> late;
        if (now < earliest_) return late;
        earliest_ = Time::max();
        for (auto line = lines_.begin(); line != lines_.end();) {
            auto& entries = line->second.entries;
            for (auto it = entries.begin(); it != entries.end();) {
                if (it->second.until.passed(now)) {
                    late.push_back(std::move(it->second.ticket));
                    it = entries.erase(it);
                    --size_;
                } else {
                    earliest_ = std::min(earliest_, it->second.until.at);
                    ++it;
                }
            }
            line = entries.empty() ? lines_.erase(line) : std::next(line);
        }
        return late;
    }

    // --- how fast it moves -------------------------------------------------------------------------------

    /// A place came free and somebody who waited got it.
    void served(Time now) noexcept {
        recent_ = faded(now) + 1.0;
        last_ = now;
    }

    /// How long one that comes now would wait, from the rate at which places came free of late: what a caller
    /// is told who cannot wait. 1 s..60 s; 1 s while nothing is known.
    Duration expected_wait(Time now) const noexcept {
        const double seconds = static_cast<double>(size_ + 1) * memory_seconds / std::max(faded(now), 1e-9);
        const double bounded = recent_ > 0 ? std::clamp(seconds, 1.0, 60.0) : 1.0;
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(bounded));
    }

  private:
    struct Line {
        std::map<Order, Entry> entries;
        std::uint64_t skipped_in = 0;
    };

    // Because answers of language models take seconds: a shorter memory would see none between two.
    static constexpr double memory_seconds = 10.0;

    double faded(Time now) const noexcept {
        const double passed = std::chrono::duration<double>(now - last_).count();
        return recent_ * std::exp(-std::max(0.0, passed) / memory_seconds);
    }

    std::unordered_map<std::string, Line> lines_;
    std::size_t size_ = 0;
    std::uint64_t arrivals_ = 0;
    std::uint64_t pass_ = 0;
    Time earliest_ = Time::max();
    double recent_ = 0.0;  // places that came free, fading
    Time last_{};
};

}  // namespace fairlead
