// What prefix_affinity remembers, over a long time.
#pragma once

#include <cstdint>

namespace fairlead::benchmarks {

/// Sends so many prompts, no two alike, to 64 backends, and prints what of the process lies in memory after
/// 1, 10, 100 and so on. Returns 0.
int send_distinct_prompts(std::uint64_t count);

}  // namespace fairlead::benchmarks
