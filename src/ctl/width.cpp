// Looks characters up in Unicode's tables of widths.
#include "width.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

#include <fairlead/model/validate.hpp>

#include "width_table.hpp"

namespace fairlead::ctl {
namespace {

constexpr std::string_view replacement = "\uFFFD";
constexpr std::string_view ellipsis = "…";

template <std::size_t N>
bool is_in(const CodePoints (&table)[N], char32_t c) noexcept {
    const auto* const after =
        std::upper_bound(std::begin(table), std::end(table), c,
                         [](char32_t point, const CodePoints& range) { return point < range.first; });
    return after != std::begin(table) && c <= std::prev(after)->last;
}

std::size_t width_of(char32_t c) noexcept {
    constexpr char32_t first_of_tables = 0x300;  // most of what is shown is below, and one column wide
    if (c < first_of_tables) return 1;
    if (is_in(without_width, c)) return 0;
    return is_in(wide, c) ? 2 : 1;
}

/// Embeddings, overrides and isolates: what follows would be shown in another order than it stands.
bool turns_direction(char32_t c) noexcept {
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/// Calls `visit(bytes, character)` for each character; a byte that is no UTF-8 comes alone, without one.
template <class Visitor>
void each_character(std::string_view text, Visitor visit) {
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t begin = at;
        const std::optional<char32_t> c = detail::next_code_point(text, at);
        if (!c) at = begin + 1;
        visit(text.substr(begin, at - begin), c);
    }
}

}  // namespace

std::size_t display_width(std::string_view text) noexcept {
    std::size_t columns = 0;
    each_character(text,
                   [&](std::string_view, std::optional<char32_t> c) { columns += c ? width_of(*c) : 1; });
    return columns;
}

std::string printable(std::string_view text) {
    std::string shown;
    shown.reserve(text.size());
    each_character(text, [&](std::string_view bytes, std::optional<char32_t> c) {
        if (c == U'\t' || c == U'\n' || c == U'\r')
            shown += ' ';
        else if (!c || detail::is_control(*c) || turns_direction(*c))
            shown += replacement;
        else
            shown += bytes;
    });
    return shown;
}

std::string clipped(std::string_view text, std::size_t columns) {
    if (display_width(text) <= columns) return std::string{text};
    if (columns == 0) return {};
    std::size_t left = columns - 1;  // one for the sign that there is more
    std::size_t kept = 0;
    bool full = false;
    each_character(text, [&](std::string_view bytes, std::optional<char32_t> c) {
        const std::size_t width = c ? width_of(*c) : 1;
        full = full || width > left;
        if (full) return;
        left -= width;
        kept += bytes.size();
    });
    return std::string{text.substr(0, kept)}.append(ellipsis);
}

}  // namespace fairlead::ctl
