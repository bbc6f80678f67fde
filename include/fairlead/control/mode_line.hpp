// The line of the log that says which mode was chosen.
#pragma once

#include <string>

#include <fairlead/control/language.hpp>
#include <fairlead/model/settings.hpp>

namespace fairlead {

/// One line, without its end, that says how requests are balanced: print it at start-up.
///
///     load balancing is on with 3 backends
///
/// In Chinese these are the three lines of the operator's guide, word for word.
std::string mode_line(const Settings& settings, Language language = language_from_environment());

}  // namespace fairlead
