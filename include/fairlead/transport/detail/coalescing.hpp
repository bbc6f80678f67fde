// When it pays to put off a write to the loop's next turn.
#pragma once

#include <chrono>
#include <utility>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// Whether things of one kind follow one another closely. A loop that is busy reads from many sockets in a
/// turn; what it writes in the next turn, together, wakes a peer that waits once instead of each time. A loop
/// that is not would look at its sockets for nothing before it writes.
///
/// Threads: one.
class Coalescing {
  public:
    /// One more of them, `now`.
    bool pays(Time now) noexcept { return now - std::exchange(last_, now) < closely; }

  private:
    // Ten thousand a second: several while a peer that was woken gets to its work.
    static constexpr Duration closely = std::chrono::microseconds{100};

    Time last_{};
};

}  // namespace fairlead::detail
