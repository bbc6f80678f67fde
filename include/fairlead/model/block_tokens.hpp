// How long a block of a prompt's prefix is where nobody says.
#pragma once

#include <cstdint>

namespace fairlead {

/// Tokens to a block of a prompt's prefix where nobody says: as vLLM has it from the start.
inline constexpr std::uint32_t usual_block_tokens = 16;

}  // namespace fairlead
