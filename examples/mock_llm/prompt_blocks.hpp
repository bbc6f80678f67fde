// A prompt as blocks with chained hashes, as the caches of engines key on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mock_llm {

/// Bytes of text to a token: what English text comes to with common tokenizers.
inline constexpr std::size_t token_bytes = 4;

/// FNV-1a, 64 bits (Fowler, Noll and Vo): enough for a stand-in, and the same on every machine.
inline std::uint64_t hash(std::string_view text, std::uint64_t seed = 0xcbf29ce484222325U) {
    for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return seed;
}

/// The chained hashes of the text's full blocks, from `seed` on.
inline std::vector<std::uint64_t> block_hashes(std::string_view prompt, std::size_t block_tokens,
                                               std::uint64_t seed = hash({})) {
    std::vector<std::uint64_t> blocks;
    const std::size_t size = block_tokens * token_bytes;
    for (std::size_t at = 0; at + size <= prompt.size(); at += size)
        blocks.push_back(seed = hash(prompt.substr(at, size), seed));
    return blocks;
}

}  // namespace mock_llm
