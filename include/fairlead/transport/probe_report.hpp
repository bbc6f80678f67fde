// What one probe of one backend came to, for whoever asked for it and for an operator's page.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>

#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// A plain value.
struct ProbeReport {
    bool ok = false;      ///< this probe passed
    bool healthy = true;  ///< what the probes say in all, by the thresholds
    Outcome outcome{};    ///< of this probe
    Duration latency{};   ///< how long it took
    std::chrono::system_clock::time_point last_check_time{};  ///< when it ended
    std::uint32_t consecutive_failures = 0;                   ///< failed probes in a row, this one included
    std::string last_error{};                                 ///< what was wrong; empty when it passed
};

namespace detail {

/// What was wrong with a probe that did not pass, as a sentence.
inline std::string probe_error(std::error_code error, const Outcome& outcome) {
    if (outcome.kind == Outcome::success) return {};
    if (error) return error.message();
    if (outcome.status >= 200 && outcome.status < 300)
        return "HTTP status " + std::to_string(outcome.status) + ", but not the answer that was expected";
    if (outcome.status != 0) return "HTTP status " + std::to_string(outcome.status);
    return to_string(outcome.kind);
}

}  // namespace detail
}  // namespace fairlead
