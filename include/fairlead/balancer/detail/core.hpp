// What a balancer does without knowing how requests are sent: choose (selection.hpp), account
// (reporting.hpp), find out, publish.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/announcer.hpp>
#include <fairlead/balancer/detail/copies.hpp>
#include <fairlead/balancer/detail/learner.hpp>
#include <fairlead/balancer/detail/lease_access.hpp>
#include <fairlead/balancer/detail/load_account.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/detail/place_signal.hpp>
#include <fairlead/balancer/detail/publication.hpp>
#include <fairlead/balancer/detail/reporting.hpp>
#include <fairlead/balancer/detail/subsets.hpp>
#include <fairlead/balancer/detail/tries.hpp>
#include <fairlead/balancer/detail/waiting_line.hpp>
#include <fairlead/balancer/figures.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/balancer/roster.hpp>
#include <fairlead/model/load_report.hpp>
#include <fairlead/model/validate.hpp>

namespace fairlead::detail {

inline const Options& checked(const Options& options) {
    if (const auto problems = validate(options); !problems.empty()) {
        throw std::invalid_argument{"fairlead::Options: " + problems.front()};
    }
    return options;
}

template <Strategy S, ClockSource Clock>
class Core final : public Reporting<Core<S, Clock>, S, Clock> {
    using Base = Reporting<Core<S, Clock>, S, Clock>;

  public:
    Core(const Options& options, S strategy, Clock clock)
        : Base{checked(options), std::move(clock)}, strategy_{std::move(strategy)} {
        if constexpr (Learns<S>) roster_.on_left([this](BackendId id) noexcept { learned_.left(id); });
        roster_.set_owner(*this);
    }

    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;
    ~Core() { copies_->cancel(true); }

    const Options& options() const noexcept { return *options_; }
    const Clock& clock() const noexcept { return clock_; }
    std::uint64_t seed() const noexcept { return seed_; }
    const Roster& roster() const noexcept { return roster_; }
    Learner<Core>& learner() noexcept { return learner_; }

    // --- tries and waiting -------------------------------------------------------------------------------

    Tries<Core>& tries() noexcept { return tries_; }
    const Tries<Core>& tries() const noexcept { return tries_; }
    const std::shared_ptr<Copies<Core>>& copies() const noexcept { return copies_; }
    WaitingLine<Core>& line() noexcept { return line_; }
    const WaitingLine<Core>& line() const noexcept { return line_; }

    /// What of the options can also be changed one by one.
    OptionsInForce& options_in_force() noexcept { return options_; }
    const OptionsInForce& options_in_force() const noexcept { return options_; }
    std::uint32_t failure_threshold() const noexcept { return options_.failure_threshold(); }

    /// When something comes back by itself: a rest, an ejection, a ramp.
    Time next_due() const noexcept { return roster_.due().at(); }

    /// Does what has fallen due.
    [[gnu::noinline]] void settle(Time now) noexcept {
        write_quietly([&](Roster& roster, Time) { roster.settle(now); });
        place_freed();  // by a rest that is over, which draws no picture
    }

    /// Does what has fallen due, and serves who waits: for those that wait until then.
    void look() noexcept {
        const Time now = clock_.now();
        if (roster_.due().is_due(now)) settle(now);
        line_.serve();
    }

    // --- the fleet ---------------------------------------------------------------------------------------

    /// Runs `change(roster, now)` under the writers' mutex, publishes one snapshot if anything changed, tells
    /// the host. Throws what `change` throws, when what it did before that is published; and std::bad_alloc,
    /// when what could not be drawn or told is by the next request a millisecond later.
    template <class Change>
    auto write(Change&& change) {
        const Time now = clock_.now();
        std::vector<Event> events;
        std::vector<DrainCall> calls;
        bool drawn = false;
        std::optional<std::invoke_result_t<Change&, Roster&, Time>> result;
        std::exception_ptr failure;
        typename Publication<Snapshot<S>>::Before before;  // freed under no lock: thousands take milliseconds
        {
            const std::lock_guard lock{roster_.mutex()};
            try {
                result.emplace(change(roster_, now));
            } catch (...) {
                failure = std::current_exception();
                roster_.look_again(now);
            }
            try {
                if (roster_.changed()) {
                    before = publish(now);
                    drawn = true;
                }
            } catch (...) {
                if (!failure) failure = std::current_exception();
                roster_.look_again(now);
            }
            events = roster_.take_events();
            calls = roster_.take_calls();
        }
        if (drawn) place_freed();  // whoever waits or was told "full" looks at the new picture
        try {
            announcer_.tell(events);
        } catch (...) {
            if (!failure) failure = std::current_exception();
        }
        for (const auto& call : calls) call();
        if (failure) std::rethrow_exception(failure);
        return std::move(*result);
    }

    /// As `write`, for the path of a request: whatever cannot be had for want of memory is left for the next
    /// change.
    template <class Change>
    [[gnu::noinline]] void write_quietly(Change&& change) noexcept {
        try {
            write([&](Roster& roster, Time now) {
                change(roster, now);
                return 0;
            });
        } catch (const std::bad_alloc&) {
        }
    }

    /// Tells the host one thing that is not of the roster.
    void tell(Event event) {
        write([&](Roster& roster, Time now) {
            roster.event(std::move(event), now);
            return 0;
        });
    }

    /// A place may have come free: who waits for one is served by this thread.
    [[gnu::noinline]] void place_freed() noexcept {
        if (places_.freed()) line_.serve();
    }
    bool is_place_expected() const noexcept { return places_.is_expected(); }

