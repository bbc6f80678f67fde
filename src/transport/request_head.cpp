// Where a backend's url points, and the head of a request to it.
#include "request_head.hpp"

#include <algorithm>

#include <fairlead/model/validate.hpp>
#include <fairlead/transport/transport_error.hpp>

#include "head_scanner.hpp"
#include "header_list.hpp"

namespace fairlead::detail {
namespace {

bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_value(std::string_view text) noexcept {
    for (;;) {
        text.remove_prefix(before_control_char(text));
        if (text.empty()) return true;
        if (text.front() != '\t') return false;
        text.remove_prefix(1);
    }
}

// What is written beside the fields: "Host: ", the key's own, "Content-Length: " with its digits, one more
// that the transport may add, and the ends of all these.
constexpr std::size_t own_lines = 128;

/// About as much as the head takes, so that it is allocated once.
std::size_t size_of(const HttpRequest& request, const Origin& origin, std::string_view api_key) noexcept {
    std::size_t size = request.method.size() + origin.base_path.size() + request.target.size() +
                       origin.host_header.size() + api_key.size() + own_lines;
    for (const auto& [name, value] : request.headers) size += name.size() + value.size() + 4;
    return size;
}

/// What belongs to one connection, and what is set here.
bool is_left_out(std::string_view name, bool has_key) noexcept {
    return is_hop_by_hop(name) || equal_ignoring_case(name, "Host") ||
           equal_ignoring_case(name, "Content-Length") ||
           (has_key && equal_ignoring_case(name, "Authorization"));
}

}  // namespace

std::optional<Origin> parse_origin(std::string_view url) {
    if (!is_backend_url(url)) return std::nullopt;
    Origin origin;
    const auto scheme_end = url.find("://");
    origin.tls = equal_ignoring_case(url.substr(0, scheme_end), "https");
    url.remove_prefix(scheme_end + 3);
    const auto authority = url.substr(0, url.find('/'));
    auto path = url.substr(authority.size());

    const bool bracketed = authority.starts_with('[');
    const auto host_end =
        bracketed ? authority.find(']') + 1 : std::min(authority.find(':'), authority.size());
    const auto host = authority.substr(0, host_end);
    origin.host = bracketed ? host.substr(1, host.size() - 2) : host;
    const std::string_view own_port = origin.tls ? "443" : "80";
    const auto port = host_end < authority.size() ? authority.substr(host_end + 1) : std::string_view{};
    origin.port = port.empty() ? own_port : port;
    origin.host_header = host;
    if (origin.port != own_port) origin.host_header.append(":").append(origin.port);

    while (path.ends_with('/')) path.remove_suffix(1);
    if (path.ends_with("/v1")) path.remove_suffix(3);
    while (path.ends_with('/')) path.remove_suffix(1);
    origin.base_path = path;
    return origin;
}

std::error_code write_head(const HttpRequest& request, const Origin& origin, std::string_view api_key,
                           std::string& out) {
    if (!is_token(request.method) || request.method == "CONNECT") return TransportErrc::bad_method;
    if (!request.target.starts_with('/') || !is_visible(request.target))
        return TransportErrc::bad_target_to_send;
    if (!is_value(api_key)) return TransportErrc::bad_header_to_send;
    out.reserve(size_of(request, origin, api_key));
    out.append(request.method).append(" ").append(origin.base_path).append(request.target);
    out.append(" HTTP/1.1\r\nHost: ").append(origin.host_header).append("\r\n");
    const bool names_others = request.headers.contains("Connection");
    for (const auto& [name, value] : request.headers) {
        if (!is_token(name) || !is_value(value)) return TransportErrc::bad_header_to_send;
        if (is_left_out(name, !api_key.empty())) continue;
        if (names_others && has_token(request.headers, "Connection", name)) continue;
        out.append(name).append(": ").append(value).append("\r\n");
    }
    if (!api_key.empty()) out.append("Authorization: Bearer ").append(api_key).append("\r\n");
    const auto& method = request.method;
    if (!request.body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
        out.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
    }
    out.append("\r\n");
    return {};
}

bool is_idempotent(std::string_view method) noexcept {
    for (const std::string_view each : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
        if (method == each) return true;
    }
    return false;
}

}  // namespace fairlead::detail
