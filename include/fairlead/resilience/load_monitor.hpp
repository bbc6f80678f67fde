// Which engine to ask for its load when, and what its answer says. No I/O, no thread, no clock: the host
// asks.
//
//     fairlead::LoadMonitor monitor{options, seed};
//     monitor.set_members(targets, now);                          // and whenever the fleet has changed
//     for (const auto& scrape : monitor.due(now)) fetch(scrape);  // GET scrape.backend->url + load_path
//     wake_me_at(monitor.next_deadline());
//     ...                                                         // a text came; or none: `failed`
//     if (auto report = monitor.complete(scrape, text, now)) balancer.report_load(scrape.backend->name,
//     *report);
//
// Do not use it on an Asio executor: `LoadPoller` (transport/load_poller.hpp) drives it there. Without it a
// balancer sees only the load that it brought itself: with 16 gateways the mean time to the first token
// is more than twice that with one (docs/choosing-a-strategy.md), since each sends to whom the others have
// filled.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/load_report.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/resilience/detail/probe_schedule.hpp>
#include <fairlead/resilience/engine_metrics.hpp>

namespace fairlead {

/// One backend to be asked.
struct LoadTarget {
    BackendConfig config{};
    std::uint64_t incarnation = 0;  ///< `BackendFigures::incarnation`; 0 where the host has no such number
};

/// One scrape to be sent.
struct LoadScrape {
    std::shared_ptr<const BackendConfig> backend{};  ///< whom to ask
    std::uint64_t number = 0;                        ///< of this scrape, from 1
};

/// What is known from the scrapes of one backend.
struct LoadStanding {
    std::string engine{};   ///< as `EngineReading::engine`; empty before the first good answer
    std::string problem{};  ///< of the last scrape, as a sentence; empty when it was good
    std::uint32_t failures_in_a_row = 0;
    bool under_way = false;  ///< a scrape is
};

/// Asks each backend once an interval (`load_interval_of`), at its own phase and up to a tenth of the
/// interval later, so that scrapes never come in a burst; never twice at once. One that says nothing three
/// times in a row (no such page, a proxy in front, a text that is broken) is asked only every ten seconds
/// until it answers: it costs next to nothing to leave it in peace, and it is balanced by our own account as
/// before.
///
/// The first scrapes of a first set are spread over one interval; a backend that is added later, and one
/// whose url, key or incarnation changed, is asked at once.
///
/// Threads: needs the caller's mutex. Cost: O(log n) a scrape beside the reading; `set_members`, `start` and
/// `set_interval` O(n log n). May throw std::bad_alloc.
class LoadMonitor {
  public:
    /// Runs from the beginning. The same `seed` gives the same times; gateways need different ones.
    LoadMonitor(const Options& options, std::uint64_t seed)
        : interval_{load_interval_of(options)},
          gateways_{options.gateways},
          rng_{Rng::mix(seed)},
          first_phase_{rng_.uniform()} {}

    /// The whole fleet as it is now, names unique. A result that arrives for a member that is gone or was
    /// replaced is ignored.
    void set_members(std::span<const LoadTarget> targets, Time now) {
        const bool first_set = !std::exchange(started_once_, true);
        if (first_set) origin_ = now;
        ++round_;
        for (const LoadTarget& target : targets) {
            const auto found = members_.find(target.config.name);
            if (found != members_.end() && found->second.is_same(target)) {
                found->second.round = round_;
                found->second.config = std::make_shared<BackendConfig>(target.config);
                continue;
            }
            if (found != members_.end()) erase(found);
            join(target, first_set, now);
        }
        for (auto it = members_.begin(); it != members_.end();) {
            it = it->second.round == round_ ? std::next(it) : erase(it);
        }
    }

    /// As `set_members`, after any member has thrown: what is under way is given up, its results ignored, and
    /// whoever would be left out is asked at once.
    void begin_anew(std::span<const LoadTarget> targets, Time now) {
        set_members(targets, now);
        for (auto& [name, member] : members_) {
            member.scrape = 0;
            if (running_ && !member.queued) enter_queue(member, now);
        }
    }

    /// The scrapes to be sent at `now`. For each, `complete` or `failed` must be called once, also when
    /// nothing could be sent; the caller sees to it that each ends within `timeout()`.
    std::vector<LoadScrape> due(Time now) {
        std::vector<LoadScrape> scrapes;
        while (!queue_.empty() && queue_.begin()->first.first <= now) {
            Member& member = *queue_.begin()->second;
            leave_queue(member);
            member.schedule.sent(now);
            member.scrape = ++scrapes_;
            scrapes.push_back({member.config, member.scrape});
        }
        return scrapes;
    }

    /// The metrics that a scrape brought. Nothing when they say nothing, and when the backend is no longer
    /// the one that was asked.
    std::optional<LoadReport> complete(const LoadScrape& scrape, std::string_view text, Time now) {
        Member* const member = current(scrape);
        if (member == nullptr) return std::nullopt;
        EngineReading reading = read_engine_metrics(text);
        if (!reading.problem.empty()) {
            failed(scrape, reading.problem, now);
            return std::nullopt;
        }
        member->engine = reading.engine;
        member->problem.clear();
        member->failures = 0;
        plan_next(*member, now);
        reading.report.at = now;
        return reading.report;
    }

