// Splits a stream of server-sent events into events (WHATWG HTML, 9.2.6). Standard library only, no I/O.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace fairlead {

/// One event. Absent fields are empty; the lines of `data` are joined by LF.
struct SseEvent {
    std::string event{};
    std::string data{};
    std::string id{};

    bool operator==(const SseEvent&) const = default;
};

/// Takes pieces of any size and calls `visit(SseEvent&&)` for each event that is complete.
///
///     fairlead::SseSplitter events;
///     events.feed(piece, [](fairlead::SseEvent&& event) { if (event.data == "[DONE]") ...; });
///
/// Lines end with LF, CRLF or CR; comments (a line that begins with ':'), `retry` and unknown fields are
/// skipped, and so is an event without `data`, as the standard says. Events may have any size up to
/// `max_bytes`; one beyond it is dropped whole and counted, so that a stream without an end of line cannot
/// eat the memory.
///
/// Threads: one at a time. Cost: linear, one copy of the data.
class SseSplitter {
  public:
    /// 1 MiB: a thousand times a common event.
    explicit SseSplitter(std::size_t max_bytes = std::size_t{1024} * 1024) noexcept : max_bytes_{max_bytes} {}

    template <class Visitor>
    void feed(std::string_view piece, Visitor&& visit) {
        while (!piece.empty()) {
            if (after_cr_) {
                after_cr_ = false;
                if (piece.front() == '\n') {
                    piece.remove_prefix(1);
                    continue;
                }
            }
            const auto end = piece.find_first_of("\r\n");
            append(piece.substr(0, end));
            if (end == std::string_view::npos) return;
            after_cr_ = piece[end] == '\r';
            piece.remove_prefix(end + 1);
            if (take_line()) {
                has_data_ = false;
                visit(std::exchange(event_, {}));
            }
        }
    }

    /// Events that were dropped because they were too large.
    std::size_t dropped() const noexcept { return dropped_; }

  private:
    void append(std::string_view text) {
        if (too_large_ || line_.size() + event_.data.size() + text.size() > max_bytes_) {
            too_large_ = true;
            line_.assign(text.empty() && line_.empty() ? "" : ":");  // not an empty line, and nothing more
            return;
        }
        line_.append(text);
    }

    /// Reads the line that is whole now. True when it ended an event that is to be given out.
    bool take_line() {
        if (first_line_) {
            first_line_ = false;
            if (line_.starts_with("\xEF\xBB\xBF"))
                line_.erase(0, 3);  // a byte order mark is no part of the stream
        }
        if (!line_.empty()) {
            if (!too_large_) take_field(line_);
            line_.clear();
            return false;
        }
        if (std::exchange(too_large_, false)) {
            ++dropped_;
            has_data_ = false;
        }
        if (has_data_) return true;
        event_ = {};
        return false;
    }

    void take_field(std::string_view line) {
        const auto colon = line.find(':');
        const auto name = line.substr(0, colon);
        auto value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (name == "data") {
            if (std::exchange(has_data_, true)) event_.data.push_back('\n');
            event_.data.append(value);
        } else if (name == "event") {
            event_.event = value;
        } else if (name == "id" && value.find('\0') == std::string_view::npos) {
            event_.id = value;
        }
    }

    std::size_t max_bytes_;
    std::string line_{};
    SseEvent event_{};
    std::size_t dropped_ = 0;
    bool has_data_ = false;
    bool after_cr_ = false;
    bool first_line_ = true;
    bool too_large_ = false;
};

}  // namespace fairlead
