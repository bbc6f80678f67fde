// The whole program but for its process: words in, texts and an exit status out.
#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <optional>

#include <fairlead/control/language.hpp>

#include "client.hpp"

namespace fairlead::ctl {

/// A terminal's size in characters.
struct TerminalSize {
    std::size_t columns = 80;
    std::size_t rows = 24;
};

/// What the program writes to.
struct Console {
    std::ostream& out;
    std::ostream& err;
    Language language = Language::english;
    /// The size of the terminal that `out` is; nothing when it is none, and then nothing is redrawn. Asked
    /// for each time, because a window can be resized.
    std::function<std::optional<TerminalSize>()> terminal{[] { return std::nullopt; }};
};

/// The answer as it came, on a line of its own.
void print_raw(const Answer& answer, std::ostream& out);

/// Parses the words, makes the call and prints its answer. `watch` takes SIGINT and SIGTERM while it runs.
Status run(int argc, const char* const* argv, const Console& console);

}  // namespace fairlead::ctl
