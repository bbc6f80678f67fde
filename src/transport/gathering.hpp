// When a stream had better be read a little later.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// Whether a stream is in a burst: its backend sends many chunks at once, as an engine does that was held up.
/// A read, the write behind it, the peer it wakes and the wait for more cost the same however much they
/// carry. What came first is never put off; of the rest more comes at once a little later. Where that was
/// wrong, because a backend always sends several chunks and then none, it is tried less and less.
///
/// Threads: one.
class Gathering {
  public:
    /// How long the next read of a burst is put off: less than any engine takes for a token.
    static constexpr Duration wait = std::chrono::microseconds{250};

    /// What `until` says where nothing is put off.
    static constexpr Time at_once{};

    /// A read, `now`, brought `chunks` of `bytes` in all, and left nothing.
    void took(Time now, int chunks, std::size_t bytes) noexcept {
        if (until_ != at_once) rest_ = once_in;  // it was worth it
        const bool pays = chunks > 1 && bytes < much && now >= next_;
        until_ = pays ? now + wait : at_once;
        if (pays) next_ = now + once_in;
    }

    /// A read that was put off found nothing.
    void found_nothing(Time now) noexcept {
        rest_ = std::min(2 * rest_, after_nothing);
        next_ = now + rest_;
        until_ = at_once;
    }

    /// When to read again.
    Time until() const noexcept { return until_; }

    /// It is read before that.
    void forget() noexcept { until_ = at_once; }

  private:
    // More than events are: whoever sends so much would be held up.
    static constexpr std::size_t much = std::size_t{16} * 1024;
    // Measured: to put off each read of a burst wakes the loop for the last one, which finds nothing, and
    // gains nothing over this. It is longer than a burst of fifty events takes.
    static constexpr Duration once_in = std::chrono::milliseconds{2};
    // What was for nothing costs half as much again as the read. It may have been chance: the rest doubles
    // each time, up to where nobody notices it.
    static constexpr Duration after_nothing = std::chrono::seconds{1};

    Time until_ = at_once;
    Time next_{};
    Duration rest_ = once_in;
};

}  // namespace fairlead::detail
