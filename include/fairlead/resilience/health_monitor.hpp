// Which backend to probe when, and what the answers mean. No I/O, no thread, no clock: the host's loop asks.
//
//     fairlead::HealthMonitor monitor{options, seed};
//     monitor.set_members(targets, now);                       // and again whenever the fleet has changed
//     for (const auto& probe : monitor.due(now)) send(probe);  // GET probe.backend->url + its health.path
//     wake_me_at(monitor.next_deadline());
//     ...                                                      // an answer came, or none in time:
//     if (auto finding = monitor.complete(probe, outcome, now)) balancer.probed({&*finding, 1});
//
// Do not use it on an Asio executor: `HealthChecker` (transport/health_checker.hpp) drives it there.
// Without it, a backend that died while idle is found out by requests, which pay for it; and one taken out
// for failed probes would never come back.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/probe_finding.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/resilience/detail/probe_schedule.hpp>
#include <fairlead/resilience/verdict.hpp>

namespace fairlead {

/// A backend's health check with nothing left out: its own word, else the options'. `expected_status` stays
/// unset for "any 2xx", `body_contains` for "anything".
inline HealthOverride health_of(const BackendConfig& backend, const Options& options) {
    HealthOverride health = backend.health;
    if (!health.path) health.path = options.health_check_path;
    if (!health.interval) health.interval = options.health_check_interval;
    if (!health.expected_status && options.health_check_status != 0)
        health.expected_status = options.health_check_status;
    if (!health.body_contains && !options.health_check_contains.empty())
        health.body_contains = options.health_check_contains;
    return health;
}

/// One backend to be probed.
struct HealthTarget {
    BackendConfig config{};
    std::uint64_t incarnation = 0;  ///< `BackendFigures::incarnation`; 0 where the host has no such number
    bool healthy = true;            ///< what earlier probes found: `BackendFigures::probe_ok`
};

/// One probe to be sent.
struct HealthProbe {
    std::shared_ptr<const BackendConfig> backend{};  ///< whom to ask; `health` as `health_of` says
    std::uint64_t number = 0;                        ///< of this probe, from 1
};

/// What is known from the probes of one backend.
struct HealthStanding {
    bool healthy = true;
    std::uint32_t consecutive_failures = 0;
    std::uint32_t consecutive_successes = 0;
    bool under_way = false;  ///< a probe is

    bool operator==(const HealthStanding&) const = default;
};

/// Probes each backend at its own phase within its interval (`health_check_interval`, or its own), up to
/// `health_check_jitter` of the interval later, so that probes never come in a burst. At most
/// `health_check_concurrency` are under way, the longest overdue first, and never two to one backend.
///
/// Unhealthy after `failure_threshold` failed probes in a row, healthy again after `success_threshold` that
/// passed. Unhealthy ones, and those whose last probe failed, are probed every
/// min(interval, `health_check_unhealthy_interval`).
///
/// The first probes of the first set are spread over min(interval, `health_check_unhealthy_interval`): who
/// starts beside a dead backend learns of it as soon as of one that died. A backend that is added later is
/// probed at once. In both cases the first probe alone decides when it fails: nothing speaks for the backend
/// yet. The same holds for a backend whose url, key or incarnation changed, which starts afresh.
///
/// A probe has passed when its outcome is `success`. One that says nothing by the failure table
/// (resilience/verdict.hpp: 429, 503 with `Retry-After`, cancelled) neither adds nor clears. Everything else
/// has failed, a 404 too.
///
/// Threads: needs the caller's mutex. Cost: O(log n) a probe; `set_members`, `start` and `set_interval`
/// O(n log n). May throw std::bad_alloc.
class HealthMonitor {
  public:
    /// Runs from the beginning. The same `seed` gives the same times; gateways need different ones.
    HealthMonitor(const Options& options, std::uint64_t seed)
        : options_{options}, rng_{Rng::mix(seed)}, first_phase_{rng_.uniform()} {}

    /// The whole fleet as it is now, names unique. Members that are still the same keep what is known of
    /// them; a result that arrives for one that is gone or was replaced is ignored.
    void set_members(std::span<const HealthTarget> targets, Time now) {
        const bool first_set = !std::exchange(started_once_, true);
        if (first_set) origin_ = now;
        ++round_;
        for (const HealthTarget& target : targets) {
            const auto found = members_.find(target.config.name);
            if (found != members_.end() && found->second.is_same(target)) {
                adopt(found->second, target, now);
                continue;
            }
            if (found != members_.end()) erase(found);
            join(target, first_set, now);
        }
        for (auto it = members_.begin(); it != members_.end();) {
            it = it->second.round == round_ ? std::next(it) : erase(it);
        }
    }

    /// As `set_members`, after any member has thrown: what is under way is given up, its results ignored;
    /// `healthy` of the targets counts, and whoever would be left out is probed at once.
    void begin_anew(std::span<const HealthTarget> targets, Time now) {
        set_members(targets, now);
        under_way_.clear();
        for (const HealthTarget& target : targets) {
            Member& member = members_.find(target.config.name)->second;
            member.healthy = target.healthy;
            member.probe = 0;
            if (running_ && !member.queued) plan(member, now);
        }
    }

