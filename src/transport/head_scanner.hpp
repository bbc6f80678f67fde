// Checks the bytes of a head, or of trailers, line by line, before any other reader sees them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
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

/// Finds the end of a head and refuses what readers are known to disagree about (RFC 9112, 2.2 and 5): how
/// lines end, blanks before a colon, folded lines, control bytes. What a header means is not its business.
class HeadScanner {
  public:
    enum class Begin : std::uint8_t { request_line, status_line, trailers };

    explicit HeadScanner(Begin begin) noexcept { restart(begin); }

    void restart(Begin begin) noexcept {
        begin_ = begin;
        state_ = begin == Begin::trailers ? State::line_start : State::message_start;
        matched_ = 0;
        blank_lines_ = 0;
    }

    bool done() const noexcept { return state_ == State::done; }

    /// Reads up to the end of the head. Returns how many bytes are part of it; on an error, those before the
    /// bad one.
    std::size_t scan(std::span<const char> input, std::error_code& error) noexcept {
        std::size_t i = 0;
        for (; i < input.size() && state_ != State::done; ++i) {
            i = skip_plain(input, i);
            if (i == input.size()) break;
            if (const auto refused = step(input[i]); refused != accepted) {
                error = refused;
                return i;
            }
        }
        return i;
    }

  private:
    enum class State : std::uint8_t {
        message_start,
        blank_line_feed,
        start_line,
        line_start,
        name,
        value,
        line_feed,
        last_line_feed,
        done
    };
    static constexpr TransportErrc accepted{};

    /// Past what changes nothing: most of a head is inside names and values.
    std::size_t skip_plain(std::span<const char> input, std::size_t i) const noexcept {
        if (state_ == State::value) {
            while (i < input.size() && !is_control_char(input[i])) ++i;
        } else if (state_ == State::name) {
            while (i < input.size() && is_token_char(input[i])) ++i;
        }
        return i;
    }

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
                if (is_token_char(c)) return to(State::name);
                return refused_in_name(c);
            case State::name:
                if (is_token_char(c)) return accepted;
                if (c == ':') return to(State::value);
                if (c == ' ' || c == '\t') return TransportErrc::space_before_colon;
                if (c == '\r') return TransportErrc::bad_header;
                return refused_in_name(c);
            case State::value:
                if (c == '\r') return to(State::line_feed);
                if (c == '\n') return TransportErrc::lone_line_feed;
                return is_control_char(c) && c != '\t' ? TransportErrc::control_byte : accepted;
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
        if (c == '\r') return to(State::line_feed);
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
