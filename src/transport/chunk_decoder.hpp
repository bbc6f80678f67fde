// Takes the chunked transfer coding apart, strictly (RFC 9112, 7.1).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

#include <fairlead/transport/transport_error.hpp>

#include "head_scanner.hpp"

namespace fairlead::detail {

/// Gives the chunks' data as views into the input. Extensions and trailers are checked and thrown away.
class ChunkDecoder {
  public:
    struct Step {
        std::size_t consumed = 0;
        std::string_view data{};
        std::error_code error{};
    };

    void restart() noexcept { *this = ChunkDecoder{}; }
    bool done() const noexcept { return state_ == State::done; }

    /// Reads up to the end of one piece of data, of the body, or of the input.
    Step step(std::span<const char> input, std::size_t max_trailer_bytes) noexcept {
        Step result;
        while (result.consumed < input.size() && state_ != State::done) {
            const auto rest = input.subspan(result.consumed);
            if (state_ == State::data) {
                const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, rest.size()));
                result.data = {rest.data(), size};
                result.consumed += size;
                remaining_ -= size;
                if (remaining_ == 0) state_ = State::data_end;
                return result;
            }
            if (state_ == State::trailers) {
                const auto size = trailers_.scan_fields(rest, result.error, [](auto, auto) {});
                result.consumed += size;
                trailer_bytes_ += size;
                if (!result.error && trailer_bytes_ > max_trailer_bytes) {
                    result.error = TransportErrc::head_too_large;
                }
                if (trailers_.done()) state_ = State::done;
            } else if (const auto refused = read(rest.front()); refused != accepted) {
                result.error = refused;
            } else {
                ++result.consumed;
            }
            if (result.error) return result;
        }
        return result;
    }

  private:
    enum class State : std::uint8_t {
        size,
        extension,
        size_end,
        data,
        data_end,
        data_line_feed,
        trailers,
        done
    };
    static constexpr TransportErrc accepted{};

    TransportErrc read(char c) noexcept {
        switch (state_) {
            case State::size:
                return read_size(c);
            case State::extension:
                if (c == '\r') return to(State::size_end);
                if ((is_control_char(c) && c != '\t') || ++extension_bytes_ > max_extension_bytes) {
                    return TransportErrc::bad_chunk_extension;
                }
                return accepted;
            case State::size_end:
                if (c != '\n') return TransportErrc::bad_chunk_size;
                digits_ = 0;
                return to(remaining_ > 0 ? State::data : State::trailers);
            case State::data_end:
                return c == '\r' ? to(State::data_line_feed) : TransportErrc::bad_chunk_end;
            case State::data_line_feed:
                return c == '\n' ? to(State::size) : TransportErrc::bad_chunk_end;
            default:
                return accepted;
        }
    }

    TransportErrc read_size(char c) noexcept {
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit >= 0 && digits_ < max_digits) {
            ++digits_;
            remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
            return accepted;
        }
        if (digits_ == 0 || digit >= 0) return TransportErrc::bad_chunk_size;
        if (c == '\r') return to(State::size_end);
        return c == ';' ? to(State::extension) : TransportErrc::bad_chunk_size;
    }

    TransportErrc to(State next) noexcept {
        state_ = next;
        return accepted;
    }

    static constexpr int max_digits =
        15;  // because 16^15 bytes are enough, and sums of sizes cannot overflow
    // Over all chunks: nobody sends extensions, and without a bound one byte of data could cost any number of
    // them.
    static constexpr std::uint32_t max_extension_bytes = 4096;

    State state_ = State::size;
    int digits_ = 0;
    std::uint32_t extension_bytes_ = 0;
    std::uint64_t remaining_ = 0;
    std::size_t trailer_bytes_ = 0;
    HeadScanner trailers_{HeadScanner::Begin::trailers};
};

}  // namespace fairlead::detail
