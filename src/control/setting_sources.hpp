// Collects what the sources say: for each setting the one value that counts.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <fairlead/control/load_settings.hpp>

#include "problems.hpp"
#include "text_position.hpp"

namespace fairlead::detail {

/// One setting as a source has it.
struct RawSetting {
    nlohmann::json value{};
    std::string where{};      ///< its name in messages: as this source spells names
    bool is_text = false;     ///< from the environment or a dotenv file
    std::string source{};     ///< for messages
    std::string text_file{};  ///< the file in which the value stands as it is; empty: none
    TextPosition text_begin{};

    /// Makes `problems` say where this was written.
    void mark(Problems& problems) const {
        problems.set_source(source);
        if (!text_file.empty()) problems.set_text_source(text_file, text_begin);
    }
};

/// The setting's JSON name -> what counts. Empty values are left out.
using RawSettings = std::map<std::string, RawSetting, std::less<>>;

/// The process's environment.
std::map<std::string, std::string> process_environment();

/// Reads all sources. What cannot be read, is no dotenv or JSON, or is an unknown name goes to `problems`.
RawSettings collect_settings(const SettingsSources& sources,
                             const std::map<std::string, std::string>& environment, Problems& problems);

}  // namespace fairlead::detail
