// Reads dotenv files: NAME=value lines with quotes, comments and values over several lines.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "messages.hpp"
#include "text_position.hpp"

namespace fairlead::detail {

struct DotenvEntry {
    std::string name{};
    std::string value{};
    TextPosition name_at{};
    TextPosition value_at{};  ///< of the value's first character, behind its quote
    bool verbatim = true;     ///< the value stands in the file as it is, so places in it can be told
};

struct DotenvProblem {
    TextPosition at{};
    const Text* message = nullptr;  ///< one of the list; never null
};

struct Dotenv {
    std::vector<DotenvEntry> entries{};  ///< in the file's order; a name may stand twice
    std::vector<DotenvProblem> problems{};
};

/// Reads a whole file. Values are bare (to the end of the line or a '#' behind a blank), in double quotes
/// (escapes \n \t \r \" \\ \$; any other backslash stays) or in single quotes (as they are); the quoted ones
/// may run over several lines. `export NAME=`, comments, blank lines, CRLF and a byte order mark are fine.
/// Nothing is expanded. Linear in the text's length.
Dotenv parse_dotenv(std::string_view text);

}  // namespace fairlead::detail