    /// A scrape that brought no metrics, and why.
    void failed(const LoadScrape& scrape, std::string_view problem, Time now) {
        Member* const member = current(scrape);
        if (member == nullptr) return;
        member->problem = problem;
        if (member->failures < patience) ++member->failures;
        plan_next(*member, now);
    }

    /// When to ask `due` again; `Time::max()` when only a completed scrape or another call can change
    /// anything.
    Time next_deadline() const noexcept { return queue_.empty() ? Time::max() : queue_.begin()->first.first; }

    /// How long one scrape may take: what comes later than the next one is due is of no use.
    Duration timeout() const noexcept { return interval_; }

    // --- what an operator does ---------------------------------------------------------------------------

    /// After `start` the first scrapes are spread as those of a first set.
    void start(Time now) {
        if (std::exchange(running_, true)) return;
        for (auto& [name, member] : members_) {
            if (member.scrape == 0) enter_queue(member, member.schedule.first(now, interval_));
        }
    }
    void stop() noexcept {
        running_ = false;
        for (auto& [name, member] : members_) leave_queue(member);
    }
    bool is_running() const noexcept { return running_; }

    /// As the option `load_interval`: it grows with the number of gateways. Each backend is asked within the
    /// new interval from `now` on.
    void set_interval(Duration interval, Time now) {
        Options options;
        options.load_interval = interval;
        options.gateways = gateways_;
        set_options(options, now);
    }

    /// Interval and gateways as these options have them.
    void set_options(const Options& options, Time now) {
        gateways_ = options.gateways;
        if (std::exchange(interval_, load_interval_of(options)) == interval_) return;
        for (auto& [name, member] : members_) {
            if (member.queued)
                enter_queue(member, member.schedule.changed(now, pace_of(member), false, rng_));
        }
    }
    Duration interval() const noexcept { return interval_; }  ///< that is kept, gateways included

    // --- what is known -----------------------------------------------------------------------------------

    std::optional<LoadStanding> standing(std::string_view name) const {
        const auto found = members_.find(name);
        if (found == members_.end()) return std::nullopt;
        const Member& member = found->second;
        return LoadStanding{std::string{member.engine}, member.problem, member.failures, member.scrape != 0};
    }

    /// Whether this scrape's backend is still the one that was asked.
    bool is_current(const LoadScrape& scrape) const noexcept {
        const auto found = members_.find(scrape.backend->name);
        return found != members_.end() && scrape.number != 0 && found->second.scrape == scrape.number;
    }

    // What a user of the class needs ends here.

  private:
    static constexpr std::uint32_t patience = 3;  // one answer lost, or a restart, is no habit
    static constexpr Duration resigned = std::chrono::seconds{10};  // the longest interval one may set
    static constexpr double jitter = 0.1;                           // as health checks have it

    /// Place in the queue: by time, then who joined first.
    using Turn = std::pair<Time, std::uint64_t>;

    struct Member {
        bool is_same(const LoadTarget& target) const noexcept {
            return incarnation == target.incarnation && config->url == target.config.url &&
                   config->api_key == target.config.api_key;
        }

        std::shared_ptr<const BackendConfig> config;
        std::uint64_t incarnation;
        std::uint64_t joined;
        detail::ProbeSchedule schedule;
        std::uint64_t round = 0;  // of `set_members`, in which it was last named
        std::string_view engine{};
        std::string problem{};
        std::uint32_t failures = 0;
        std::uint64_t scrape = 0;  // the one under way; 0: none
        bool queued = false;
        Turn turn{};
    };
    using Members = std::map<std::string, Member, std::less<>>;

    Member* current(const LoadScrape& scrape) {
        return is_current(scrape) ? &members_.find(scrape.backend->name)->second : nullptr;
    }

    detail::ProbePace pace_of(const Member& member) const noexcept {
        const Duration interval = member.failures < patience ? interval_ : std::max(interval_, resigned);
        return {interval, interval, jitter};
    }

    void join(const LoadTarget& target, bool first_set, Time now) {
        const std::uint64_t number = joined_++;
        Member fresh{.config = std::make_shared<BackendConfig>(target.config),
                     .incarnation = target.incarnation,
                     .joined = number,
                     .schedule = {origin_, detail::phase_of(first_phase_, number)},
                     .round = round_};
        Member& member = members_.emplace(target.config.name, std::move(fresh)).first->second;
        if (!running_) return;
        if (first_set) return enter_queue(member, member.schedule.first(now, interval_));
        member.schedule.at(now);
        enter_queue(member, now);
    }

    void plan_next(Member& member, Time now) {
        member.scrape = 0;
        if (running_) enter_queue(member, member.schedule.next(now, pace_of(member), false, rng_));
    }

    void enter_queue(Member& member, Time at) {
        leave_queue(member);
        member.turn = {at, member.joined};
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

    Duration interval_;
    std::uint32_t gateways_;
    Rng rng_;
    const double first_phase_;
    Time origin_{};
    bool running_ = true;
    bool started_once_ = false;
    std::uint64_t round_ = 0;
    std::uint64_t joined_ = 0;
    std::uint64_t scrapes_ = 0;
    Members members_;
    std::map<Turn, Member*> queue_;  // nodes of a map stay where they are
};

}  // namespace fairlead
