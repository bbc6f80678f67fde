// docs/settings.md is made from the one list of settings: a setting without its line there fails here.
//
// To write it anew: FAIRLEAD_TEST_WRITE=1 build/.../bin/test-control "[document]"
#include "support/catch.hpp"

#include <fairlead/control/load_settings.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

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

std::string document() {
    std::string text =
        "# Settings\n\n"
        "Read by `load_settings()` and by `fairlead-gateway` from, in this order, the process environment, a "
        "dotenv "
        "file\n(`--env-file`, `.env` unless named) and a JSON file (`--settings`), where the same names "
        "stand in lower "
        "case and without\n`FAIRLEAD_`. Names are not case sensitive. Unknown names that begin with "
        "`FAIRLEAD_`, and "
        "unknown names in a JSON file, are\nerrors that name the nearest known one.\n\n"
        "A backend in `LLM_BACKENDS` has `name` and `url`, and optionally `model_name`, `api_key`, `weight` "
        "(1..65535), "
        "`max_connections`\n(1..1048575), `timeout` (seconds), `priority` (lower first), `tags` (array of "
        "strings), and "
        "the further fields of\n[`BackendConfig`](../include/fairlead/model/backend_config.hpp).\n\n"
        "Under `reload`: **yes**, a change of the file counts while the gateway runs "
        "([what that means](operating.md#changing-the-settings-while-it-runs)); **restart**, it counts from "
        "the next start.\n\n"
        "This table is made from the code's own list; a test compares them.\n\n"
        "| name | in JSON | holds | default | accepted | reload | meaning |\n|---|---|---|---|---|---|---|\n";
    for (const auto& setting : setting_list()) {
        text += "| `" + setting.name + "` | `" + setting.json_name + "` | " + to_string(setting.type) +
                " | " + escaped(setting.default_text) + " | " + escaped(setting.accepted) + " | " +
                (setting.needs_restart ? "restart" : "yes") + " | " + escaped(setting.meaning) + " |\n";
    }
    return text;
}

TEST_CASE("the table of settings in the documentation is the code's", "[document]") {
    const std::string path = FAIRLEAD_TEST_DATA "/../docs/settings.md";
    if (std::getenv("FAIRLEAD_TEST_WRITE") != nullptr) std::ofstream{path} << document();
    std::ifstream file{path};
    const std::string written{std::istreambuf_iterator<char>{file}, {}};
    CHECK(written == document());
}

}  // namespace