    /// The probes to be sent at `now`. For each, `complete` must be called once, also when nothing could be
    /// sent or no answer came within `health_check_timeout`, which is the caller's to see to.
    std::vector<HealthProbe> due(Time now) {
        std::vector<HealthProbe> probes;
        while (!queue_.empty() && queue_.begin()->first.at <= now && has_room()) {
            Member& member = *queue_.begin()->second;
            if (!member.turn.regular) member.schedule.at(now);
            member.schedule.sent(now);
            leave_queue(member);
            member.probe = ++probes_;
            under_way_.insert(member.probe);
            probes.push_back({member.config, member.probe});
        }
        return probes;
    }

    /// What came of a probe. A finding when its backend becomes unhealthy or healthy by it, when it passes
    /// and at least two before it could not connect (`ProbeFinding::restarted`), and with
    /// `probe_ends_ejection` whenever a healthy one passes; else nothing.
    std::optional<ProbeFinding> complete(const HealthProbe& probe, const Outcome& outcome, Time now) {
        Member* const member = current(probe);
        if (under_way_.erase(probe.number) == 0 || member == nullptr) return std::nullopt;
        member->probe = 0;
        const bool passed = outcome.kind == Outcome::success;
        bool tell = false;
        bool restarted = false;
        if (passed) {
            tell = member->passed(options_);
            restarted = std::exchange(member->unreachable, 0) >= 2;
        } else if (!judge(outcome, false).neutral) {
            tell = member->failed(options_);
        }
        if (outcome.kind == Outcome::connect_error) ++member->unreachable;
        if (running_) plan(*member, member->schedule.next(now, pace_of(*member), member->hurries(), rng_));
        if (!tell && !restarted) return std::nullopt;
        return ProbeFinding{member->config->name, member->incarnation, member->healthy, restarted};
    }

    /// When to ask `due` again; `Time::max()` when only a completed probe or another call can change
    /// anything. Holds until the next call of another member.
    Time next_deadline() const noexcept {
        return queue_.empty() || !has_room() ? Time::max() : queue_.begin()->first.at;
    }

    // --- what an operator does ---------------------------------------------------------------------------

    /// Probes this backend before all others, also while stopped. One that is under way is taken for it.
    /// False when there is no such backend.
    bool request(std::string_view name, Time now) {
        const auto found = members_.find(name);
        if (found == members_.end()) return false;
        Member& member = found->second;
        if (member.probe == 0 && (!member.queued || member.turn.regular)) enter_queue(member, now, false);
        return true;
    }

    /// The periodic checks. Findings stay while they are stopped. After `start` the first probes are spread
    /// as those of a first set.
    void start(Time now) {
        if (std::exchange(running_, true)) return;
        for (auto& [name, member] : members_) {
            if (member.probe == 0) plan(member, first_probe(member, now));
        }
    }
    void stop() noexcept {
        running_ = false;
        for (auto& [name, member] : members_) {
            if (member.queued && member.turn.regular) leave_queue(member);
        }
    }
    bool is_running() const noexcept { return running_; }

    /// For backends that have none of their own; > 0. Each is probed within the new interval from `now` on.
    void set_interval(Duration interval, Time now) {
        options_.health_check_interval = interval;
        for (auto& [name, member] : members_) {
            if (member.own.interval) continue;
            member.interval = interval;
            replan(member, now);
        }
    }
    Duration interval() const noexcept { return options_.health_check_interval; }

    /// All options at once; for those without a word of their own (`HealthOverride`), and for probes that end
    /// from now on. Does not start or stop the checks.
    void set_options(const Options& options, Time now) {
        const Duration hurry = std::exchange(options_, options).health_check_unhealthy_interval;
        for (auto& [name, member] : members_) {
            const Duration before = member.interval;
            BackendConfig config = *member.config;
            config.health = member.own;
            set_config(member, config);
            const bool hurries_otherwise =
                member.hurries() && hurry != options_.health_check_unhealthy_interval;
            if (member.interval != before || hurries_otherwise) replan(member, now);
        }
    }

    /// What the probes found counts no more, as before the first of them: for checks that are turned off for
    /// good. Those that are now taken for healthy again. `stop` comes before.
    std::vector<ProbeFinding> forget() {
        std::vector<ProbeFinding> findings;
        for (auto& [name, member] : members_) {
            if (!member.healthy) findings.push_back({name, member.incarnation, true});
            member.healthy = member.fresh = true;
            member.failures = member.successes = member.unreachable = 0;
        }
        return findings;
    }

    /// At least 1; for probes that end from now on.
    void set_failure_threshold(std::uint32_t failures) noexcept { options_.failure_threshold = failures; }

    // --- what is known -----------------------------------------------------------------------------------

    std::optional<HealthStanding> standing(std::string_view name) const {
        const auto found = members_.find(name);
        if (found == members_.end()) return std::nullopt;
        const Member& member = found->second;
        return HealthStanding{member.healthy, member.failures, member.successes, member.probe != 0};
    }

