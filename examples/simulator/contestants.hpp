// The strategies that can be simulated, by name.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/result.hpp"
#include "simulator/scenario.hpp"
#include "simulator/simulation.hpp"

namespace simulator {

struct Contestant {
    std::string name;
    std::string note;  ///< what is particular about it here
    MakeRouter make_router;
    bool is_usual = true;  ///< among those that are compared when nobody says which
};

/// The library's strategies and the rules of other routers.
std::span<const Contestant> contestants();

/// The one of that name, or none.
const Contestant* find_contestant(std::string_view name);

/// Simulates it.
Result simulate(const Scenario& scenario, const Contestant& contestant);

}  // namespace simulator
