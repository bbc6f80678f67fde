// Threads that stay on one CPU while they are measured.
#pragma once

#include <cstddef>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace fairlead::benchmarks {

/// The CPUs that the process may run on, as it was started.
inline const std::vector<std::size_t>& cpus() {
    static const auto found = [] {
        std::vector<std::size_t> all;
#ifdef __linux__
        cpu_set_t set;
        CPU_ZERO(&set);
        if (sched_getaffinity(0, sizeof set, &set) != 0) return all;
        for (std::size_t i = 0; i < CPU_SETSIZE; ++i) {
            if (CPU_ISSET(i, &set)) all.push_back(i);
        }
#endif
        return all;
    }();
    return found;
}

/// Keeps the running thread on one CPU, that of its number.
inline void pin([[maybe_unused]] int thread) {
#ifdef __linux__
    const auto& all = cpus();
    if (all.empty()) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(all[static_cast<std::size_t>(thread) % all.size()], &set);
    sched_setaffinity(0, sizeof set, &set);
#endif
}

}  // namespace fairlead::benchmarks
