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
#include <iterator>
#include <limits>
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
        const auto named = lines_.try_emplace(kind).first;
        Line& line = named->second;
        auto entry = line.end();
        try {
            entry = line.emplace(order, Entry{std::move(ticket), std::move(kind), order, until}).first;
            if (line.size() == 1) fronts_.emplace(order, &line);
        } catch (...) {
            // As if it had not come: nobody must find a line that is empty.
            if (entry != line.end()) line.erase(entry);
            if (line.empty()) lines_.erase(named);
            throw;
        }
        if (const auto second = std::next(entry); entry == line.begin() && second != line.end()) {
            auto front = fronts_.extract(second->first);
            front.key() = order;
            fronts_.insert(std::move(front));
        }
        ++size_;
        earliest_ = std::min(earliest_, until.at);
        return true;
    }

    std::size_t size() const noexcept { return size_; }

    /// Whether anybody waits for this.
    bool waits(const std::string& kind) const noexcept { return lines_.contains(kind); }

    /// A look from the front begins: no kind is skipped.
    void begin_pass() noexcept { looked_at_ = before_all; }

    /// The first of all kinds that are not skipped in this pass; nullptr when there is none.
    const Entry* first() const noexcept {
        const auto front = fronts_.upper_bound(looked_at_);
        return front == fronts_.end() ? nullptr : &front->second->begin()->second;
    }

    /// There is no place for this kind in this pass: what comes before its first was looked at, too.
    void skip(const std::string& kind) noexcept {
        if (const auto line = lines_.find(kind); line != lines_.end())
            looked_at_ = line->second.begin()->first;
    }

    /// Takes it out. False when it is not there any more: served, cancelled or too late.
    bool remove(const std::string& kind, const Ticket& ticket) noexcept {
        const auto line = lines_.find(kind);
        if (line == lines_.end()) return false;
        Line& entries = line->second;
        const auto it = std::find_if(entries.begin(), entries.end(),
                                     [&](const auto& each) { return each.second.ticket == ticket; });
        if (it == entries.end()) return false;
        erase(entries, it);
        if (entries.empty()) lines_.erase(line);
        return true;
    }

    /// Takes out all whose time is up. O(1) when there are none. Throws std::bad_alloc.
    std::vector<Ticket> take_late(Time now) {
        std::vector<Ticket> late;
        if (now < earliest_) return late;
        late.reserve(size_);  // all or nothing: who was taken out and not told would wait for ever
        earliest_ = Time::max();
        for (auto line = lines_.begin(); line != lines_.end();) {
            Line& entries = line->second;
            for (auto it = entries.begin(); it != entries.end();) {
                if (it->second.until.passed(now)) {
                    late.push_back(it->second.ticket);
                    it = erase(entries, it);
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
    using Line = std::map<Order, Entry>;  // of one kind; never empty while it is in `lines_`
    static constexpr Order before_all{std::numeric_limits<int>::min(), 0};

    /// Keeps `fronts_`: a node is moved, so that nothing can fail.
    typename Line::iterator erase(Line& line, typename Line::iterator entry) noexcept {
        const bool is_front = entry == line.begin();
        auto front = is_front ? fronts_.extract(entry->first) : typename Fronts::node_type{};
        const auto next = line.erase(entry);
        --size_;
        if (is_front && !line.empty()) {
            front.key() = line.begin()->first;
            fronts_.insert(std::move(front));
        }
        return next;
    }

    // Because answers of language models take seconds: a shorter memory would see none between two.
    static constexpr double memory_seconds = 10.0;

    double faded(Time now) const noexcept {
        const double passed = std::chrono::duration<double>(now - last_).count();
        return recent_ * std::exp(-std::max(0.0, passed) / memory_seconds);
    }

    using Fronts = std::map<Order, Line*>;

    std::unordered_map<std::string, Line> lines_;  // whose elements stay where they are
    Fronts fronts_;                                // the first of each line, in order
    Order looked_at_ = before_all;                 // in this pass, up to here
    std::size_t size_ = 0;
    std::uint64_t arrivals_ = 0;
    Time earliest_ = Time::max();
    double recent_ = 0.0;  // places that came free, fading
    Time last_{};
};

}  // namespace fairlead
