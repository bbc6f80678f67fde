// Checks the bytes of a head, or of trailers, line by line, before any other reader sees them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <system_error>

#include <fairlead/transport/transport_error.hpp>

namespace fairlead::detail {

inline constexpr auto token_chars = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view{"!#$%&'*+-.^_`|~0123456789"})
        table[static_cast<unsigned char>(c)] = true;
    for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
    for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
    return table;
}();

/// Whether a character may stand in a token: method, header name (RFC 9110, 5.6.2).
constexpr bool is_token_char(char c) noexcept { return token_chars[static_cast<unsigned char>(c)]; }

constexpr bool is_control_char(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

/// How many bytes of `text` come before its first control character: eight are looked at at a time.
inline std::size_t before_control_char(std::string_view text) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t highs = ones * 0x80;
    // The usual tricks with carries: they are exact as to whether there is one, not as to where.
    const auto has_less = [](std::uint64_t word, std::uint64_t than) {
        return (word - ones * than) & ~word & highs;
    };
    std::size_t i = 0;
    std::uint64_t word = 0;
    for (; i + sizeof word <= text.size(); i += sizeof word) {
        std::memcpy(&word, text.data() + i, sizeof word);
        if ((has_less(word, 0x20) | has_less(word ^ (ones * 0x7F), 1)) != 0) break;
    }
    while (i < text.size() && !is_control_char(text[i])) ++i;
    return i;
}

/// Finds the end of a head and refuses what readers are known to disagree about (RFC 9112, 2.2 and 5): how
/// lines end, blanks before a colon, folded lines, control bytes. What a header means is not its business.
///
/// A head is read with `scan_start_line`, and when that is done with `scan_fields`; trailers with the latter
/// alone. Both return how many bytes are part of the head; on an error, those before the bad one.
class HeadScanner {
  public:
    enum class Begin : std::uint8_t { request_line, status_line, trailers };

    /// What is told of a field, as it comes: pieces of its name, then of its value without blanks before it,
    /// then that it has ended.
    enum class Part : std::uint8_t { name, value, end };

    explicit HeadScanner(Begin begin) noexcept { restart(begin); }

    void restart(Begin begin) noexcept {
        begin_ = begin;
        state_ = begin == Begin::trailers ? State::line_start : State::message_start;
        matched_ = 0;
        blank_lines_ = 0;
    }

    bool in_start_line() const noexcept { return state_ <= State::start_line_feed; }
    bool done() const noexcept { return state_ == State::done; }

    std::size_t scan_start_line(std::span<const char> input, std::error_code& error) noexcept {
        std::size_t i = 0;
        for (; i < input.size() && in_start_line(); ++i) {
            // Past what changes nothing.
            if (state_ == State::start_line &&
                (begin_ != Begin::status_line || matched_ == protocol.size())) {
                while (i < input.size() && is_visible_or_space(input[i])) ++i;
                if (i == input.size()) break;
            }
            if (const auto refused = step(input[i]); refused != accepted) {
                error = refused;
                break;
            }
        }
        return i;
    }

    /// `visit(Part, std::string_view)` is told of each field.
    template <class Visitor>
    std::size_t scan_fields(std::span<const char> input, std::error_code& error, Visitor&& visit) {
        std::size_t i = 0;
        while (i < input.size() && state_ != State::done) {
            const char c = input[i];
            if (state_ == State::line_start && is_token_char(c)) state_ = State::name;
            if (state_ == State::value_start && c != ' ' && c != '\t') state_ = State::value;
            // Most of a head is inside names and values.
            if (const auto text = plain({input.data() + i, input.size() - i}); !text.empty()) {
                visit(state_ == State::name ? Part::name : Part::value, text);
                i += text.size();
                continue;
            }
            const bool in_value = state_ == State::value;
            if (const auto refused = step(c); refused != accepted) {
                error = refused;
                break;
            }
            if (in_value && c == '\t') {
                visit(Part::value, std::string_view{&input[i], 1});
            } else if (in_value) {
                visit(Part::end, std::string_view{});
            }
            ++i;
        }
        return i;
    }

