// How a stand-in misbehaves when it is told to.
#pragma once

#include <array>
#include <utility>

namespace mock_llm {

enum class Failure {
    none,
    refuse,        ///< the connection is reset before a byte of an answer
    hang,          ///< no answer, ever
    server_error,  ///< status 500
    rate_limited,  ///< status 429 with Retry-After: 1
    cut,           ///< half of the answer, then the connection closes
    garbage        ///< bytes that are no HTTP
};

/// Their names on a command line.
inline constexpr std::array<std::pair<const char*, Failure>, 7> failure_names{
    {{"none", Failure::none},
     {"refuse", Failure::refuse},
     {"hang", Failure::hang},
     {"500", Failure::server_error},
     {"429", Failure::rate_limited},
     {"cut", Failure::cut},
     {"garbage", Failure::garbage}}};

}  // namespace mock_llm
