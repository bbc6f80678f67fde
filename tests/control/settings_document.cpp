// The table of docs/settings.md is made from the one list of settings: a setting without its line fails here.
//
// To write it anew: FAIRLEAD_TEST_WRITE=1 build/.../bin/test-control "[document]"
#include "support/catch.hpp"

#include <fairlead/control/load_settings.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace {

using namespace fairlead;

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') out += '\\';
        out += c;
    }
    return out;
}

constexpr std::string_view table_head =
    "| name | in JSON | holds | default | accepted | reload | meaning |\n|---|---|---|---|---|---|---|\n";

/// A number, and of what.
std::string kind_of(const SettingInfo& setting) {
    std::string kind = to_string(setting.type);
    if (!setting.unit.empty() && setting.unit != kind) kind += " (" + setting.unit + ")";
    return kind;
}

std::string table() {
    std::string text{table_head};
    for (const auto& setting : setting_list()) {
        text += "| `" + setting.name + "` | `" + setting.json_name + "` | " + kind_of(setting) + " | " +
                escaped(setting.default_text) + " | " + escaped(setting.accepted) + " | " +
                (setting.needs_restart ? "restart" : "yes") + " | " + escaped(setting.meaning) + " |\n";
    }
    return text;
}

TEST_CASE("the table of settings in the documentation is the code's", "[document]") {
    const std::string path = FAIRLEAD_TEST_DATA "/../docs/settings.md";
    std::ifstream file{path};
    std::string written{std::istreambuf_iterator<char>{file}, {}};
    const auto begin = written.find(table_head);  // up to the end of the page
    REQUIRE(begin != std::string::npos);
    if (std::getenv("FAIRLEAD_TEST_WRITE") != nullptr) {
        written.replace(begin, std::string::npos, table());
        std::ofstream{path} << written;
    }
    CHECK(written.substr(begin) == table());
}

}  // namespace
