// How often a row is repeated where the command line's number is too few.
#pragma once

namespace fairlead::benchmarks {

/// Of a row that walks through megabytes the fastest of five repetitions is still luck: each has its data on
/// other pages. (The short form leaves most such rows out.)
constexpr int repetitions_in_memory = 15;

}  // namespace fairlead::benchmarks
