// Where a backend's url points, and the head of a request to it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <fairlead/transport/http_message.hpp>

namespace fairlead::detail {

/// A backend's url taken apart.
struct Origin {
    bool tls = false;
    std::string host{};         ///< without brackets
    std::string port{};         ///< digits
    std::string host_header{};  ///< as `Host` wants it: brackets, and the port unless it is the scheme's own
    std::string base_path{};    ///< "" or "/base": without "/" and "/v1" at its end
};

/// None when the url is not http:// or https:// with a host.
std::optional<Origin> parse_origin(std::string_view url);

/// Writes the request line and the headers, with the empty line, into `out`. An error, and nothing of use in
/// `out`, when method, target or a header could change the meaning of the message.
std::error_code write_head(const HttpRequest& request, const Origin& origin, std::string_view api_key,
                           std::string& out);

/// Whether a request of this method may be sent twice (RFC 9110, 9.2.2).
bool is_idempotent(std::string_view method) noexcept;

}  // namespace fairlead::detail
