// Reads backends from JSON: of LLM_BACKENDS, and of whoever adds one at run time.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fairlead/model/backend_config.hpp>

#include "problems.hpp"

namespace fairlead::detail {

/// A backend, and what can not be told from its config.
struct ReadBackend {
    BackendConfig config{};
    bool max_connections_written = false;
};

/// The fields that a backend may have, in the order of `BackendConfig`.
std::span<const std::string_view> backend_fields() noexcept;

/// Reads one backend from an object. Every problem is added with a path that begins with `where`
/// ("LLM_BACKENDS[1]"); a field that is null is left at its default. When no problem was added,
/// `validate(config)` is empty.
ReadBackend read_backend(const nlohmann::json& object, const std::string& where, Problems& problems);

/// Reads an array of them, whose names must be unique. Empty when a problem was added.
std::vector<ReadBackend> read_backends(const nlohmann::json& array, const std::string& where,
                                       Problems& problems);

}  // namespace fairlead::detail
