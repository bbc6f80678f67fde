// Whatever bytes stand in LLM_BACKENDS or in the settings file: either a SettingsError that says what is
// wrong where, or settings that are valid, and that are read again as they are when they are written down.
//
// A fuzz target, and a test of the same body over inputs that were made to hurt.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fairlead/control/load_settings.hpp>
#include <fairlead/control/mode_line.hpp>
#include <fairlead/model/validate.hpp>

#include "control/admin_json.hpp"
#include "control/setting_list.hpp"
#include "control/settings_support.hpp"
#include "fuzz.hpp"

namespace {

using fairlead::Settings;
using fairlead::SettingsError;
using fairlead::test::must;
using Json = nlohmann::json;

/// Seconds to twelve digits: so many come back as they were, whatever the time.
Json time_of(fairlead::Duration time) {
    char text[32];  // because a double to twelve digits has 19 characters at most
    std::snprintf(text, sizeof text, "%.12g", std::chrono::duration<double>(time).count());
    return std::strtod(text, nullptr);
}

/// A field as a settings file has it.
struct WriteField {
    Json& file;

    template <class T>
    void operator()(std::string_view name, const T& field, const auto&... /*range*/) const {
        file[std::string{name}] = value_of(field);
    }

    template <class T>
    static Json value_of(const T& field) {
        return field;
    }
    static Json value_of(const fairlead::Duration& time) {
        return time == fairlead::Duration::max() ? Json{} : time_of(time);  // no limit: not set
    }
    static Json value_of(const std::optional<std::uint64_t>& seed) { return seed ? Json(*seed) : Json{}; }
    static Json value_of(const fairlead::LatencyTo& to) {
        return to == fairlead::LatencyTo::first_byte ? "first_byte" : "last_byte";
    }
    static Json value_of(const fairlead::HashKey& key) {
        constexpr const char* names[] = {"any", "header", "user", "prefix"};
        return names[static_cast<int>(key)];
    }
    static Json value_of(const fairlead::RetryOn& on) {
        Json words = Json::array();
        if (on.connect_error) words.push_back("connect_error");
        if (on.timeout) words.push_back("timeout");
        if (on.server_error) words.push_back("server_error");
        if (on.rate_limited) words.push_back("rate_limited");
        return words;
    }
};

Json backend_written(const fairlead::BackendConfig& backend) {
    Json written = fairlead::detail::config_json(backend);
    written["api_key"] = backend.api_key;
    written["cache_blocks"] = backend.cache_blocks;
    written["mirror"] = backend.mirror;
    written["timeout"] = time_of(backend.timeout);
    written["connect_timeout"] = time_of(backend.connect_timeout);
    if (backend.first_byte_timeout) written["first_byte_timeout"] = time_of(*backend.first_byte_timeout);
    if (backend.idle_timeout) written["idle_timeout"] = time_of(*backend.idle_timeout);
    if (backend.total_timeout) written["total_timeout"] = time_of(*backend.total_timeout);
    if (backend.health.interval) written["health"]["interval"] = time_of(*backend.health.interval);
    return written;
}

/// The settings file that says all of it.
std::string written(const Settings& settings) {
    Json file = Json::object();
    fairlead::detail::visit_settings(settings, WriteField{file});
    file["load_balance_strategy"] = settings.strategy;
    file["load_balance_enabled"] = settings.mode != fairlead::Mode::single_backend;
    for (const auto& backend : settings.backends) file["llm_backends"].push_back(backend_written(backend));
    return file.dump();
}

void check_valid(const Settings& settings) {
    must(!settings.backends.empty(), "there is a backend");
    must(fairlead::validate(settings.options).empty(), "the options are valid");
    std::set<std::string> names;
    for (const auto& backend : settings.backends) {
        must(!fairlead::validate(backend), "a backend is valid");
        must(names.insert(backend.name).second, "no two backends have one name");
    }
    must(!fairlead::mode_line(settings, fairlead::Language::chinese).empty(), "the mode has a line");
}

/// What is wrong, in a language; nothing: the text is accepted, and what it says is `settings`.
std::vector<fairlead::SettingsProblem> problems_of(fairlead::SettingsSources sources,
                                                   fairlead::Language language, Settings& settings) {
    sources.language = language;
    try {
        settings = load_settings(sources);
        return {};
    } catch (const SettingsError& error) {
        must(!error.problems().empty(), "an error has problems");
        for (const auto& problem : error.problems())
            must(!problem.where.empty() && !problem.message.empty(), "a problem says what is wrong where");
        return error.problems();
    }
}

void fuzz_variables(std::string_view text) {
    auto sources = settings_test::from(
        {{"LLM_BACKENDS", std::string{text}}, {"FAIRLEAD_MODEL_ALIASES", std::string{text}}});
    Settings settings;
    for (const auto language : {fairlead::Language::english, fairlead::Language::chinese}) {
        // And an empty text is neither.
        must(!problems_of(sources, language, settings).empty(),
             "no text is a list of backends and an object of aliases");
    }
    sources.environment = {{"LLM_BACKENDS", std::string{text}}, {"VLLM_SERVER_URL", "http://a"}};
    if (!problems_of(sources, fairlead::Language::english, settings).empty()) return;
    must(text.find('\0') == std::string_view::npos, "nothing hides behind a NUL");
    check_valid(settings);
}

void fuzz_file(std::string_view text) {
    const settings_test::File file{text};
    const auto path = file.path();
    const auto sources = settings_test::from_json_file(path);
    Settings settings;
    const auto problems = problems_of(sources, fairlead::Language::english, settings);
    const auto in_chinese = problems_of(sources, fairlead::Language::chinese, settings);
    must(problems.size() == in_chinese.size(), "each problem is told in both languages");
    for (std::size_t i = 0; i < problems.size(); ++i) {
        const auto& problem = problems[i];
        const bool is_placed = problem.source == path || problem.where.starts_with(path) ||
                               problem.where == "LLM_BACKENDS, VLLM_SERVER_URL";
        must(is_placed, "a problem names its file, unless what is missing stands in none");
        must(in_chinese[i].where == problem.where && in_chinese[i].source == problem.source,
             "a problem is at one place in both languages");
    }
    if (!problems.empty()) return;
    must(text.find('\0') == std::string_view::npos, "nothing hides behind a NUL");
    check_valid(settings);
    const auto first = written(settings);
    const settings_test::File again{first};
    Settings second;
    must(
        problems_of(settings_test::from_json_file(again.path()), fairlead::Language::english, second).empty(),
        "what was accepted is accepted as it was read");
    check_valid(second);
    must(second.mode == settings.mode && written(second) == first, "what is read again is the same");
}

void fuzz_json_settings(std::string_view text) {
    fuzz_variables(text);
    fuzz_file(text);
}

const fairlead::test::FuzzRegistration json_settings_body{"json-settings", fuzz_json_settings};

}  // namespace

