// The engines of a fleet whose backends are not alike.
#include "simulator/scenario.hpp"

#include <chrono>

namespace simulator {

inference::Profile Scenario::engine_of(std::size_t backend) const {
    inference::Profile profile = engine;
    if (backend >= speeds.size()) return profile;
    const auto shortened = [speed = speeds[backend]](Duration time) {
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{time} / speed);
    };
    profile.prefill_rate *= speeds[backend];
    profile.step = shortened(profile.step);
    profile.step_per_decoding = shortened(profile.step_per_decoding);
    return profile;
}

}  // namespace simulator
