// The gateway's command line.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "gateway/log.hpp"

namespace gateway {

struct Options {
    std::string listen = "127.0.0.1:5000";
    std::string admin_listen{};  ///< empty: the admin API is where everything else is
    std::string settings_file{};
    std::optional<std::string> env_file{};  ///< unset: ".env" where there is one
    unsigned threads = 1;
    Log::Format log_format = Log::Format::text;
    bool access_log = false;
    bool check = false;              ///< read the settings, say what they are, and leave
    std::chrono::seconds grace{30};  ///< for the answers under way when told to stop
};

/// Reads the command line. On `--help` and `--version` it prints and gives the status 0, on a mistake it says
/// which and gives 2: the program ends with it.
struct Parsed {
    Options options{};
    std::optional<int> exit_status{};
};

Parsed read_command_line(int argc, const char* const* argv);

}  // namespace gateway
