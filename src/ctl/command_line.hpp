// What the words of a command line ask for. Nothing is sent here.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <variant>

#include <fairlead/control/language.hpp>
#include <fairlead/model/time.hpp>

#include "client.hpp"
#include "show.hpp"

namespace fairlead::ctl {

/// A live table.
struct Watching {
    /// Between two looks. 2 s, as watch(1) has it: often enough to see a change, seldom enough to read.
    Duration interval = std::chrono::seconds{2};
    std::uint64_t count = 0;  ///< of looks; 0: until a signal comes
};

/// Waiting for a backend to have nothing in flight, after the call.
struct Draining {
    std::string backend{};
};

/// What is to be done.
struct Plan {
    Server server{};
    bool raw = false;  ///< print the answer as it came
    Call call{};
    Form form = Form::message;
    std::variant<std::monostate, Watching, Draining> then{};
};

/// The plan, or the exit status when there is nothing to do: 0 after help and version (on `out`), 2 after a
/// mistake (named on `err`). Reads the environment for what is not among the words: `FAIRLEAD_SERVER_URL`,
/// `FAIRLEAD_API_KEY`, `FAIRLEAD_BACKEND_API_KEY`.
///
/// Numbers must be numbers; whether they, a strategy or a URL of a backend are acceptable is for the server
/// to say, which knows.
std::variant<Plan, Status> read_command_line(int argc, const char* const* argv, Language language,
                                             std::ostream& out, std::ostream& err);

}  // namespace fairlead::ctl
