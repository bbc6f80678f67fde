// New settings for a balancer that runs: what an operator changed in the file, and nothing else.
//
//     fairlead::Settings next = fairlead::load_settings(sources);        // throws: all stays as it is
//     const auto report = fairlead::reload(balancer, health, settings, next);
//     if (report.applied) settings = std::move(next);
//
// Without it, a changed line means a restart: streams are cut, counters and findings are lost. And where a
// reload puts the file's word over everything, it quietly undoes what was decided at run time: a backend that
// an operator disabled in the night serves again because somebody changed another's weight in the morning.
#pragma once

#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/fleet_change.hpp>
#include <fairlead/model/settings.hpp>
#include <fairlead/strategies/any_strategy.hpp>

namespace fairlead {

/// What a reload did, for a log.
struct ReloadReport {
    bool applied =
        true;  ///< false: the mode would change to or from `single_backend`, and all stays as it was

    std::vector<std::string> added{};     ///< names of backends
    std::vector<std::string> changed{};   ///< names of backends
    std::vector<std::string> draining{};  ///< names of backends, which go when their last request has ended
    std::vector<std::string> settings{};  ///< names, as in the JSON file, of what else is in force now
    std::vector<std::string> at_next_start{};  ///< names of what differs and cannot change while it runs

    bool operator==(const ReloadReport&) const = default;
};

namespace detail {

/// For each field that the file says otherwise now, the file's value; what was changed at run time stays.
/// Whether anything changed.
bool take_over(BackendConfig& running, const BackendConfig& before, const BackendConfig& after);

/// Names of the settings other than backends, strategy and what `reload` applies that differ.
std::vector<std::string> fixed_settings_that_differ(const Settings& before, const Settings& after);

/// The backend of that name; null when there is none.
const BackendConfig* find_backend(const Settings& settings, const std::string& name) noexcept;

}  // namespace detail

/// Brings `balancer` from the settings `before`, which it was made with or last reloaded with, to `after`.
/// What stands in both alike is left as it is, whatever was changed at run time; a backend that `after` no
/// longer has drains and is then removed; one that was added at run time stays. Counters, requests in flight
/// and findings are kept. All changes of backends become one new snapshot.
///
/// `health` has `set_interval(Duration)`, as `HealthChecker` has. Threads: any, one reload at a time; the
/// balancer outlives what drains. Throws std::bad_alloc.
template <class Balancer, class Health>
ReloadReport reload(Balancer& balancer, Health& health, const Settings& before, const Settings& after) {
    ReloadReport report;
    if ((before.mode == Mode::single_backend) != (after.mode == Mode::single_backend)) {
        report.applied = false;
        return report;
    }
    balancer.change([&](FleetChange& fleet) {
        for (const auto& backend : after.backends) {
            const BackendConfig* const old = detail::find_backend(before, backend.name);
            if (old == nullptr && fleet.contains(backend.name)) {
                // Added at run time, or on its way out: the file's word is the newer.
                if (!fleet.update(backend) && !fleet.enable(backend.name))
                    report.changed.push_back(backend.name);
            } else if (old == nullptr) {
                if (!fleet.add(backend)) report.added.push_back(backend.name);
            } else {
                bool differs = false;
                const auto take_over = [&](BackendConfig& running) {
                    differs = detail::take_over(running, *old, backend);
                };
                if (!fleet.update(backend.name, take_over) && differs) report.changed.push_back(backend.name);
            }
        }
        for (const auto& backend : before.backends) {
            if (detail::find_backend(after, backend.name) != nullptr) continue;
            const auto gone = [&balancer, name = backend.name](std::error_code error) {
                if (error) return;
                balancer.change([&](FleetChange& now) {
                    // Unless somebody wants it back since.
                    if (now.is_draining(name)) static_cast<void>(now.remove(name));
                });
            };
            if (!fleet.drain(backend.name, gone)) report.draining.push_back(backend.name);
        }
    });
    if (before.strategy != after.strategy) {
        if (const auto named = AnyStrategy::from_name(after.strategy)) balancer.set_strategy(*named);
        report.settings.emplace_back("load_balance_strategy");
    }
    if (before.options.max_retries != after.options.max_retries) {
        balancer.set_max_retries(after.options.max_retries);
        report.settings.emplace_back("max_retries");
    }
    if (before.options.failure_threshold != after.options.failure_threshold) {
        static_cast<void>(balancer.set_failure_threshold(after.options.failure_threshold));
        report.settings.emplace_back("failure_threshold");
    }
    if (before.options.health_check_interval != after.options.health_check_interval) {
        static_cast<void>(health.set_interval(after.options.health_check_interval));
        report.settings.emplace_back("health_check_interval");
    }
    report.at_next_start = detail::fixed_settings_that_differ(before, after);
    return report;
}

}  // namespace fairlead
