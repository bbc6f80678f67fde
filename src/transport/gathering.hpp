// When a stream had better be read a little later.
#pragma once

#include <chrono>
#include <cstddef>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// Whether a stream is in a burst: its backend sends many chunks at once, as an engine does that was held up.
/// A read, the write behind it, the peer it wakes and the wait for more cost the same however much they
/// carry. What came first is never put off; of the rest more comes at once a little later. Where that was
/// wrong, because a backend always sends several chunks and then none, it is not tried again for long.
///
/// Threads: one.
class Gathering {
  public:
    /// How long the next read of a burst is put off: less than any engine takes for a token.
    static constexpr Duration wait = std::chrono::microseconds{250};

    /// A read, `now`, brought `chunks` of `bytes` in all.
    void took(Time now, int chunks, std::size_t bytes) noexcept {
        pays_ = chunks > 1 && bytes < much && now >= next_;
        if (pays_) next_ = now + once_in;
    }

    /// A read found nothing.
    void found_nothing(Time now) noexcept {
        if (pays_) next_ = now + after_nothing;
        pays_ = false;
    }

    /// Whether the next read had better wait.
    bool pays() const noexcept { return pays_; }

  private:
    // More than events are: whoever sends so much would be held up.
    static constexpr std::size_t much = std::size_t{16} * 1024;
    // A burst is longer than its sender's first window; what the first acknowledgement lets go comes whole.
    static constexpr Duration once_in = std::chrono::milliseconds{2};
    static constexpr Duration after_nothing = std::chrono::seconds{1};

    Time next_{};
    bool pays_ = false;
};

}  // namespace fairlead::detail