  private:
    enum class State : std::uint8_t {
        message_start,
        blank_line_feed,
        start_line,
        start_line_feed,
        line_start,
        name,
        value_start,
        value,
        line_feed,
        last_line_feed,
        done
    };
    static constexpr TransportErrc accepted{};

    /// How `rest` begins: what belongs to a name or a value and changes nothing.
    std::string_view plain(std::string_view rest) const noexcept {
        if (state_ == State::value) return rest.substr(0, before_control_char(rest));
        if (state_ != State::name) return {};
        std::size_t size = 0;
        while (size < rest.size() && is_token_char(rest[size])) ++size;
        return rest.substr(0, size);
    }

    /// ASCII: what neither ends a line nor is refused in one.
    static constexpr bool is_visible_or_space(char c) noexcept { return c >= 0x20 && c < 0x7F; }

    TransportErrc step(char c) noexcept {
        switch (state_) {
            case State::message_start:
                if (c == '\r' && begin_ == Begin::request_line && blank_lines_ < max_blank_lines) {
                    return to(State::blank_line_feed);
                }
                state_ = State::start_line;
                return start_line(c);
            case State::blank_line_feed:
                ++blank_lines_;
                return c == '\n' ? to(State::message_start) : TransportErrc::lone_carriage_return;
            case State::start_line:
                return start_line(c);
            case State::line_start:
                if (c == '\r') return to(State::last_line_feed);
                if (c == ' ' || c == '\t') return TransportErrc::folded_header;
                return refused_in_name(c);
            case State::name:
                if (c == ':') return to(State::value_start);
                if (c == ' ' || c == '\t') return TransportErrc::space_before_colon;
                if (c == '\r') return TransportErrc::bad_header;
                return refused_in_name(c);
            case State::value_start:
                return accepted;
            case State::value:
                if (c == '\r') return to(State::line_feed);
                if (c == '\n') return TransportErrc::lone_line_feed;
                return is_control_char(c) && c != '\t' ? TransportErrc::control_byte : accepted;
            case State::start_line_feed:
            case State::line_feed:
                return c == '\n' ? to(State::line_start) : TransportErrc::lone_carriage_return;
            case State::last_line_feed:
                return c == '\n' ? to(State::done) : TransportErrc::lone_carriage_return;
            case State::done:
                break;
        }
        return accepted;
    }

    TransportErrc start_line(char c) noexcept {
        if (begin_ == Begin::status_line && matched_ < protocol.size()) {
            if (c != protocol[matched_]) return TransportErrc::not_http;
            ++matched_;
            return accepted;
        }
        if (c == '\r') return to(State::start_line_feed);
        if (c == '\n') return TransportErrc::lone_line_feed;
        if (is_control_char(c)) return TransportErrc::control_byte;
        // A reason phrase may hold old 8-bit text; a target may not (RFC 3986).
        const bool high = static_cast<unsigned char>(c) > 0x7F;
        return high && begin_ == Begin::request_line ? TransportErrc::bad_target : accepted;
    }

    static TransportErrc refused_in_name(char c) noexcept {
        if (c == '\n') return TransportErrc::lone_line_feed;
        return is_control_char(c) ? TransportErrc::control_byte : TransportErrc::bad_header_name;
    }

    TransportErrc to(State next) noexcept {
        state_ = next;
        return accepted;
    }

    static constexpr std::string_view protocol = "HTTP/";
    // RFC 9112 (2.2) asks servers to bear at least one empty line before a request; more has no honest use.
    static constexpr std::uint8_t max_blank_lines = 2;

    Begin begin_{};
    State state_{};
    std::uint8_t matched_ = 0;
    std::uint8_t blank_lines_ = 0;
};

}  // namespace fairlead::detail
