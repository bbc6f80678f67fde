// A place in a text, as an editor shows it.
#pragma once

#include <cstddef>
#include <string_view>

namespace fairlead::detail {

/// A place in a text, both from 1; a column is a character, not a byte.
struct TextPosition {
    std::size_t line = 1;
    std::size_t column = 1;

    bool operator==(const TextPosition&) const = default;
};

/// The place of the byte at `offset`, which may be the end.
constexpr TextPosition position_of(std::string_view text, std::size_t offset) noexcept {
    TextPosition at;
    const std::string_view before = text.substr(0, offset < text.size() ? offset : text.size());
    for (const char c : before) {
        if (c == '\n') {
            ++at.line;
            at.column = 1;
        } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {  // a character's first byte
            ++at.column;
        }
    }
    return at;
}

}  // namespace fairlead::detail
