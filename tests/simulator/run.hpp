// A scenario under a strategy by its name.
#pragma once

#include <string>

#include "simulator/contestants.hpp"
#include "simulator/result.hpp"
#include "simulator/scenario.hpp"
#include "support/catch.hpp"

namespace simulator {

inline Result run(const Scenario& scenario, const std::string& strategy) {
    const auto* const contestant = find_contestant(strategy);
    REQUIRE(contestant != nullptr);
    return simulate(scenario, *contestant);
}

}  // namespace simulator
