// Widths of characters, and tables that line up by them.
#include <stdexcept>
#include <string>

#include "ctl/table.hpp"
#include "ctl/width.hpp"
#include "support/catch.hpp"

using fairlead::ctl::Align;
using fairlead::ctl::clipped;
using fairlead::ctl::display_width;
using fairlead::ctl::printable;
using fairlead::ctl::Table;

TEST_CASE("wide and fullwidth characters take two columns, marks none, all others one") {
    CHECK(display_width("") == 0);
    CHECK(display_width("plain") == 5);
    CHECK(display_width("é") == 1);
    CHECK(display_width("主力") == 4);
    CHECK(display_width("ＡＢ") == 4);                // fullwidth Latin
    CHECK(display_width("ｱ") == 1);                   // halfwidth Katakana
    CHECK(display_width("서울") == 4);                // Hangul syllables
    CHECK(display_width("\u1112\u1161\u11ab") == 2);  // the same as letters that join
    CHECK(display_width("e\u0301") == 1);             // a combining accent
    CHECK(display_width("a\u200Bb") == 2);            // zero width space
    CHECK(display_width("\u00AD") == 1);              // the soft hyphen is drawn
    CHECK(display_width("—α") == 2);                  // ambiguous ones are narrow
    CHECK(display_width("🚀") == 2);
    CHECK(display_width("\U00020000") == 2);  // an ideograph beyond the first plane
    CHECK(display_width("\U0003FFFD") == 2);  // reserved for some
}

TEST_CASE("the ends of the ranges are inside, their neighbours are not") {
    CHECK(display_width("\u10FF") == 1);
    CHECK(display_width("\u1100") == 2);
    CHECK(display_width("\u115F") == 2);
    CHECK(display_width("\u1160") == 0);
    CHECK(display_width("\u11FF") == 0);
    CHECK(display_width("\u1200") == 1);
    CHECK(display_width("\U0003FFFE") == 1);
    CHECK(display_width("\u02FF") == 1);
    CHECK(display_width("\u0300") == 0);
}

TEST_CASE("each byte that is no UTF-8 takes one column") {
    CHECK(display_width("a\xff\xfe") == 3);
    CHECK(display_width("\xe4\xb8") == 2);  // an ideograph cut off
}

TEST_CASE("what is shown cannot steer a terminal") {
    CHECK(printable("a\x1b[31mb") == "a\uFFFD[31mb");
    CHECK(printable("a\nb\tc\r") == "a b c ");
    CHECK(printable("a\u009bb") == "a\uFFFDb");  // the one-character form of ESC [
    CHECK(printable("a\u202Eb") == "a\uFFFDb");  // turns the direction of writing
    CHECK(printable(std::string("a\0b", 3)) == "a\uFFFDb");
    CHECK(printable("\xff") == "\uFFFD");
    CHECK(printable("主力 é") == "主力 é");
}

TEST_CASE("a text is cut to the columns there are, never in the middle of a character") {
    CHECK(clipped("plain", 5) == "plain");
    CHECK(clipped("plain", 4) == "pla…");
    CHECK(clipped("主力甲", 6) == "主力甲");
    CHECK(clipped("主力甲", 5) == "主力…");
    CHECK(clipped("主力甲", 4) == "主…");
    CHECK(clipped("主力甲", 1) == "…");
    CHECK(clipped("主力甲", 0).empty());
}

TEST_CASE("columns line up with names in any script") {
    Table table{{{"NAME"}, {"WEIGHT", Align::right}, {"URL"}}};
    table.add({"primary", "3", "http://a"});
    table.add({"主力", "65535", "http://b"});
    table.add({"e\u0301", "", "http://c"});
    const auto lines = table.lines();
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == "NAME     WEIGHT  URL");
    CHECK(lines[1] == "primary       3  http://a");
    CHECK(lines[2] == "主力      65535  http://b");
    CHECK(lines[3] == "e\u0301                http://c");
    for (const auto& line : lines) {
        const auto url = line.find(line == lines[0] ? "URL" : "http");
        CHECK(display_width(line.substr(0, url)) == 17);
    }
}

TEST_CASE("a table without titles has rows only, and cells cannot break its lines") {
    Table table{{{}, {}}};
    table.add({"a", "one\ntwo"});
    table.add({"long label"});
    CHECK(table.lines() == std::vector<std::string>{"a           one two", "long label"});
    CHECK_THROWS_AS(table.add({"1", "2", "3"}), std::invalid_argument);
}
