// dashboard.html as the program holds it; CMake makes its other half (examples/CMakeLists.txt).
#pragma once

#include <string_view>

namespace gateway {

/// The page, with `{{nonce}}` where the answer's nonce goes.
extern const std::string_view dashboard_page;

}  // namespace gateway
