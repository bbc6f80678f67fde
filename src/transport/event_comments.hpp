// Tells what an engine has to say from what keeps a connection alive: comments in a stream of events.
#pragma once

#include <string_view>

namespace fairlead::detail {

/// Goes over a stream of server-sent events that comes in pieces of any size (WHATWG HTML, 9.2.6). Lines end
/// with LF, CRLF or CR; one that begins with ':' is a comment.
///
/// Threads: one at a time. Cost: a look at each line's first byte and a search for its end.
class EventComments {
  public:
    /// Whether the piece has anything but comments and empty lines.
    bool says_something(std::string_view piece) noexcept {
        bool something = false;
        while (!piece.empty()) {
            if (!in_line_) {
                in_comment_ = piece.front() == ':';
                in_line_ = true;
            }
            const auto end = piece.find_first_of("\r\n");
            something = something || (!in_comment_ && end != 0);
            if (end == std::string_view::npos) break;
            in_line_ = false;
            piece.remove_prefix(end + 1);
        }
        return something;
    }

  private:
    bool in_line_ = false;
    bool in_comment_ = false;
};

}  // namespace fairlead::detail
