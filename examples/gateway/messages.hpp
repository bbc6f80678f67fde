// What the gateway says to its operator beside events and requests, in English and Chinese.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <fairlead/control/language.hpp>
#include <fairlead/control/reload.hpp>

namespace gateway {

/// Scripts look for "listening on ", so it is the same in both languages.
std::string listening(const std::string& url);
std::string admin_at(const std::string& url, fairlead::Language language);
std::string stopping(std::size_t connections, fairlead::Language language);
std::string stopped(fairlead::Language language);

/// What a reload came to: one line, one for another mode, and one for what must wait for the next start.
std::vector<std::string> reloaded(const fairlead::ReloadReport& report, const fairlead::Settings& before,
                                  const fairlead::Settings& after, fairlead::Language language);

/// The settings cannot be read: every problem a line; those in force stay.
std::vector<std::string> not_reloaded(const std::vector<std::string>& problems, fairlead::Language language);

}  // namespace gateway
