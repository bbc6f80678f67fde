// What an answer says of its own cost, read while it passes by.
//
// Engines tell the tokens of a request in a member "usage": near the end of a plain answer, and in the last
// event of a stream whose client asked for it. Waiting for a whole answer to parse it would hold it up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gateway {

/// The tokens of one request, as its answer tells them. What it does not tell is 0.
struct Usage {
    std::uint64_t prompt = 0;      ///< `prompt_tokens`, or `input_tokens` of /v1/responses
    std::uint64_t completion = 0;  ///< `completion_tokens`, or `output_tokens`
    std::uint64_t cached = 0;      ///< of the prompt, taken from the engine's cache: `cached_tokens`

    bool operator==(const Usage&) const = default;
};

/// Looks for the last object "usage" with a count in an answer that comes in pieces of any size: JSON, or
/// server-sent events of JSON. A quote inside of a text is escaped there, so that no text can pass for the
/// member's name.
///
/// Threads: one at a time. Cost: a search over the bytes; copies the object alone, at most 1 KiB of it.
class UsageReader {
  public:
    /// Whether one came to its end in this piece, and counts.
    bool feed(std::string_view piece);

    /// Empty while none has come.
    std::optional<Usage> usage() const { return found_; }

  private:
    enum class State : std::uint8_t { text, name, after_name, after_colon, object };

    std::string_view find(std::string_view piece);
    std::string_view match(std::string_view piece);
    std::string_view collect(std::string_view piece);

    State state_ = State::text;
    std::size_t matched_ = 0;  // bytes of the name that have come
    char last_ = '\0';         // the byte before
    int depth_ = 0;
    bool whole_ = false;
    std::string object_{};  // that is coming
    std::optional<Usage> found_{};
};

}  // namespace gateway
