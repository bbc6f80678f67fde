// The gateway's options, and the settings as --help shows them.
#include "gateway/options.hpp"

#include <cstdint>

#include <fairlead/control/load_settings.hpp>
#include <fairlead/version.hpp>

#include "command_line.hpp"

namespace gateway {
namespace {

std::string settings_help() {
    const auto language = fairlead::language_from_environment();
    std::string text = "Settings, from the environment, a dotenv file or a JSON file:\n";
    for (const auto& setting : fairlead::setting_list()) {
        text += "  " + setting.name;
        if (const std::string unit{setting.unit_in(language)}; !unit.empty()) text += " (" + unit + ")";
        text += "\n      " + std::string{setting.meaning_in(language)};
        if (!setting.default_text.empty()) text += " [" + setting.default_text + "]";
        text += "\n";
    }
    return text;
}

}  // namespace

Parsed read_command_line(int argc, const char* const* argv) {
    Parsed result;
    auto& options = result.options;
    std::int64_t grace = options.grace.count();
    CommandLine line{"fairlead-gateway", "balances OpenAI-compatible requests over several backends",
                     FAIRLEAD_VERSION};
    line.add("--listen", "HOST:PORT", "where to serve; port 0 takes a free one", options.listen);
    line.add("--admin-listen", "HOST:PORT", "where to serve the admin API; the main address unless given",
             options.admin_listen);
    line.add("--settings", "FILE", "JSON file with settings", options.settings_file);
    line.add("--env-file", "FILE", "dotenv file with settings; \"\" for none [.env, if it exists]",
             [&options](const std::string& value) {
                 options.env_file = value;
                 return std::string{};
             });
    line.add("--threads", "threads that serve", options.threads, 1U, 1024U);
    line.add("--log-format", "how the log is written [text]", options.log_format,
             {{"text", Log::Format::text}, {"json", Log::Format::json}});
    line.add_flag("--access-log", "log every request that is relayed", options.access_log);
    line.add_flag("--check", "read the settings, print the mode or every problem, and exit", options.check);
    line.add("--grace", "seconds that answers under way may still take when told to stop", grace,
             std::int64_t{0}, std::int64_t{86'400});
    line.footer(settings_help);
    result.exit_status = line.read(argc, argv);
    options.grace = std::chrono::seconds{grace};
    return result;
}

}  // namespace gateway
