// fairlead-ctl: manages a running load balancer through its admin API.
//
//     export FAIRLEAD_API_KEY=...
//     fairlead-ctl --server-url http://localhost:5000 list
#include <sys/ioctl.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <optional>

#include "commands.hpp"
#include "text.hpp"

namespace {

namespace ctl = fairlead::ctl;

std::optional<ctl::TerminalSize> terminal_of_output() {
    if (::isatty(STDOUT_FILENO) == 0) return std::nullopt;
    ctl::TerminalSize size;
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && window.ws_row > 0) {
        size.columns = window.ws_col;
        size.rows = window.ws_row;
    }
    return size;
}

}  // namespace

int main(int argc, char** argv) {
    const auto language = fairlead::language_from_environment();
    try {
        const ctl::Console console{std::cout, std::cerr, language, terminal_of_output};
        const auto status = ctl::run(argc, argv, console);
        if (std::cout.flush()) return static_cast<int>(status);
        // A script that reads half an answer must not take it for the whole.
        std::cerr << "fairlead-ctl: " << ctl::text::output_failed.in(language) << '\n';
    } catch (const std::exception& error) {
        std::cerr << "fairlead-ctl: " << error.what() << '\n';
    }
    return static_cast<int>(ctl::Status::refused);
}
