// The fields of a backend: in the documents and in the admin API's answers as in the code.
#include <charconv>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/admin_support.hpp"
#include "control/backend_reader.hpp"
#include "settings_support.hpp"
#include "support/catch.hpp"

using admin_test::Admin;
using admin_test::Json;

namespace {

using FieldNames = std::set<std::string>;

/// Of a backend as one writes it.
FieldNames written_fields() {
    const auto names = fairlead::detail::backend_fields();
    return {names.begin(), names.end()};
}

/// As it is shown: without its key.
FieldNames shown_fields() {
    auto fields = written_fields();
    fields.erase("api_key");
    return fields;
}

FieldNames keys_of(const Json& object) {
    FieldNames keys;
    for (const auto& item : object.items()) keys.insert(item.key());
    return keys;
}

/// A row of the table in docs/settings.md.
struct FieldRow {
    std::string name{};
    std::string by_default{};
    std::string accepted{};
};

/// The rows of backends' fields, those of `health` with a point in their name.
std::vector<FieldRow> documented_rows() {
    std::ifstream file{FAIRLEAD_TEST_DATA "/../docs/settings.md"};
    std::vector<FieldRow> rows;
    bool within = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("| field |")) within = true;
        if (line.empty()) within = false;
        if (!within || !line.starts_with("| `")) continue;
        std::vector<std::string> cells;
        for (std::size_t at = 2; at < line.size();) {
            const auto end = line.find(" |", at);
            cells.push_back(line.substr(at, end - at));
            at = end + 3;
        }
        REQUIRE(cells.size() == 5);  // field, holds, default, accepted, meaning
        rows.push_back({cells[0].substr(1, cells[0].size() - 2), cells[2], cells[3]});
    }
    return rows;
}

/// Settings of one backend that has, beside what it must have, this value in a field.
fairlead::SettingsSources backend_with(std::string_view field, const Json& value) {
    Json backend{{"name", "a"}, {"url", "http://a"}};
    const auto point = field.find('.');
    if (point == std::string_view::npos) {
        backend[std::string{field}] = value;
    } else {
        backend[std::string{field.substr(0, point)}][std::string{field.substr(point + 1)}] = value;
    }
    return settings_test::from({{"LLM_BACKENDS", Json::array({backend}).dump()}});
}

bool is_accepted(std::string_view field, const Json& value) {
    return settings_test::error_of(backend_with(field, value)) == "no error";
}

}  // namespace

TEST_CASE("every field of a backend stands in the document of the settings, with its default and range") {
    FieldNames names{"health"};
    const auto plain = fairlead::load_settings(backend_with("weight", 1)).backends;
    for (const auto& [name, by_default, accepted] : documented_rows()) {
        CAPTURE(name);
        if (name.find('.') == std::string::npos) names.insert(name);
        if (!by_default.empty()) {
            const auto value = Json::parse(by_default);
            CHECK(fairlead::load_settings(backend_with(name, value)).backends == plain);
        }
        if (accepted == "> 0") {
            CHECK(is_accepted(name, 0.001));
            CHECK_FALSE(is_accepted(name, 0));
        } else if (const auto dots = accepted.find(".."); dots != std::string::npos) {
            const auto low = std::stoll(accepted);
            const auto high = std::stoll(accepted.substr(dots + 2));
            CHECK(is_accepted(name, low));
            CHECK(is_accepted(name, high));
            CHECK_FALSE(is_accepted(name, low - 1));
            CHECK_FALSE(is_accepted(name, high + 1));
        }
    }
    CHECK(names == written_fields());
}

TEST_CASE("the admin API's document has every field of a backend, and shows all but the key") {
    const auto& schemas = openapi_test::document().root()["components"]["schemas"];
    CHECK(keys_of(schemas["NewBackend"]["properties"]) == written_fields());
    CHECK(keys_of(schemas["Config"]["properties"]) == shown_fields());
    const auto required = schemas["Config"]["required"].get<FieldNames>();
    CHECK(required == shown_fields());
}

TEST_CASE("a backend that is added shows every field as it was sent, its key excepted") {
    Json sent{
        {"name", "c"},
        {"url", "http://c:3"},
        {"model_name", "m"},
        {"api_key", "sk-secret-c"},
        {"weight", 2},
        {"max_connections", 7},
        {"timeout", 1.5},
        {"priority", 4},
        {"tags", {"fast"}},
        {"connect_timeout", 2.5},
        {"first_byte_timeout", 3.5},
        {"idle_timeout", 4.5},
        {"total_timeout", 5.5},
        {"health", {{"path", "/h"}, {"interval", 6.5}, {"expected_status", 204}, {"body_contains", "x"}}},
        {"cache_blocks", 1000},
        {"mirror", true}};
    REQUIRE(keys_of(sent) == written_fields());
    Admin admin;
    CHECK(admin.call("POST", "/backends", sent.dump()).status == 200);
    sent.erase("api_key");
    CHECK(admin.config("c") == sent);

    // A mirror serves nobody.
    CHECK(admin.metrics("c")["status"] == "unhealthy");
    CHECK(admin.metrics("c")["state"] == "healthy");
    CHECK(admin.status()["available_backends"] == Json{"a", "b"});
}
