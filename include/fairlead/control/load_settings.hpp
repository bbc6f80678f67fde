// Reads the settings from the environment, a dotenv file and a JSON file, and checks all of them.
//
//     try {
//         fairlead::Settings settings = fairlead::load_settings();
//         std::puts(fairlead::mode_line(settings).c_str());          // control/mode_line.hpp
//     } catch (const fairlead::SettingsError& error) {
//         std::fprintf(stderr, "%s\n", error.what());                // every problem, one a line
//         return 2;
//     }
//
// Do not use it for settings that a program makes itself: `Settings` is a plain struct, and `validate`
// (model/validate.hpp) checks its parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/control/language.hpp>
#include <fairlead/model/settings.hpp>

namespace fairlead {

/// Where settings come from. For each name the first of these that has it counts: the environment, the dotenv
/// file, the JSON file. Names are not case sensitive. An empty value is the default's, and hides what the
/// sources behind say.
struct SettingsSources {
    /// The dotenv file. Unset: ".env" in the working directory, and none when that does not exist. Empty:
    /// none.
    std::optional<std::string> env_file{};

    /// The JSON file: one object with the same names in lower case and without `FAIRLEAD_`. Empty: none.
    std::string settings_file{};

    /// The environment. Unset: the process's.
    std::optional<std::map<std::string, std::string>> environment{};

    /// Of the messages. Unset: as the environment says (`LC_ALL`, `LC_MESSAGES`, `LANG`).
    std::optional<Language> language{};
};

/// One thing that is wrong with the settings.
struct SettingsProblem {
    std::string where{};    ///< the setting: "LLM_BACKENDS[1].weight", or the file that cannot be read
    std::string message{};  ///< what is wrong and what would be right: "must be 1..65535, got 0"
    std::string source{};   ///< where that was written: ".env, line 3"; "environment"; a file's name

    /// `where: message (source)`.
    std::string text() const;

    bool operator==(const SettingsProblem&) const = default;
};

/// All that is wrong with the settings. `what()` is every problem's text, one a line. No `api_key` and no
/// `FAIRLEAD_ADMIN_KEY` appears in it.
class SettingsError : public std::runtime_error {
  public:
    explicit SettingsError(std::vector<SettingsProblem> problems);  ///< at least one

    const std::vector<SettingsProblem>& problems() const noexcept { return problems_; }

  private:
    std::vector<SettingsProblem> problems_;
};

/// Reads and checks the settings, and chooses the mode: see `Mode`. In `Mode::single_backend` health checks,
/// ejection, rests, retries, the load monitor, load headers and timing are off (its average response time is
/// then shown as 0), and `max_connections` is no limit unless it was written.
///
/// Throws `SettingsError` with every problem there is; nothing is half applied. Reads files: not for a
/// request's path. Thread safe as long as nobody changes the environment meanwhile.
Settings load_settings(const SettingsSources& sources = {});

/// What a setting holds.
enum class SettingType : std::uint8_t { whole_number, number, seconds, on_off, text, list, json };

/// One setting, for `--help`, the documentation's table, and whoever wants to write settings out.
struct SettingInfo {
    std::string name{};             ///< in the environment and dotenv files: "FAIRLEAD_QUEUE_LIMIT"
    std::string json_name{};        ///< in the JSON file: "queue_limit"
    SettingType type{};             ///< what it holds
    std::string unit{};             ///< of a number: "seconds", "bytes", "share" ...; empty: none
    std::string unit_chinese{};     ///< the same in Chinese
    std::string default_text{};     ///< as one would write it; empty: not set
    std::string accepted{};         ///< ">= 1", "0..1", "true, false"; empty: any
    std::string meaning{};          ///< one line, in English
    std::string meaning_chinese{};  ///< the same line in Chinese
    bool secret = false;            ///< never shown
    bool needs_restart = false;     ///< a reload does not apply it

    std::string_view meaning_in(Language language) const noexcept {
        return language == Language::chinese ? meaning_chinese : meaning;
    }
    std::string_view unit_in(Language language) const noexcept {
        return language == Language::chinese ? unit_chinese : unit;
    }
};

constexpr const char* to_string(SettingType type) noexcept {
    switch (type) {
        case SettingType::whole_number:
            return "whole number";
        case SettingType::number:
            return "number";
        case SettingType::seconds:
            return "seconds";
        case SettingType::on_off:
            return "on/off";
        case SettingType::text:
            return "text";
        case SettingType::list:
            return "list";
        case SettingType::json:
            return "JSON";
    }
    return "unknown";
}

/// Every setting there is, the guide's first. Made once; lives as long as the program. Thread safe.
std::span<const SettingInfo> setting_list();

}  // namespace fairlead
