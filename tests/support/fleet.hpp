// Short ways to write fleets, and to look at one backend's figures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/balancer/balancer.hpp>

namespace fairlead::test {

/// Options under which nothing happens by chance: one seed, and ejections that last as long as they are to.
inline Options without_chance() {
    Options options;
    options.seed = 1;
    options.ejection_jitter = 0;
    return options;
}

/// `n` backends "b0", "b1", ... of one model.
inline std::vector<BackendConfig> fleet(std::size_t n, std::uint32_t max_connections = 50,
                                        std::uint32_t weight = 1) {
    std::vector<BackendConfig> backends(n);
    for (std::size_t i = 0; i < n; ++i) {
        backends[i].name = "b" + std::to_string(i);
        backends[i].url = "http://10.0.0.1:" + std::to_string(8000 + i);
        backends[i].weight = weight;
        backends[i].max_connections = max_connections;
    }
    return backends;
}

template <class Balancer>
BackendFigures figures(const Balancer& balancer, std::string_view name) {
    for (auto& each : balancer.snapshot()) {
        if (each.config.name == name) return each;
    }
    throw std::out_of_range{"no backend " + std::string{name}};
}

/// How many events of `kind` were told (of `backend`, when named).
inline std::size_t count(const std::vector<Event>& events, Event::Kind kind, std::string_view backend = {}) {
    return static_cast<std::size_t>(std::count_if(events.begin(), events.end(), [&](const Event& event) {
        return event.kind == kind && (backend.empty() || event.backend == backend);
    }));
}

/// One request from choice to report; returns the name of the backend, empty when there was none.
template <class Balancer>
std::string one(Balancer& balancer, const Outcome& outcome = Outcome::success,
                const Criteria& criteria = {}) {
    Lease lease = balancer.select(criteria);
    if (!lease) return {};
    std::string name = lease->name;
    balancer.report(std::move(lease), outcome);
    return name;
}

}  // namespace fairlead::test
