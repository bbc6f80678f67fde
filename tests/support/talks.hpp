// Conversations as block hashes, and what a cache holds of one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <fairlead/strategies/detail/block_cache.hpp>

namespace fairlead::test {

inline std::vector<std::uint64_t> talk_of(std::uint64_t talk, std::size_t blocks) {
    std::vector<std::uint64_t> hashes(blocks);
    for (std::size_t i = 0; i < blocks; ++i)
        hashes[i] = talk * 10'000 + i;  // poor hashes, as a trace has them
    return hashes;
}

/// Of `prefix`, the blocks that `cache` believes backend `id` to hold.
inline std::uint32_t held(const detail::BlockCache& cache, BackendId id,
                          std::span<const std::uint64_t> prefix) {
    using detail::BlockCache;
    std::array<std::uint32_t, BlockCache::group_size> all{};
    cache.look_up(prefix, id / BlockCache::group_size, std::uint64_t{1} << (id % BlockCache::group_size),
                  all);
    return all[id % BlockCache::group_size];
}

}  // namespace fairlead::test
