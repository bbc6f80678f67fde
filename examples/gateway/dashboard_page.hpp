// The dashboard as the program holds it: dashboard.html with style and script; CMake makes the other half.
#pragma once

#include <string_view>

namespace gateway {

/// The page, with `{{nonce}}` where the answer's nonce goes.
extern const std::string_view dashboard_page;

}  // namespace gateway
