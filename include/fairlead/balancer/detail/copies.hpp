// Copies of requests that are under way to mirrors: nobody waits for them, so the balancer must end them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/outcome.hpp>

namespace fairlead::detail {

/// Holds a copy's lease until its answer has come. Any thread. Whoever sends a copy holds this weakly: when
/// the balancer has gone, an answer that still comes finds nobody to tell.
template <class Core>
class Copies {
  public:
    explicit Copies(Core& core) noexcept : core_{core} {}

    /// The copy's number; 0 when no more copies are wanted. Throws std::bad_alloc.
    std::uint64_t add(Lease lease) {
        const std::lock_guard lock{mutex_};
        if (is_closed_) return 0;
        copies_.emplace(++last_, Copy{std::move(lease), {}});
        return last_;
    }

    /// It is on its way; `cancel` ends it soon, and does no harm when it has ended. Called once at most, and
    /// without a lock: at once when the copy was given up before this.
    void let_cancel(std::uint64_t number, std::function<void()> cancel) {
        {
            const std::lock_guard lock{mutex_};
            if (const auto copy = copies_.find(number); copy != copies_.end()) {
                copy->second.cancel = std::move(cancel);
                return;
            }
        }
        cancel();
    }

    /// The answer came, or the error.
    void finished(std::uint64_t number, const Outcome& outcome) noexcept {
        Lease lease;
        {
            const std::lock_guard lock{mutex_};
            const auto copy = copies_.find(number);
            if (copy == copies_.end()) return;  // given up meanwhile
            lease = std::move(copy->second.lease);
            copies_.erase(copy);
            ++reporting_;
        }
        core_.report(std::move(lease), outcome);
        const std::lock_guard lock{mutex_};
        --reporting_;
        none_reports_.notify_all();
    }

    /// Gives up all that are under way; with `for_good` no more are taken, and when it returns nothing of
    /// this touches the balancer any more.
    void cancel(bool for_good) {
        std::map<std::uint64_t, Copy> given_up;
        {
            std::unique_lock lock{mutex_};
            is_closed_ = is_closed_ || for_good;
            given_up.swap(copies_);
            if (for_good) none_reports_.wait(lock, [this] { return reporting_ == 0; });
        }
        for (auto& [number, copy] : given_up) {
            core_.report(std::move(copy.lease), Outcome::cancelled);
            if (copy.cancel) copy.cancel();
        }
    }

  private:
    struct Copy {
        Lease lease;
        std::function<void()> cancel;
    };

    Core& core_;
    std::mutex mutex_;
    std::condition_variable none_reports_;
    std::size_t reporting_ = 0;
    bool is_closed_ = false;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, Copy> copies_;
};

}  // namespace fairlead::detail
