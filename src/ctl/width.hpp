// How wide a text is on a terminal, and how it is made safe to show there.
//
// Without it a table is out of line as soon as a backend has a Chinese name (three bytes, two columns), and a
// server's sentence could move the cursor or colour the rest of the session.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fairlead::ctl {

/// The columns that `text` takes: 2 for a character that Unicode calls wide or fullwidth, 0 for marks and
/// format characters, 1 for each other and for each byte that is no UTF-8. Ambiguous ones are narrow, as
/// terminals draw them outside of old East Asian encodings. Thread safe; logarithmic in the tables for a
/// character.
std::size_t display_width(std::string_view text) noexcept;

/// `text` on one line that cannot do anything to a terminal: tabs and line ends are blanks; other control
/// characters, those that turn the direction of writing, and bytes that are no UTF-8 are U+FFFD.
std::string printable(std::string_view text);

/// As much of `text` as fits into `columns`, with "…" at its end when that is not all.
std::string clipped(std::string_view text, std::size_t columns);

}  // namespace fairlead::ctl
