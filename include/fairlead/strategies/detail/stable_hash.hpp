// A hash of text that is the same on every machine, build and version: other gateways and yesterday's process
// must send a key to the same backend.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include <fairlead/model/rng.hpp>

namespace fairlead::detail {

/// The first `size` bytes, 8 at most, as a little-endian number.
constexpr std::uint64_t little_endian(const char* text, std::size_t size) noexcept {
    if (!std::is_constant_evaluated() && std::endian::native == std::endian::little && size >= 4) {
        // Two halves, which overlap where there are less than 8 bytes: they agree there.
        std::uint32_t low = 0;
        std::uint32_t high = 0;
        std::memcpy(&low, text, 4);
        std::memcpy(&high, text + size - 4, 4);
        return low | (std::uint64_t{high} << (8 * (size - 4)));
    }
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < size; ++i) {
        word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    return word;
}

/// 64 bits of `text`, read as little-endian words of 8 bytes through SplitMix64's finalizer. Not for secrets.
/// About 1.5 ns for each 8 bytes.
constexpr std::uint64_t stable_hash(std::string_view text, std::uint64_t seed = 0) noexcept {
    constexpr std::uint64_t odd = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio
    std::uint64_t hash = Rng::mix(seed + odd * (text.size() + 1));
    for (std::size_t at = 0; at < text.size(); at += 8) {
        const std::uint64_t word =
            little_endian(text.data() + at, std::min<std::size_t>(8, text.size() - at));
        hash = Rng::mix((hash ^ word) * odd + odd);
    }
    return hash;
}

}  // namespace fairlead::detail