    /// Whether this probe's backend is still the one it was sent to.
    bool is_current(const HealthProbe& probe) const noexcept {
        const auto found = members_.find(probe.backend->name);
        return found != members_.end() && probe.number != 0 && found->second.probe == probe.number;
    }

    std::size_t under_way() const noexcept { return under_way_.size(); }

    // What a user of the class needs ends here.

  private:
    /// Place in the queue: requested ones before regular ones, then by time.
    struct Turn {
        bool regular = true;
        Time at{};
        std::uint64_t joined = 0;

        auto operator<=>(const Turn&) const = default;
    };

    struct Member {
        bool is_same(const HealthTarget& target) const noexcept {
            return incarnation == target.incarnation && config->url == target.config.url &&
                   config->api_key == target.config.api_key;
        }

        /// Both return whether there is something to tell.
        bool passed(const Options& options) noexcept {
            fresh = false;
            failures = 0;
            ++successes;
            if (healthy) return options.probe_ends_ejection;
            healthy = successes >= options.success_threshold;
            return healthy;
        }
        bool failed(const Options& options) noexcept {
            successes = 0;
            ++failures;
            const bool enough = std::exchange(fresh, false) || failures >= options.failure_threshold;
            return enough && std::exchange(healthy, false);
        }

        bool hurries() const noexcept { return !healthy || failures != 0; }

        std::shared_ptr<const BackendConfig> config;
        std::uint64_t incarnation;
        std::uint64_t joined;
        detail::ProbeSchedule schedule;
        Duration interval{};
        HealthOverride own{};  // what its config itself says
        bool healthy = true;
        bool fresh = true;  // no probe has said anything yet
        std::uint32_t failures = 0;
        std::uint32_t successes = 0;
        std::uint32_t unreachable = 0;  // probes that could not connect since the last that passed
        std::uint64_t probe = 0;        // the one under way; 0: none
        bool queued = false;
        Turn turn{};
        std::uint64_t round = 0;  // of `set_members`, in which it was last named
    };
    using Members = std::map<std::string, Member, std::less<>>;

    bool has_room() const noexcept { return under_way_.size() < options_.health_check_concurrency; }

    Member* current(const HealthProbe& probe) {
        return is_current(probe) ? &members_.find(probe.backend->name)->second : nullptr;
    }

    detail::ProbePace pace_of(const Member& member) const noexcept {
        return {member.interval, options_.health_check_unhealthy_interval, options_.health_check_jitter};
    }

    Time first_probe(Member& member, Time now) noexcept {
        return member.schedule.first(now,
                                     std::min(member.interval, options_.health_check_unhealthy_interval));
    }

    void set_config(Member& member, const BackendConfig& config) {
        auto filled = std::make_shared<BackendConfig>(config);
        member.own = config.health;
        filled->health = health_of(config, options_);
        member.interval = *filled->health.interval;
        member.config = std::move(filled);
    }

    void join(const HealthTarget& target, bool first_set, Time now) {
        const std::uint64_t number = joined_++;
        Member fresh{.config = nullptr,
                     .incarnation = target.incarnation,
                     .joined = number,
                     .schedule = {origin_, detail::phase_of(first_phase_, number)},
                     .healthy = target.healthy,
                     .fresh = target.healthy,
                     .round = round_};
        set_config(fresh, target.config);
        Member& member = members_.emplace(target.config.name, std::move(fresh)).first->second;
        if (!running_) return;
        if (first_set) return plan(member, first_probe(member, now));
        member.schedule.at(now);
        plan(member, now);
    }

    void adopt(Member& member, const HealthTarget& target, Time now) {
        member.round = round_;
        const Duration before = member.interval;
        set_config(member, target.config);
        if (member.interval != before) replan(member, now);
    }

    /// A probe that nothing is known before, or that somebody asked for, does not wait for another interval.
    void replan(Member& member, Time now) {
        if (!member.queued || !member.turn.regular || member.fresh) return;
        plan(member, member.schedule.changed(now, pace_of(member), member.hurries(), rng_));
    }

    void plan(Member& member, Time at) {
        if (!member.queued || member.turn.regular) enter_queue(member, at, true);
    }

    void enter_queue(Member& member, Time at, bool regular) {
        leave_queue(member);
        member.turn = {regular, at, member.joined};
        queue_.emplace(member.turn, &member);
        member.queued = true;
    }

    void leave_queue(Member& member) noexcept {
        if (std::exchange(member.queued, false)) queue_.erase(member.turn);
    }

    Members::iterator erase(Members::iterator it) noexcept {
        leave_queue(it->second);
        return members_.erase(it);
    }

    Options options_;
    Rng rng_;
    const double first_phase_;
    Time origin_{};
    bool running_ = true;
    bool started_once_ = false;
    std::uint64_t round_ = 0;
    std::uint64_t joined_ = 0;
    std::uint64_t probes_ = 0;
    Members members_;
    std::map<Turn, Member*> queue_;      // nodes of a map stay where they are
    std::set<std::uint64_t> under_way_;  // also to backends that are gone: their connections are open still
};

}  // namespace fairlead
