// A small number for each running thread, given again when the thread has ended.
//
// Balancers index their per-thread lanes by it, so no state of a balancer lies in thread-local storage:
// threads that end, pools of threads and balancers that die need no bookkeeping of each other.
#pragma once

#include <cstdint>
#include <limits>
#include <mutex>
#include <new>
#include <vector>

namespace fairlead::detail {

inline constexpr std::uint32_t no_thread_number = std::numeric_limits<std::uint32_t>::max();

class ThreadNumbers {
  public:
    /// The smallest number that is free. Throws std::bad_alloc. Takes the mutex.
    std::uint32_t take() {
        const std::lock_guard lock{mutex_};
        if (!free_.empty()) {
            const std::uint32_t number = free_.back();
            free_.pop_back();
            return number;
        }
        free_.reserve(std::size_t{next_} + 1);  // so that giving back cannot fail
        return next_++;
    }

    /// Takes the mutex. What the thread did with the number happens before its next owner's `take`.
    void give_back(std::uint32_t number) noexcept {
        const std::lock_guard lock{mutex_};
        free_.push_back(number);
    }

    /// Never destroyed: threads may end after static destructors ran.
    static ThreadNumbers& all() {
        static auto* const numbers = new ThreadNumbers;
        return *numbers;
    }

  private:
    std::mutex mutex_;
    std::uint32_t next_ = 0;
    std::vector<std::uint32_t> free_;
};

/// The running thread's number plus one; 0 before its first use. Constant-initialized, so that reading it
/// needs no guard.
inline constinit thread_local std::uint32_t thread_number_plus_one = 0;
inline constinit thread_local bool thread_number_is_returned = false;

/// Gives the number back when its thread ends.
struct ThreadNumberReturn {
    ~ThreadNumberReturn() {
        if (thread_number_plus_one == 0) return;
        ThreadNumbers::all().give_back(thread_number_plus_one - 1);
        thread_number_plus_one = 0;
        thread_number_is_returned = true;
    }
    void arm() const noexcept {}
};
inline thread_local const ThreadNumberReturn thread_number_return{};

inline std::uint32_t new_thread_number() noexcept {
    try {
        const std::uint32_t number = ThreadNumbers::all().take();
        // A thread-local destructor that still uses a balancer gets a number that nobody has after it.
        if (!thread_number_is_returned) thread_number_return.arm();
        thread_number_plus_one = number + 1;
        return number;
    } catch (const std::bad_alloc&) {
        return no_thread_number;
    }
}

/// The running thread's number; `no_thread_number` when memory ran out on its first use.
inline std::uint32_t thread_number() noexcept {
    const std::uint32_t number = thread_number_plus_one;
    return number != 0 ? number - 1 : new_thread_number();
}

}  // namespace fairlead::detail
