// What a change of the fleet costs, what a backend takes in memory, and when every thread sees a change.
#pragma once

namespace fairlead::benchmarks {

void register_cold_path();

}  // namespace fairlead::benchmarks
