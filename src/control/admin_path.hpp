// Which call of the admin API a path names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead::detail {

enum class AdminResource : std::uint8_t {
    status,
    backends,
    backend,
    backend_enable,
    backend_disable,
    backend_drain,
    backend_health_check,
    strategy,
    health_check_start,
    health_check_stop,
    metrics
};

struct AdminPath {
    enum class Found : std::uint8_t { yes, no, bad_escape };

    Found found = Found::no;
    AdminResource resource{};
    std::string name{};  ///< of the backend, percent-decoded: any bytes at all
};

/// Reads the path of a target behind the API's prefix: its query does not count. A segment is decoded once,
/// after the path was split, so that "%2F" is a part of a name and ".." a name like any other.
AdminPath parse_admin_path(std::string_view below_prefix);

/// The methods that a resource has, as `Allow` lists them.
std::string_view methods_of(AdminResource resource) noexcept;

/// Percent-decoded; nothing when a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace fairlead::detail
