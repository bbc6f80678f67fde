// Whatever bytes stand in LLM_BACKENDS: either a SettingsError that names problems, or settings that are
// valid.
//
// A fuzz target, and a test of the same body over inputs that were made to hurt.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include <fairlead/control/load_settings.hpp>
#include <fairlead/control/mode_line.hpp>
#include <fairlead/model/validate.hpp>

#include "fuzz.hpp"

namespace {

/// Ends the program when a promise of `load_settings` does not hold.
void fuzz_json_settings(std::string_view text) {
    using namespace fairlead;
    const auto must = [](bool holds) {
        if (!holds) std::abort();
    };
    SettingsSources sources;
    sources.env_file = "";
    sources.environment = {{"LLM_BACKENDS", std::string{text}},
                           {"FAIRLEAD_MODEL_ALIASES", std::string{text}}};
    for (const Language language : {Language::english, Language::chinese}) {
        sources.language = language;
        try {
            static_cast<void>(load_settings(sources));
            must(false);  // no text is a list of backends and an object of aliases, and an empty one is
                          // neither
        } catch (const SettingsError& error) {
            must(!error.problems().empty());
            for (const SettingsProblem& problem : error.problems())
                must(!problem.where.empty() && !problem.message.empty());
        }
    }
    sources.environment = {{"LLM_BACKENDS", std::string{text}}, {"VLLM_SERVER_URL", "http://a"}};
    try {
        const Settings settings = load_settings(sources);
        must(text.find('\0') == std::string_view::npos);  // nothing may hide behind it
        must(!settings.backends.empty() && validate(settings.options).empty());
        std::set<std::string> names;
        for (const BackendConfig& backend : settings.backends)
            must(!validate(backend) && names.insert(backend.name).second);
        must(!mode_line(settings, Language::chinese).empty());
    } catch (const SettingsError& error) {
        must(!error.problems().empty());
    }
}

const fairlead::test::FuzzRegistration json_settings_body{"json-settings", fuzz_json_settings};

}  // namespace

#ifndef FAIRLEAD_FUZZING

#include "support/catch.hpp"

TEST_CASE("no text in LLM_BACKENDS crashes load_settings, and what it accepts is valid") {
    using namespace std::string_literals;
    const std::string good = R"([{"name": "a", "url": "http://a", "weight": 3, "timeout": 1.5, "tags": ["x"],
        "health": {"path": "/h", "interval": 1, "expected_status": 200, "body_contains": "é"}},
        {"name": "\u540e\ud83d\ude00", "url": "https://[::1]:8/v1", "api_key": "k", "priority": -1}])";
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
                                  "[{\"" + std::string(100'000, 'n') + "\":1}]"};
    for (const std::string& input : inputs) fuzz_json_settings(input);
    // Cut anywhere, and with any one byte replaced by one that means something.
    for (std::size_t i = 0; i < good.size(); ++i) {
        fuzz_json_settings(std::string_view{good}.substr(0, i));
        for (const char c : std::string_view{"\"{}[],:\\\xFF\n0-"}) {
            std::string changed = good;
            changed[i] = c;
            fuzz_json_settings(changed);
        }
    }
    fuzz_json_settings(good);
    SUCCEED();
}

#endif
