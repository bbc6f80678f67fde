// Dates and waits as HTTP writes them (RFC 9110, 5.6.7 and 10.2.3).
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include <fairlead/model/time.hpp>
#include <fairlead/transport/http_message.hpp>

namespace fairlead::detail {

using WallTime = std::chrono::sys_seconds;

/// "Sun, 06 Nov 1994 08:49:37 GMT", the form that is sent today; none for anything else.
std::optional<WallTime> parse_http_date(std::string_view text) noexcept;

/// What `Retry-After` asks for: seconds, or a date, which counts from the message's `Date`, without one from
/// `now`. A date gone by is 0. None when there is none or it is malformed.
std::optional<Duration> retry_after(const HttpHeaders& headers, WallTime now) noexcept;

}  // namespace fairlead::detail
