// Paths of the admin API.
#include "admin_path.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace fairlead::detail {
namespace {

std::optional<unsigned> hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

/// "*" stands for a backend's name.
struct Route {
    std::array<std::string_view, 3> segments;
    AdminResource resource;
};
constexpr Route routes[] = {
    {{"status", "", ""}, AdminResource::status},
    {{"backends", "", ""}, AdminResource::backends},
    {{"backends", "*", ""}, AdminResource::backend},
    {{"backends", "*", "enable"}, AdminResource::backend_enable},
    {{"backends", "*", "disable"}, AdminResource::backend_disable},
    {{"backends", "*", "drain"}, AdminResource::backend_drain},
    {{"backends", "*", "health_check"}, AdminResource::backend_health_check},
    {{"strategy", "", ""}, AdminResource::strategy},
    {{"health_check", "start", ""}, AdminResource::health_check_start},
    {{"health_check", "stop", ""}, AdminResource::health_check_stop},
    {{"metrics", "", ""}, AdminResource::metrics},
};

bool fits(const Route& route, const std::array<std::string, 3>& segments) noexcept {
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (route.segments[i] == "*" ? segments[i].empty() : route.segments[i] != segments[i]) return false;
    }
    return true;
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        if (text.size() - i < 3) return std::nullopt;
        const auto high = hex_digit(text[i + 1]);
        const auto low = hex_digit(text[i + 2]);
        if (!high || !low) return std::nullopt;
        decoded += static_cast<char>(*high * 16 + *low);
        i += 2;
    }
    return decoded;
}

AdminPath parse_admin_path(std::string_view below_prefix) {
    below_prefix = below_prefix.substr(0, below_prefix.find_first_of("?#"));
    std::array<std::string, 3> segments;
    AdminPath path;
    for (std::size_t count = 0; !below_prefix.empty(); ++count) {
        if (count == segments.size() || below_prefix.front() != '/') return path;
        const std::size_t end = std::min(below_prefix.find('/', 1), below_prefix.size());
        auto decoded = percent_decoded(below_prefix.substr(1, end - 1));
        if (!decoded) {
            path.found = AdminPath::Found::bad_escape;
            return path;
        }
        if (decoded->empty()) return path;  // "//", or a slash at the end
        segments[count] = std::move(*decoded);
        below_prefix.remove_prefix(end);
    }
    for (const Route& route : routes) {
        if (!fits(route, segments)) continue;
        path.found = AdminPath::Found::yes;
        path.resource = route.resource;
        if (route.segments[1] == "*") path.name = std::move(segments[1]);
        break;
    }
    return path;
}

std::string_view methods_of(AdminResource resource) noexcept {
    switch (resource) {
        case AdminResource::status:
        case AdminResource::metrics:
            return "GET";
        case AdminResource::backends:
            return "GET, POST";
        case AdminResource::backend:
            return "PUT, DELETE";
        case AdminResource::strategy:
            return "GET, PUT";
        default:
            return "POST";
    }
}

}  // namespace fairlead::detail
