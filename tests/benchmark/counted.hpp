// Instructions of one request, counted by callgrind: exact where a time is not.
#pragma once

namespace fairlead::benchmarks {

/// Runs every row, with what is counted marked for callgrind: guard.sh calls it so, and compares. 0, or 2 and
/// a word where it does not run under valgrind.
int count_instructions();

}  // namespace fairlead::benchmarks
