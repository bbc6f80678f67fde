// Checks the bytes of a head, or of trailers, line by line, before any other reader sees them.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
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

/// How many bytes of `text` come before the first that is a control character, or, with `ascii_only`, is none
/// of ASCII's: eight are looked at at a time.
template <bool ascii_only = false>
inline std::size_t before_control_char(std::string_view text) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t highs = ones * 0x80;
    constexpr std::size_t step = sizeof ones;
    // The usual tricks with carries: exact as to whether there is one, and as to where the lowest is, since a
    // carry goes up.
    const auto has_less = [](std::uint64_t word, std::uint64_t than) {
        return (word - ones * than) & ~word & highs;
    };
    const auto marks_at = [&](std::size_t at) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + at, step);
        return has_less(word, 0x20) | has_less(word ^ (ones * 0x7F), 1) | (ascii_only ? word & highs : 0);
    };
    std::size_t i = 0;
    if constexpr (std::endian::native == std::endian::little) {
        if (text.size() >= step) {
            // The last eight may overlap those before them, of which none is marked.
            for (;; i = std::min(i + step, text.size() - step)) {
                if (const auto marks = marks_at(i); marks != 0)
                    return i + static_cast<std::size_t>(std::countr_zero(marks)) / 8;
                if (i + step == text.size()) return text.size();
            }
        }
    }
    const auto is_plain = [](char c) {
        return !is_control_char(c) && !(ascii_only && static_cast<unsigned char>(c) > 0x7F);
    };
    while (i < text.size() && is_plain(text[i])) ++i;
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

    /// What is told of a field that comes in pieces: those of its name, then of its value without blanks
    /// before it, then that it has ended.
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
                i += before_control_char<true>({input.data() + i, input.size() - i});
                if (i == input.size()) break;
            }
            if (const auto refused = step(input[i]); refused != accepted) {
                error = refused;
                break;
            }
        }
        return i;
    }

    /// Of each field either `visit(name, value)` is told, the latter without blanks before it, or
    /// `visit(Part, std::string_view)`.
    template <class Visitor>
    std::size_t scan_fields(std::span<const char> input, std::error_code& error, Visitor&& visit) {
        std::size_t i = 0;
        while (i < input.size() && state_ != State::done) {
            if (state_ == State::line_start) {
                const auto line = whole_line({input.data() + i, input.size() - i}, visit);
                i += line;
                if (line > 0) continue;
            }
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

    /// The size of a line at the start of `rest` that is whole and as most are, of which `visit` was told,
    /// else 0: then it is read byte by byte, and so is what is wrong with it.
    template <class Visitor>
    static std::size_t whole_line(std::string_view rest, Visitor& visit) {
        const auto name = rest.substr(0, before_other_than_token(rest));
        if (name.empty() || name.size() == rest.size() || rest[name.size()] != ':') return 0;
        auto value_at = name.size() + 1;
        while (value_at < rest.size() && (rest[value_at] == ' ' || rest[value_at] == '\t')) ++value_at;
        const auto value_size = before_control_char(rest.substr(value_at));
        const auto end = value_at + value_size;
        if (rest.size() - end < 2 || rest[end] != '\r' || rest[end + 1] != '\n') return 0;
        visit(name, rest.substr(value_at, value_size));
        return end + 2;
    }

    static std::size_t before_other_than_token(std::string_view text) noexcept {
        std::size_t size = 0;
        while (size < text.size() && is_token_char(text[size])) ++size;
        return size;
    }

    /// How `rest` begins: what belongs to a name or a value and changes nothing.
    std::string_view plain(std::string_view rest) const noexcept {
        if (state_ == State::value) return rest.substr(0, before_control_char(rest));
        return state_ == State::name ? rest.substr(0, before_other_than_token(rest)) : std::string_view{};
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
