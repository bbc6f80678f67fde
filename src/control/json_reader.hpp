// Reads JSON that a stranger may have written: bounded depth, no key twice, and errors with their place.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "messages.hpp"
#include "problems.hpp"

namespace fairlead::detail {

/// Levels of arrays and objects at most. The deepest setting has 4; 32 leaves room, and keeps everything that
/// walks a value recursively (its destructor, `dump`) far from the end of the stack.
inline constexpr std::size_t max_json_depth = 32;

/// The value, or nothing and at least one problem. Never shows what stands in the text beyond one punctuation
/// mark and the names of keys, because keys of an API stand there.
std::optional<nlohmann::json> parse_json(std::string_view text, Language language,
                                         std::vector<JsonProblem>& problems);

/// What kind of value it is, as a message says it.
const Text& kind_of(const nlohmann::json& value) noexcept;

}  // namespace fairlead::detail
