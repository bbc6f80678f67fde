// What the tests of the settings share: files, environments, and the text of what goes wrong.
#pragma once

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include <unistd.h>

#include <fairlead/control/load_settings.hpp>

namespace settings_test {

using Environment = std::map<std::string, std::string>;

/// A file of this test's own, removed at the end.
class File {
  public:
    explicit File(std::string_view content) {
        static std::atomic<int> number{0};
        path_ = std::filesystem::temp_directory_path() /
                ("fairlead-settings-" + std::to_string(::getpid()) + "-" +
                 std::to_string(number.fetch_add(1, std::memory_order_relaxed)));
        std::ofstream{path_, std::ios::binary} << content;
    }
    ~File() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

/// A variable of the process, set for a while.
class EnvironmentVariable {
  public:
    EnvironmentVariable(const char* name, const char* value) : name_(name) {
        if (const char* before = std::getenv(name)) before_ = before;
        ::setenv(name, value, 1);
    }
    ~EnvironmentVariable() {
        if (before_)
            ::setenv(name_, before_->c_str(), 1);
        else
            ::unsetenv(name_);
    }
    EnvironmentVariable(const EnvironmentVariable&) = delete;
    EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;

  private:
    const char* name_;
    std::optional<std::string> before_{};
};

inline std::string guide_path(std::string_view name) {
#ifdef FAIRLEAD_TEST_DATA
    const std::filesystem::path tests{FAIRLEAD_TEST_DATA};
#else
    const std::filesystem::path tests = std::filesystem::path{__FILE__}.parent_path().parent_path();
#endif
    return (tests / "control" / "guide" / name).string();
}

/// Nothing but these variables: no file, English.
inline fairlead::SettingsSources from(Environment environment,
                                      fairlead::Language language = fairlead::Language::english) {
    fairlead::SettingsSources sources;
    sources.env_file = "";
    sources.environment = std::move(environment);
    sources.language = language;
    return sources;
}

inline fairlead::SettingsSources from_env_file(std::string path) {
    fairlead::SettingsSources sources = from({});
    sources.env_file = std::move(path);
    return sources;
}

inline fairlead::SettingsSources from_json_file(std::string path) {
    fairlead::SettingsSources sources = from({});
    sources.settings_file = std::move(path);
    return sources;
}

/// `what()` of the error, or "no error".
inline std::string error_of(const fairlead::SettingsSources& sources) {
    try {
        static_cast<void>(fairlead::load_settings(sources));
    } catch (const fairlead::SettingsError& error) {
        return error.what();
    }
    return "no error";
}

inline std::string error_of(Environment environment,
                            fairlead::Language language = fairlead::Language::english) {
    return error_of(from(std::move(environment), language));
}

/// The error of `LLM_BACKENDS` with this value.
inline std::string error_of_backends(std::string backends,
                                     fairlead::Language language = fairlead::Language::english) {
    return error_of(Environment{{"LLM_BACKENDS", std::move(backends)}}, language);
}

inline fairlead::Settings load(Environment environment) {
    return fairlead::load_settings(from(std::move(environment)));
}

inline fairlead::Settings load_dotenv(std::string_view content) {
    const File file{content};
    return fairlead::load_settings(from_env_file(file.path()));
}

inline fairlead::Settings load_json(std::string_view content) {
    const File file{content};
    return fairlead::load_settings(from_json_file(file.path()));
}

inline constexpr const char* one_backend = R"([{"name": "a", "url": "http://a:1"}])";
inline constexpr const char* two_backends =
    R"([{"name": "a", "url": "http://a:1"}, {"name": "b", "url": "http://b:2"}])";

}  // namespace settings_test
