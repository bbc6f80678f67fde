// Whatever bytes a dotenv file holds: it is read or refused, and what was read can be written and read again.
//
// A fuzz target, and a test of the same body over inputs that were made to hurt.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../../src/control/dotenv.hpp"
#include "fuzz.hpp"

namespace {

/// Ends the program when a promise of the reader does not hold.
void fuzz_dotenv(std::string_view text) {
    using namespace fairlead::detail;
    const auto must = [](bool holds) {
        if (!holds) std::abort();
    };
    const Dotenv first = parse_dotenv(text);
    std::string written;
    std::size_t kept = 0;
    for (const DotenvEntry& entry : first.entries) {
        must(!entry.name.empty() && entry.name_at.line >= 1 && entry.value_at.line >= entry.name_at.line);
        // What single quotes cannot hold: themselves, and CRLF, which is read as one line end.
        if (entry.value.find('\'') != std::string::npos || entry.value.find('\r') != std::string::npos)
            continue;
        written += "export " + entry.name + "='" + entry.value + "' # comment\n";
        ++kept;
    }
    for (const DotenvProblem& problem : first.problems)
        must(problem.at.line >= 1 && problem.at.column >= 1 && problem.message != nullptr);
    const Dotenv again = parse_dotenv(written);
    must(again.problems.empty() && again.entries.size() == kept);
    std::size_t i = 0;
    for (const DotenvEntry& entry : first.entries) {
        if (entry.value.find('\'') != std::string::npos || entry.value.find('\r') != std::string::npos)
            continue;
        must(again.entries[i].name == entry.name && again.entries[i].value == entry.value);
        ++i;
    }
}

const fairlead::test::FuzzRegistration dotenv_body{"dotenv", fuzz_dotenv};

}  // namespace

#ifndef FAIRLEAD_FUZZING

#include "support/catch.hpp"

TEST_CASE("no dotenv text crashes the reader, and what it read it reads again") {
    using namespace std::string_literals;
    const std::string inputs[] = {"",
                                  "\n",
                                  "\r",
                                  "\r\n",
                                  "=",
                                  "==",
                                  "'",
                                  "\"",
                                  "a",
                                  "a=",
                                  "a=\\",
                                  "a=\"\\",
                                  "a=\"\\\"",
                                  "a='",
                                  "a=''",
                                  "a='' ",
                                  "a=''x",
                                  "a=\"\"\"",
                                  "a='\r\n'",
                                  "a='\r'",
                                  "a=\r",
                                  "a=\r\r\n",
                                  "export",
                                  "export ",
                                  "export =",
                                  "export=",
                                  "export export=1",
                                  "export a",
                                  "export\ta=1",
                                  "#",
                                  "a#=1",
                                  "a=#",
                                  "a= #",
                                  "a=b#c #d",
                                  "\xEF\xBB\xBF",
                                  "\xEF\xBB",
                                  "\xFF\xFE",
                                  "\xFE\xFF=",
                                  "a=\xFF\xFE",
                                  "\0"s,
                                  "a\0=1"s,
                                  "a='\0'"s,
                                  "a=1\0#"s,
                                  "\xEF\xBB\xBF=\n'",
                                  "a.b-c=1",
                                  "-a=1",
                                  "9=1",
                                  "\x85=1",
                                  "a=\xC2\xA0",
                                  "a='模型' #",
                                  "a=\"\\n\\t\\r\\$\\\\\\d\\\n\"",
                                  "A='[\n{\"name\": \"x\"}\n]'\nB=1",
                                  "a=1\n\n\n\nb",
                                  std::string(100'000, '\''),
                                  std::string(100'000, '\n'),
                                  std::string(100'000, '='),
                                  "a=" + std::string(100'000, ' ') + "#",
                                  "a=\"" + std::string(100'001, '\\')};
    for (const std::string& input : inputs) fuzz_dotenv(input);
    // Every text of up to five of the bytes that mean something.
    const std::string_view alphabet = "a='\"\\#\n\r ";
    for (std::size_t length = 1; length <= 5; ++length) {
        std::size_t texts = 1;
        for (std::size_t i = 0; i < length; ++i) texts *= alphabet.size();
        for (std::size_t number = 0; number < texts; ++number) {
            std::string text;
            for (std::size_t rest = number, i = 0; i < length; ++i, rest /= alphabet.size())
                text += alphabet[rest % alphabet.size()];
            fuzz_dotenv(text);
        }
    }
    SUCCEED();
}

#endif
