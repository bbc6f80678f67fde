// The list of settings: complete, described, and each of them works in every source.
#include <algorithm>
#include <cstdlib>
#include <set>

#include <fairlead/model/validate.hpp>
#include <fairlead/strategies/any_strategy.hpp>

#include "settings_support.hpp"
#include "support/catch.hpp"

using namespace fairlead;
using namespace settings_test;

namespace {

/// Converts to anything: the number of them that an aggregate takes is the number of its fields.
struct Anything {
    template <class T>
    operator T() const {
        std::abort();  // only asked about, never called
    }
};

template <class T, class... Fields>
constexpr std::size_t field_count() {
    if constexpr (requires { T{Fields{}..., Anything{}}; }) {
        return field_count<T, Fields..., Anything>();
    } else {
        return sizeof...(Fields);
    }
}

/// A value that is good and not the default's.
std::string other_value(const SettingInfo& info) {
    if (info.type == SettingType::on_off) return info.default_text == "true" ? "false" : "true";
    if (info.json_name == "retry_on") return "none";
    if (info.json_name == "latency_to") return "last_byte";
    if (info.json_name == "hash_key") return "prefix";
    if (info.json_name == "model_aliases") return R"({"x": "y"})";
    if (info.json_name == "tls_ca_file") return guide_path("example1.env");
    if (info.json_name == "health_check_path" || info.json_name == "load_path") return "/other";
    if (info.type == SettingType::text) return "other";
    if (info.accepted == "0..1" || info.accepted == ">= 0 and < 1")
        return info.default_text == "0.25" ? "0.75" : "0.25";
    if (info.accepted == "0.25..10") return "0.25";
    return info.default_text == "200" ? "201" : "200";
}

}  // namespace

TEST_CASE("every field of Options and Settings has a setting") {
    // Settings: mode, backends, strategy and options are no settings by themselves. The nine names of the
    // guide are LLM_BACKENDS, the single backend's three, switch and strategy, and three fields of Options.
    const std::size_t own_of_settings = field_count<Settings>() - 4;
    const std::size_t of_guide_only = 6;
    CHECK(setting_list().size() == field_count<Options>() + own_of_settings + of_guide_only);
}

TEST_CASE("every setting has a name, a meaning in both languages, and a default that is accepted") {
    std::set<std::string> names;
    for (const SettingInfo& info : setting_list()) {
        CAPTURE(info.name);
        CHECK(names.insert(info.name).second);
        CHECK(names.insert(info.json_name).second);
        CHECK_FALSE(info.meaning.empty());
        CHECK(info.meaning_chinese != info.meaning);
        CHECK(info.meaning_in(Language::chinese) == info.meaning_chinese);
        CHECK(info.unit_chinese.empty() == info.unit.empty());
        CHECK((info.unit.empty() || info.unit_in(Language::chinese) != info.unit));
        if (info.default_text.empty()) continue;
        CHECK(error_of({{"VLLM_SERVER_URL", "http://a"}, {info.name, info.default_text}}) == "no error");
        const Settings by_default = load({{"VLLM_SERVER_URL", "http://a"}, {"LOAD_BALANCE_ENABLED", "1"}});
        CHECK(load({{"VLLM_SERVER_URL", "http://a"},
                    {"LOAD_BALANCE_ENABLED", "1"},
                    {info.name, info.default_text}}) == by_default);
    }
}

TEST_CASE("every setting changes something, and the same in the environment as in the JSON file") {
    const Environment base{{"VLLM_SERVER_URL", "http://a"}, {"LOAD_BALANCE_ENABLED", "1"}};
    const Settings by_default = load(base);
    const std::set<std::string> by_hand{"llm_backends", "vllm_server_url", "load_balance_enabled",
                                        "load_balance_strategy"};
    for (const SettingInfo& info : setting_list()) {
        if (by_hand.contains(info.json_name)) continue;
        CAPTURE(info.name);
        const std::string value = other_value(info);
        Environment environment = base;
        environment[info.name] = value;
        const Settings changed = load(environment);
        CHECK(changed != by_default);
        const bool bare = info.type == SettingType::number || info.type == SettingType::whole_number ||
                          info.type == SettingType::seconds || info.type == SettingType::on_off ||
                          info.type == SettingType::json;
        const std::string written = bare ? value : '"' + value + '"';
        CHECK(load_json(R"({"vllm_server_url": "http://a", "load_balance_enabled": true, ")" +
                        info.json_name + "\": " + written + "}") == changed);
    }
}

TEST_CASE("every built-in strategy can be set, and the list of settings names them all") {
    const auto row = std::ranges::find(setting_list(), "LOAD_BALANCE_STRATEGY", &SettingInfo::name);
    REQUIRE(row != setting_list().end());
    for (const std::string_view name : AnyStrategy::names()) {
        const Settings settings =
            load({{"VLLM_SERVER_URL", "http://a"}, {"LOAD_BALANCE_STRATEGY", std::string{name}}});
        CHECK(settings.strategy == name);
        CHECK(row->accepted.find(name) != std::string::npos);
    }
}

TEST_CASE("what load_settings accepts, validate accepts") {
    for (const char* name : {"example1.env", "example2.env", "example3.env", "production.env"}) {
        const Settings settings = load_settings(from_env_file(guide_path(name)));
        CHECK(validate(settings.options).empty());
        for (const BackendConfig& backend : settings.backends) CHECK_FALSE(validate(backend));
    }
}

TEST_CASE("the secrets of the list are marked as such") {
    std::set<std::string> secrets;
    for (const SettingInfo& info : setting_list()) {
        if (info.secret) secrets.insert(info.name);
    }
    CHECK(secrets == std::set<std::string>{"LLM_BACKENDS", "API_KEY", "FAIRLEAD_ADMIN_KEY"});
}