    void set_strategy(S strategy) {
        write([&](Roster& roster, Time now) {
            roster.event({.kind = Event::Kind::strategy_changed, .reason = std::string{name_of(strategy)}},
                         now);
            roster.strategy_leaves(name_of(strategy_));
            strategy_ = std::move(strategy);
            subsets_.forget_tables();  // though the name may be the same
            roster.mark_changed();
            return 0;
        });
    }

    std::string strategy_name() const {
        const std::lock_guard lock{roster_.mutex()};
        return std::string{name_of(strategy_)};
    }

    std::vector<BackendFigures> figures() const {
        const std::lock_guard lock{roster_.mutex()};
        return roster_.figures(clock_.now());
    }

    Totals totals() const {
        const auto of_backends = [&] {
            const std::lock_guard lock{roster_.mutex()};
            return roster_.totals(name_of(strategy_));
        };
        Totals totals = of_backends();
        totals.retries_refused = tries_.refused();
        totals.queue = line_.figures();
        return totals;
    }

    /// What an engine says of its own load.
    std::error_code report_load(std::string_view name, const LoadReport& report) {
        const std::lock_guard lock{roster_.mutex()};
        const auto backend = roster_.find(name);
        if (!backend) return Errc::unknown_backend;
        note_report(*backend, plausible(report));
        return {};
    }

    /// The same, as an answer brought it; at most one in 50 ms a backend is looked at, so that the mutex that
    /// it takes is no part of most requests.
    void report_load(Lease& lease, LoadReport report) {
        auto* const backend = LeaseAccess::backend(lease);
        if (backend == nullptr) return;
        report.at = clock_.now();
        constexpr std::int64_t pause = 50'000'000;
        auto last = backend->load_came.load(std::memory_order_relaxed);
        // Relaxed: who sees an old time takes the mutex once more.
        if (report.at.time_since_epoch().count() - last < pause ||
            !backend->load_came.compare_exchange_strong(last, report.at.time_since_epoch().count(),
                                                        std::memory_order_relaxed)) {
            return;
        }
        const std::lock_guard lock{roster_.mutex()};
        // The name may stand for another server by now.
        const auto backend_now = roster_.find(lease->name);
        if (!backend_now || backend_now->config->url != lease->url) return;
        note_report(*backend_now, plausible(report));
    }

    std::shared_ptr<const Snapshot<S>> current() const noexcept { return publication_.current(); }

    void on_event(Announcer::Callback callback) { announcer_.set(std::move(callback)); }
    std::shared_ptr<const void> watch(Announcer::Callback callback) {
        return announcer_.watch(std::move(callback));
    }

  private:
    /// Whether nothing is balanced (`not_balanced` of model/settings.hpp): no clock, nothing that falls due.
    bool balances_nothing() const noexcept {
        const Options& options = *options_;
        return !options.timing && !options.ejection && options.rest_max == Duration::zero() &&
               options.slow_start == Duration::zero();
    }

    /// Called with the roster's mutex.
    void note_report(LiveBackend& backend, const LoadReport& report) {
        if (backend.load.is_restart(report)) roster_.restarted(backend);  // draws no picture
        const Duration lasts = 3 * load_interval_of(*options_);
        note_load(backend, report, lasts);
        backend.load.take(report, lasts);
        // What follows from it does so in the next picture.
        if constexpr (requires { strategy_.told(learned_, backend.id, report); })
            strategy_.told(learned_, backend.id, report);
    }

    /// Called with the roster's mutex.
    typename Publication<Snapshot<S>>::Before publish(Time now) {
        auto members = roster_.members();
        if constexpr (requires { learned_.set_options(*options_); }) learned_.set_options(*options_);
        if constexpr (requires(const Candidate& member) {
                          strategy_.joined(learned_, member, std::size_t{1});
                      }) {
            for (const auto& member : members) strategy_.joined(learned_, member.candidate, members.size());
        }
        const auto previous = publication_.current();
        if (balances_nothing() && members.size() == 1)
            members.front().candidate = CandidateAccess::without_limit(members.front().candidate);
        S in_force = strategy_;
        if constexpr (requires { in_force.follow(*options_); }) in_force.follow(*options_);
        auto snapshot = subsets_.draw(in_force, std::move(members), previous.get());
        const auto& levels = snapshot->pool.levels;
        snapshot->is_plain = balances_nothing() && levels.size() == 1 && levels[0].candidates.size() == 1;
        tell_panic(previous.get(), *snapshot, now);
        auto before = publication_.publish(std::move(snapshot));
        roster_.drawn();
        return before;
    }

    void tell_panic(const Snapshot<S>* before, const Snapshot<S>& after, Time now) {
        for (const auto& model : after.panicking) {
            if (before == nullptr || !before->panicking.contains(model)) {
                roster_.event({.kind = Event::Kind::panic_entered, .backend = model}, now);
            }
        }
        if (before == nullptr) return;
        for (const auto& model : before->panicking) {
            if (!after.panicking.contains(model)) {
                roster_.event({.kind = Event::Kind::panic_left, .backend = model}, now);
            }
        }
    }

    // What the halves share stands in `Selection`.
    using Base::clock_;
    using Base::learned_;
    using Base::options_;
    using Base::places_;
    using Base::publication_;
    using Base::roster_;
    using Base::seed_;
    using Base::subsets_;

    S strategy_;  // with the roster's mutex
    Learner<Core> learner_{*this, options_, roster_};
    Tries<Core> tries_{*this, options_, Rng::mix(seed_ + 1)};
    Announcer announcer_;
    WaitingLine<Core> line_{*this, options_, places_};
    std::shared_ptr<Copies<Core>> copies_ = std::make_shared<Copies<Core>>(*this);
};

}  // namespace fairlead::detail
