// Reads the bodies of the admin API's calls: JSON of a stranger, every problem named.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/time.hpp>

#include "problems.hpp"

namespace fairlead::detail {

/// What `PUT /backends/{name}` changes; unset: stays.
struct BackendChange {
    std::optional<std::uint32_t> weight{};
    std::optional<std::uint32_t> max_connections{};
    std::optional<Duration> timeout{};
    std::optional<int> priority{};
    std::optional<std::vector<std::string>> tags{};

    void apply(BackendConfig& config) const;
};

/// What `PUT /strategy` changes; unset: stays.
struct StrategyChange {
    std::optional<std::string> strategy{};
    std::optional<Duration> health_check_interval{};
    std::optional<std::uint32_t> max_retries{};
    std::optional<std::uint32_t> failure_threshold{};
};

/// Each adds a problem for everything that is wrong; the result counts only when there is none.
BackendConfig read_new_backend(std::string_view body, Problems& problems);
BackendChange read_backend_change(std::string_view body, Problems& problems);
StrategyChange read_strategy_change(std::string_view body, std::span<const std::string> strategies,
                                    Problems& problems);

/// All problems in one line: `body.weight: must be 1..65535, got 0; body.url: ...`.
std::string in_one_line(const Problems& problems);

}  // namespace fairlead::detail
