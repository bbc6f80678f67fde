// What hosts want called when a drain has ended: kept until the roster's mutex is let go.
#pragma once

#include <functional>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/live_backend.hpp>

namespace fairlead::detail {

/// One of them, and how the drain ended.
struct DrainCall {
    std::function<void(std::error_code)> drained;
    std::error_code how;

    void operator()() const { drained(how); }
};

/// Called with the roster's mutex.
class DrainCalls {
  public:
    /// For `end`, which must not fail halfway. Throws std::bad_alloc.
    void make_room(const LiveBackend& backend) { due_.reserve(due_.size() + backend.on_drained.size()); }

    /// After `make_room`: all that wait for this backend's drain are due.
    void end(LiveBackend& backend, std::error_code how) noexcept {
        for (auto& drained : std::exchange(backend.on_drained, {})) due_.push_back({std::move(drained), how});
    }

    /// To be run under no lock.
    std::vector<DrainCall> take() noexcept { return std::exchange(due_, {}); }

  private:
    std::vector<DrainCall> due_;
};

}  // namespace fairlead::detail