#ifndef FAIRLEAD_FUZZING

#include "support/catch.hpp"

TEST_CASE(
    "no text in LLM_BACKENDS or the settings file crashes load_settings, and what it accepts is valid") {
    using namespace std::string_literals;
    const std::string good = R"([{"name": "a", "url": "http://a", "weight": 3, "timeout": 1.5, "tags": ["x"],
        "health": {"path": "/h", "interval": 1, "expected_status": 200, "body_contains": "é"}},
        {"name": "\u540e\ud83d\ude00", "url": "https://[::1]:8/v1", "api_key": "k", "priority": -1}])";
    const std::string good_file =
        R"({"Vllm_server_url": "http://a", "max_retries": 3, "retry_on": ["timeout"],
        "latency_to": "last_byte", "queue_timeout": 1.5, "seed": 7, "health_check": "off",
        "model_aliases": {"x": "m"}, "load_balance_enabled": true})";
    const std::string inputs[] = {"",
                                  " ",
                                  "[",
                                  "]",
                                  "{",
                                  "}",
                                  "\"",
                                  "[]",
                                  "{}",
                                  "null",
                                  "true",
                                  "1",
                                  "-",
                                  "1e",
                                  "1e999",
                                  "-1e999",
                                  "NaN",
                                  "[[]]",
                                  "[{}]",
                                  "[{},{}]",
                                  "[null]",
                                  "{\"a\":{\"a\":1,\"a\":2}}",
                                  "[{\"\":1}]",
                                  "[{\"name\":\"\"}]",
                                  "\"\\",
                                  "\"\\u",
                                  "\"\\ud800\"",
                                  "\"\\ud800\\u0041\"",
                                  "[\"\xFF\"]",
                                  "\xEF\xBB\xBF[]",
                                  "\xEF\xBB",
                                  "\0"s,
                                  "[\0]"s,
                                  "[{\"name\":\"a\",\"url\":\"http://a\"}]\0more"s,
                                  "\"\0\""s,
                                  "[{\"name\":\"a\\u0000b\",\"url\":\"http://a\"}]",
                                  "[{\"name\":\"a\",\"url\":\"http://a\",\"weight\":1e-400}]",
                                  "[{\"name\":\"a\",\"url\":\"http://a\",\"timeout\":1e-300}]",
                                  "[{\"name\":\"a\",\"url\":\"http://a\",\"timeout\":1e308}]",
                                  "[{\"name\":\"a\",\"url\":\"http://a\",\"weight\":18446744073709551616}]",
                                  "[{\"name\":\"a\",\"url\":\"http://a\",\"priority\":-9223372036854775809}]",
                                  "[{\"name\":\"a\",\"url\":\"http://a\",\"priority\":-2147483648}]",
                                  "{0}",
                                  "{1}{2}",
                                  "[1,2,]",
                                  "/* */[]",
                                  "[]//",
                                  std::string(100'000, '['),
                                  std::string(100'000, '{'),
                                  "[" + std::string(100'000, ',') + "]",
                                  std::string(1'000'000, '9'),
                                  "\"" + std::string(1'000'000, 'a'),
                                  "[{\"" + std::string(100'000, 'n') + "\":1}]",
                                  "{\"\":1}",
                                  "{\"vllm_server_url\":\"http://a\",\"VLLM_server_url\":\"http://a\"}",
                                  "{\"vllm_server_url\":\"http://a\",\"max_retries\":{\"a\":[[]]}}",
                                  "{\"llm_backends\":\"[{}]\",\"model_aliases\":\"{\"}",
                                  "{\"llm_backends\":[{\"name\":\"a\",\"url\":\"http://a\",\"health\":[]}]}"};
    for (const std::string& input : inputs) fuzz_json_settings(input);
    // Cut anywhere, and with any one byte replaced by one that means something.
    for (const auto& [text, fuzz] : {std::pair{good, &fuzz_variables}, std::pair{good_file, &fuzz_file}}) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            fuzz(std::string_view{text}.substr(0, i));
            for (const char c : std::string_view{"\"{}[],:\\\xFF\n0-"}) {
                std::string changed = text;
                changed[i] = c;
                fuzz(changed);
            }
        }
        fuzz(text);
    }
    SUCCEED();
}

#endif
