// What came of a simulation: each request, and what the whole comes to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace simulator {

/// One request that got its whole answer.
struct Served {
    double arrived = 0;      ///< seconds since the beginning
    double first_token = 0;  ///< seconds from its arrival, tries elsewhere included
    double per_token = 0;    ///< seconds between two tokens after that; 0 for an answer of one
    std::uint32_t prompt_tokens = 0;
    std::uint32_t cached_tokens = 0;  ///< of those, found in the backend's cache
    std::uint32_t backend = 0;
};

struct Result {
    std::string strategy{};
    std::vector<Served> served{};             ///< in order of their ends
    std::vector<std::uint64_t> sent{};        ///< tries, by backend
    std::uint64_t requests = 0;               ///< all that arrived
    std::uint64_t shed = 0;                   ///< found every backend full, or none in service
    std::uint64_t failed = 0;                 ///< every try failed, or longer than the engine's room
    std::uint64_t retries = 0;                ///< further tries
    std::vector<std::uint32_t> pick_times{};  ///< nanoseconds of real time, the clock's own included
    double seconds = 0;                       ///< simulated, until the last answer ended
};

/// The figures by which strategies are compared.
struct Summary {
    std::string strategy{};
    double mean = 0;  ///< seconds to the first token
    double p50 = 0;
    double p90 = 0;
    double p99 = 0;
    double per_token = 0;  ///< mean seconds between two tokens
    double hit_rate = 0;   ///< share of prompt tokens found in a cache
    double imbalance = 0;  ///< the largest backend's share of the requests, relative to the mean
    std::uint64_t requests = 0;
    std::uint64_t shed = 0;
    std::uint64_t failed = 0;
    std::uint64_t retries = 0;
    double pick_ns = 0;  ///< median, the clock's own time taken off
};
Summary summary_of(const Result& result);

/// One stretch of time, by arrival.
struct Interval {
    double begin = 0;  ///< seconds
    double mean = 0;   ///< seconds to the first token
    double hit_rate = 0;
    std::vector<std::uint64_t> served{};  ///< by backend
};
/// The whole run in intervals of that many seconds.
std::vector<Interval> timeline_of(const Result& result, double seconds);

/// Of values in any order, the one below which a share `q` lies (the nearest rank); 0 when there are none.
double quantile(std::vector<double> values, double q);

}  // namespace simulator
