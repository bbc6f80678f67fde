// Who may use the admin API: whoever has the key; without a key, whoever sits at this machine.
#pragma once

#include <string_view>

#include <fairlead/transport/http_message.hpp>

namespace fairlead::detail {

enum class Access { granted, no_key, wrong_key, not_local };

/// Judges one request. `key` empty: none is set.
Access access_of(std::string_view key, const HttpHeaders& headers, std::string_view peer);

/// Whether the two are equal. How long it takes tells the length of `given` and nothing of `secret`.
bool equal_in_constant_time(std::string_view given, std::string_view secret) noexcept;

/// Whether `address` is this machine's own: `127.0.0.0/8`, `::1`, either with a port or mapped into IPv6, or
/// the name `localhost`.
bool is_loopback(std::string_view address) noexcept;

}  // namespace fairlead::detail
