// A hash of text that is the same on every machine, build and version: other gateways and yesterday's process
// must send a key to the same backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <fairlead/model/rng.hpp>

namespace fairlead::detail {

/// 64 bits of `text`, read as little-endian words of 8 bytes through SplitMix64's finalizer. Not for secrets.
/// About 1.5 ns for each 8 bytes.
constexpr std::uint64_t stable_hash(std::string_view text, std::uint64_t seed = 0) noexcept {
    constexpr std::uint64_t odd = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio
    std::uint64_t hash = Rng::mix(seed + odd * (text.size() + 1));
    std::size_t at = 0;
    while (at < text.size()) {
        std::uint64_t word = 0;
        for (unsigned shift = 0; shift < 64 && at < text.size(); shift += 8, ++at) {
            word |= std::uint64_t{static_cast<unsigned char>(text[at])} << shift;
        }
        hash = Rng::mix((hash ^ word) * odd + odd);
    }
    return hash;
}

}  // namespace fairlead::detail
