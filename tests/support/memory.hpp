// How much memory the test's own process has, as the system counts it.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <stdexcept>

namespace test {

/// Bytes of the process that lie in memory (Linux). Never less than was touched and not given back.
inline std::int64_t resident_bytes() {
    std::ifstream in{"/proc/self/statm"};
    std::int64_t whole = 0;
    std::int64_t resident = 0;
    if (!(in >> whole >> resident)) throw std::runtime_error{"cannot read /proc/self/statm"};
    return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace test
