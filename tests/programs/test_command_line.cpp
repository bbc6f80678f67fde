// The options of the programs: what is taken, what is refused, with which status.
#include <optional>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "support/catch.hpp"

namespace {

struct Values {
    std::string text = "default";
    unsigned number = 1;
    int word = 0;
    bool flag = false;
};

std::optional<int> read(Values& values, std::vector<const char*> words) {
    CommandLine line{"program", "does nothing", "1.2.3"};
    line.add("--text", "TEXT", "a text", values.text);
    line.add("--number", "a number", values.number, 1U, 10U);
    line.add("--word", "a word", values.word, {{"one", 1}, {"two", 2}});
    line.add_flag("--flag", "a flag", values.flag);
    words.insert(words.begin(), "program");
    return line.read(static_cast<int>(words.size()), words.data());
}

}  // namespace

TEST_CASE("options are taken as words of their own or after an equals sign") {
    Values values;
    CHECK_FALSE(read(values, {"--text", "a=b", "--number=7", "--word", "two", "--flag"}).has_value());
    CHECK(values.text == "a=b");
    CHECK(values.number == 7);
    CHECK(values.word == 2);
    CHECK(values.flag);
    CHECK_FALSE(read(values, {"--text="}).has_value());
    CHECK(values.text.empty());
}

TEST_CASE("what cannot be understood ends the program with status 2") {
    Values values;
    for (const auto& words : std::vector<std::vector<const char*>>{{"--unknown"},
                                                                   {"text"},
                                                                   {"--text"},
                                                                   {"--number", "0"},
                                                                   {"--number", "11"},
                                                                   {"--number", "7x"},
                                                                   {"--number", "-1"},
                                                                   {"--number="},
                                                                   {"--word", "three"},
                                                                   {"--flag=yes"}}) {
        INFO(words.front());
        CHECK(read(values, words) == 2);
    }
}

TEST_CASE("help and version end the program with status 0") {
    Values values;
    CHECK(read(values, {"--help"}) == 0);
    CHECK(read(values, {"--number", "7", "--version"}) == 0);
}
