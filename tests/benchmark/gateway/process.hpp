// What the measured processes took: the kernel's own figures.
#pragma once

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace load {

/// One proxy, which may be several processes.
class Process {
  public:
    explicit Process(std::vector<pid_t> pids) : pids_{std::move(pids)} {}

    /// Time on a CPU so far, of all threads, user and system; to the nanosecond.
    std::chrono::nanoseconds cpu() const {
        std::chrono::nanoseconds sum{};
        for (const auto pid : pids_) {
            clockid_t clock{};
            timespec now{};
            if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &now) != 0) {
                throw std::runtime_error{"process " + std::to_string(pid) + " has gone"};
            }
            sum += std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
        }
        return sum;
    }

    /// Memory in KiB: the proportional set size, in which a page that several share counts in parts.
    std::uint64_t pss() const {
        std::uint64_t sum = 0;
        for (const auto pid : pids_) sum += pss_of(pid);
        return sum;
    }

  private:
    static std::uint64_t pss_of(pid_t pid) {
        std::ifstream file{"/proc/" + std::to_string(pid) + "/smaps_rollup"};
        for (std::string word; file >> word;) {
            std::uint64_t kibibytes = 0;
            if (word == "Pss:" && file >> kibibytes) return kibibytes;
        }
        throw std::runtime_error{"no memory figures of process " + std::to_string(pid)};
    }

    std::vector<pid_t> pids_;
};

}  // namespace load
