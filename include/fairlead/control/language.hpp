// The language in which an operator is spoken to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace fairlead {

/// Every message that an operator reads exists in these. Settings' names, fields and figures are the same in
/// both.
enum class Language : std::uint8_t { english, chinese };

/// The language of a locale's name: Chinese for `zh`, `zh_CN.UTF-8`, `zh-TW` ..., English for all others.
Language language_of(std::string_view locale) noexcept;

/// The language that `LC_ALL`, else `LC_MESSAGES`, else `LANG` names; the first that is not empty counts.
/// Thread safe as long as nobody changes the environment meanwhile.
Language language_from_environment() noexcept;

/// What an error says, in the given language. Errors of other categories say what their category says.
std::string message(std::error_code error, Language language);

}  // namespace fairlead
