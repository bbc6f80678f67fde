// Keys compared without a hint, and where a request really comes from.
#include "admin_access.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace fairlead::detail {
namespace {

/// The key that a request brings: `X-API-Key`, else a bearer token. A field that stands twice is none: which
/// of the two counts must not depend on who reads it.
std::optional<std::string_view> key_of(const HttpHeaders& headers) noexcept {
    if (headers.count("X-API-Key") == 1) return headers.get("X-API-Key");
    if (headers.count("Authorization") != 1) return std::nullopt;
    constexpr std::string_view scheme = "Bearer ";
    std::string_view value = *headers.get("Authorization");
    if (value.size() < scheme.size() || !equal_ignoring_case(value.substr(0, scheme.size()), scheme))
        return std::nullopt;
    value.remove_prefix(scheme.size());
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return value;
}

bool is_ipv4_loopback(std::string_view host) noexcept {
    return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// Without a port, and without the brackets of an IPv6 address.
std::string_view host_of(std::string_view address) noexcept {
    if (address.starts_with('[')) {
        const std::size_t close = address.find(']');
        return close == std::string_view::npos ? std::string_view{} : address.substr(1, close - 1);
    }
    const std::size_t colon = address.find(':');
    const bool one =
        colon != std::string_view::npos && address.find(':', colon + 1) == std::string_view::npos;
    return one ? address.substr(0, colon) : address;
}

/// Nobody but this machine: not a proxy on it that passes on what came from elsewhere, nor a page in a
/// browser on it (`Origin`), nor a name of somebody else's that points here (`Host`).
bool is_local(const HttpHeaders& headers, std::string_view peer) noexcept {
    if (!is_loopback(peer)) return false;
    for (const char* name : {"Forwarded", "X-Forwarded-For", "X-Real-IP"}) {
        if (headers.contains(name)) return false;
    }
    for (const HttpHeader& field : headers) {
        if (equal_ignoring_case(field.name, "Host") && !is_loopback(field.value)) return false;
        if (!equal_ignoring_case(field.name, "Origin")) continue;
        const std::size_t scheme = field.value.find("://");
        if (scheme == std::string::npos || !is_loopback(std::string_view{field.value}.substr(scheme + 3)))
            return false;
    }
    return true;
}

}  // namespace

bool is_loopback(std::string_view address) noexcept {
    std::string_view host = host_of(address);
    if (host == "::1" || equal_ignoring_case(host, "localhost")) return true;
    constexpr std::string_view mapped = "::ffff:";
    if (host.size() > mapped.size() && equal_ignoring_case(host.substr(0, mapped.size()), mapped))
        host.remove_prefix(mapped.size());
    return is_ipv4_loopback(host);
}

bool equal_in_constant_time(std::string_view given, std::string_view secret) noexcept {
    if (secret.empty()) return false;
    // Volatile, so that no compiler leaves the loop at the first difference.
    volatile unsigned char different = given.size() == secret.size() ? 0 : 1;
    for (std::size_t i = 0; i < given.size(); ++i) {
        const auto a = static_cast<unsigned char>(given[i]);
        const auto b = static_cast<unsigned char>(secret[i % secret.size()]);
        different = static_cast<unsigned char>(different | (a ^ b));
    }
    return different == 0;
}

Access access_of(std::string_view key, const HttpHeaders& headers, std::string_view peer) {
    if (key.empty()) return is_local(headers, peer) ? Access::granted : Access::not_local;
    const auto given = key_of(headers);
    if (!given) return Access::no_key;
    return equal_in_constant_time(*given, key) ? Access::granted : Access::wrong_key;
}

}  // namespace fairlead::detail
