// How often a row is repeated where the command line's number is too few.
#pragma once

namespace fairlead::benchmarks {

/// Of a row that walks through megabytes even the fastest repetition is luck: each has its data on other
/// pages. hot_path.py takes the lower quartile of these. (The short form leaves most such rows out.)
constexpr int repetitions_in_memory = 25;

}  // namespace fairlead::benchmarks
