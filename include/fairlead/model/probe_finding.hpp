// What the probes found out about one backend.
#pragma once

#include <cstdint>
#include <string>

namespace fairlead {

/// Takes a backend out of service, or lets it back. Made by `HealthMonitor`, taken by `Balancer::probed`.
struct ProbeFinding {
    std::string name{};
    /// Of which server under that name (`BackendFigures::incarnation`): a finding about one that has been
    /// replaced meanwhile is ignored. 0: whoever has the name now.
    std::uint64_t incarnation = 0;
    bool healthy = true;
    /// It could not be connected to, twice or more, and answers again: what its caches held is gone.
    bool restarted = false;

    bool operator==(const ProbeFinding&) const = default;
};

}  // namespace fairlead
