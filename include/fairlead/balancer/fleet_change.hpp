// Several changes of the fleet in one go.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/roster.hpp>
#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/options.hpp>

namespace fairlead {

/// What `Balancer::change` hands out: the members of `Balancer` that change the fleet and the options, for
/// changes that become one new snapshot. A request sees all of them or none.
///
///     balancer.change([](fairlead::FleetChange& fleet) {
///         fleet.add({.name = "new", .url = "http://10.0.0.8:8000"});
///         fleet.drain("old");
///     });
///
/// Errors are those of the balancer's members of the same names; one that fails leaves the others in force.
/// Threads: only within the call of `change`, under the balancer's lock: it must not call the balancer.
class FleetChange {
  public:
    FleetChange(detail::Roster& roster, Time now) noexcept : roster_{roster}, now_{now} {}
    FleetChange(const FleetChange&) = delete;
    FleetChange& operator=(const FleetChange&) = delete;

    std::error_code add(BackendConfig config) { return roster_.add(std::move(config), now_, false); }
    std::error_code update(BackendConfig config) { return roster_.update(std::move(config), now_); }

    /// From the present config: `edit(BackendConfig&)`. The name stays.
    template <std::invocable<BackendConfig&> Edit>
    std::error_code update(std::string_view name, Edit&& edit) {
        const auto backend = roster_.find(name);
        if (!backend) return Errc::unknown_backend;
        BackendConfig config = *backend->config;
        edit(config);
        config.name = name;
        return roster_.update(std::move(config), now_);
    }

    std::error_code remove(std::string_view name) { return roster_.remove(name, now_); }
    std::error_code enable(std::string_view name) {
        return roster_.set_duty(name, detail::Duty::serving, now_);
    }
    std::error_code disable(std::string_view name) {
        return roster_.set_duty(name, detail::Duty::disabled, now_);
    }
    std::error_code drain(std::string_view name, std::function<void(std::error_code)> drained = {}) {
        return roster_.drain(name, std::move(drained), now_);
    }

    std::error_code set_options(const Options& options) { return roster_.set_options(options, now_); }

    /// From the present ones: `edit(Options&)`.
    template <std::invocable<Options&> Edit>
    std::error_code update_options(Edit&& edit) {
        Options options = roster_.options();
        edit(options);
        return roster_.set_options(std::move(options), now_);
    }

    bool contains(std::string_view name) const { return roster_.find(name) != nullptr; }
    bool is_draining(std::string_view name) const {
        const auto backend = roster_.find(name);
        return backend && backend->duty == detail::Duty::draining;
    }

  private:
    detail::Roster& roster_;
    const Time now_;
};

}  // namespace fairlead
