// New settings for a balancer that runs: what an operator changed in the file, and nothing else.
//
//     fairlead::Settings next = fairlead::load_settings(sources);        // throws: all stays as it is
//     const auto report = fairlead::reload(balancer, settings, next);
//     if (report.applied) settings = std::move(next);
//
// Without it, a changed line means a restart: streams are cut, counters and findings are lost. And where a
// reload puts the file's word over everything, it quietly undoes what was decided at run time: a backend that
// an operator disabled in the night serves again because somebody changed another's weight in the morning.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/fleet_change.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/settings.hpp>
#include <fairlead/strategies/any_strategy.hpp>

namespace fairlead {

/// What a reload did, for a log.
struct ReloadReport {
    /// False: all stays as it was, because the mode would change to or from `single_backend`, or because of
    /// `error`.
    bool applied = true;
    std::error_code error{};  ///< what is wrong with settings that `load_settings` did not check

    std::vector<std::string> added{};     ///< names of backends
    std::vector<std::string> changed{};   ///< names of backends
    std::vector<std::string> draining{};  ///< names of backends, which go when their last request has ended

    /// A backend that could not be brought to what the file says.
    struct Refused {
        std::string name{};
        std::error_code error{};  ///< `Errc::too_many_changes` or `Errc::too_many_backends`

        bool operator==(const Refused&) const = default;
    };
    /// They are as they were, because requests under too many of their former configs are in flight, or there
    /// are too many backends. A later reload does not try again.
    std::vector<Refused> refused{};

    // Names of settings, as in the JSON file.
    std::vector<std::string> settings{};       ///< what else is in force now
    std::vector<std::string> of_host{};        ///< what differs and is for the host to apply: "admin_key" ...
    std::vector<std::string> at_next_start{};  ///< what differs and cannot change while it runs

    bool operator==(const ReloadReport&) const = default;
};

namespace detail {

/// For each field that the file says otherwise now, the file's value; what was changed at run time stays.
/// Whether anything changed.
bool take_over(BackendConfig& running, const BackendConfig& before, const BackendConfig& after);

/// The same for options; not of those that a running balancer cannot change.
void take_over(Options& running, const Options& before, const Options& after);

/// Names of settings other than backends and strategy.
struct SettingNames {
    std::vector<std::string> options{};
    std::vector<std::string> of_host{};
    std::vector<std::string> at_next_start{};
};
SettingNames settings_that_differ(const Settings& before, const Settings& after);

/// What is wrong with the first that is not valid.
std::error_code check(const Settings& settings);

/// The backend of that name; null when there is none.
const BackendConfig* find_backend(const Settings& settings, const std::string& name) noexcept;

}  // namespace detail

/// Brings `balancer` from the settings `before`, which it was made with or last reloaded with, to `after`.
/// What stands in both alike is left as it is, whatever was changed at run time; a backend that `after` no
/// longer has drains and is then removed; one that was added at run time stays. Counters, requests in flight
/// and findings are kept. All changes of backends and options become one new snapshot; what new options mean
/// for what is under way is said at `Balancer::set_options`. A `HealthChecker` follows by itself.
///
/// What of the settings is no option of the balancer (`ReloadReport::of_host`) is the host's to apply.
/// Threads: any, one reload at a time; the balancer outlives what drains. Throws std::bad_alloc.
template <class Balancer>
ReloadReport reload(Balancer& balancer, const Settings& before, const Settings& after) {
    ReloadReport report;
    report.error = detail::check(after);
    if (report.error || (before.mode == Mode::single_backend) != (after.mode == Mode::single_backend)) {
        report.applied = false;
        return report;
    }
    auto names = detail::settings_that_differ(before, after);
    balancer.change([&](FleetChange& fleet) {
        report.error = fleet.update_options(
            [&](Options& running) { detail::take_over(running, before.options, after.options); });
        report.applied = !report.error;
        if (!report.applied) return;
        const auto note = [&report](std::vector<std::string>& done, const std::string& name,
                                    std::error_code error) {
            if (!error) done.push_back(name);
            // One that was removed at run time stays so.
            if (error && error != Errc::unknown_backend) report.refused.push_back({name, error});
        };
        for (const auto& backend : after.backends) {
            const BackendConfig* const old = detail::find_backend(before, backend.name);
            if (old == nullptr && fleet.contains(backend.name)) {
                // Added at run time, or on its way out: the file's word is the newer.
                const auto error = fleet.update(backend);
                note(report.changed, backend.name, error ? error : fleet.enable(backend.name));
            } else if (old == nullptr) {
                note(report.added, backend.name, fleet.add(backend));
            } else {
                bool differs = false;
                const auto take_over = [&](BackendConfig& running) {
                    differs = detail::take_over(running, *old, backend);
                };
                const auto error = fleet.update(backend.name, take_over);
                if (differs) note(report.changed, backend.name, error);
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
    if (!report.applied) return report;
    if (before.strategy != after.strategy) {
        if (const auto named = AnyStrategy::from_name(after.strategy)) balancer.set_strategy(*named);
        report.settings.emplace_back("load_balance_strategy");
    }
    balancer.set_mode(after.mode);
    std::move(names.options.begin(), names.options.end(), std::back_inserter(report.settings));
    report.of_host = std::move(names.of_host);
    report.at_next_start = std::move(names.at_next_start);
    return report;
}

}  // namespace fairlead
