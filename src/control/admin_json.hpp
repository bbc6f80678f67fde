// What the admin API tells of backends, as JSON with the field names of the operator's contract.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fairlead/balancer/figures.hpp>
#include <fairlead/control/detail/admin_target.hpp>
#include <fairlead/control/language.hpp>

namespace fairlead::detail {

/// The three words of the contract: healthy, unhealthy, disabled. A draining backend is a disabled one here;
/// the exact state stands beside it.
const char* status_word(const BackendFigures& backend) noexcept;

/// A backend's config without its key.
nlohmann::json config_json(const BackendConfig& config);

/// A backend's figures. `probe` is how its last probe went.
nlohmann::json metrics_json(const BackendFigures& backend, const std::optional<HealthReport>& probe,
                            Language language);

double seconds_of(Duration time) noexcept;

/// Successful among all; 1 before the first, when nothing has gone wrong.
double success_rate(std::uint64_t succeeded, std::uint64_t completed) noexcept;

}  // namespace fairlead::detail
