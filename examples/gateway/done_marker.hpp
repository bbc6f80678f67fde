// Whether a stream of completions has come to its proper end.
//
// An engine that dies between two tokens behind a proxy of its own may leave a stream that HTTP calls
// complete: half an answer, and nothing that says so. OpenAI's API ends every stream of completions with an
// event `data: [DONE]`; one without it was broken off, however orderly its connection was closed.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gateway {

/// Looks for a line `data: [DONE]` (the blank may be missing) in a stream of server-sent events that comes in
/// pieces of any size, and counts the events before it. Lines end with LF, CRLF, CR or the stream's end.
///
/// Threads: one at a time. Cost: two searches over the bytes; copies 13 bytes a line, allocates nothing.
class DoneMarker {
  public:
    void feed(std::string_view piece) noexcept {
        for_each_part(piece, '\n', [this](std::string_view lines, bool line_feed) {
            // A CR before a LF ends the line, and the LF an empty one: the same for what is looked for here.
            for_each_part(lines, '\r', [this, line_feed, lines](std::string_view part, bool carriage_return) {
                append(part);
                const bool last = part.data() + part.size() == lines.data() + lines.size();
                if (carriage_return || (last && line_feed)) end_line();
            });
        });
    }

    /// Events with data so far, the marker not among them: an engine sends one for each token, or nearly.
    std::uint64_t events() const noexcept { return events_; }

    /// Whether the marker has come, be it as the last line so far and without its end.
    bool seen() const noexcept { return seen_ || is_marker(); }

  private:
    // One more than the longest spelling, so that a longer line is told apart.
    static constexpr std::size_t room = std::string_view{"data: [DONE]"}.size() + 1;

    /// Calls `visit(part, ended)` for what stands between two of `separator`, and for what follows the last.
    template <class Visitor>
    static void for_each_part(std::string_view text, char separator, Visitor visit) noexcept {
        for (;;) {
            const auto end = text.find(separator);
            visit(text.substr(0, end), end != std::string_view::npos);
            if (end == std::string_view::npos) return;
            text.remove_prefix(end + 1);
        }
    }

    void append(std::string_view part) noexcept {
        const auto count = std::min(part.size(), room - size_);
        std::copy_n(part.data(), count, line_.data() + size_);
        size_ += count;
    }

    void end_line() noexcept {
        const bool marker = is_marker();
        seen_ = seen_ || marker;
        if (!marker && std::string_view{line_.data(), size_}.starts_with("data:")) ++events_;
        size_ = 0;
    }

    bool is_marker() const noexcept {
        const std::string_view line{line_.data(), size_};
        return line == "data: [DONE]" || line == "data:[DONE]";
    }

    std::array<char, room> line_{};  // how the line under way begins
    std::size_t size_ = 0;
    std::uint64_t events_ = 0;
    bool seen_ = false;
};

}  // namespace gateway
