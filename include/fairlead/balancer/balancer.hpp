// The balancer: choose a backend, send, report; change the fleet while traffic flows.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/core.hpp>
#include <fairlead/balancer/detail/send_blocking.hpp>
#include <fairlead/balancer/figures.hpp>
#include <fairlead/balancer/fleet_change.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/load_report.hpp>
#include <fairlead/model/probe_finding.hpp>
#include <fairlead/model/settings.hpp>
#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/transport/transport.hpp>

namespace fairlead {

namespace detail {
template <class Balancer>
struct AsyncCalls;  // defined in <fairlead/transport/async.hpp>: include it to use the async_ members
}

/// Balances requests over backends.
///
///     fairlead::Balancer<fairlead::LeastConnections> balancer{{
///         {.name = "a", .url = "http://10.0.0.6:8000", .weight = 3},
///         {.name = "b", .url = "http://10.0.0.7:8000"},
///     }};
///     if (fairlead::Lease lease = balancer.select()) {
///         ...
///         balancer.report(std::move(lease), fairlead::Outcome::from_status(200));
///     }
///
/// `S` chooses (strategies/), `Transport` sends (transport/transport.hpp; none: the host sends by itself),
/// `Clock` tells the time. For a strategy that can change at run time use `AnyStrategy`.
///
/// Threads: every member may be called from any thread. `select`, `first_byte` and `report` take no lock and
/// allocate nothing in the steady state; the exceptions: a thread's first call, its first after a change of
/// the fleet, a subset's first use (these hold a lock for pointer swaps only), a choice that finds no place
/// while one of its candidates is being changed (it waits for that change's snapshot), and a report that
/// changes a backend's state or ends a drain. Errors: the constructor throws `std::invalid_argument` on a bad
/// backend or option. Nothing else throws but `std::bad_alloc`; `send` as it says. A balancer outlives its
/// leases, as a mutex its locks. It cannot be moved.
template <Strategy S = RoundRobin, class Transport = NoTransport,
          ClockSource Clock = std::chrono::steady_clock>
class Balancer {
    // Named here first, so that what a compiler says of a strategy's missing hooks comes first, too.
    using Learned = detail::StateOf<S>;

  public:
    using StrategyType = S;
    using TransportType = Transport;
    using ClockType = Clock;
    using CoreType = detail::Core<S, Clock>;

    explicit Balancer(std::vector<BackendConfig> backends = {}, Options options = {},
                      Transport transport = Transport{}, S strategy = S{}, Clock clock = Clock{})
        : core_{options, std::move(strategy), std::move(clock)}, transport_{std::move(transport)} {
        core_.write([&](detail::Roster& roster, Time now) {
            for (auto& backend : backends) {
                const std::string name = backend.name;
                if (const auto error = roster.add(std::move(backend), now, true)) {
                    throw std::invalid_argument{"fairlead::Balancer: backend \"" + name +
                                                "\": " + error.message()};
                }
            }
            roster.mark_changed();
            return 0;
        });
    }

    /// As settings say. For a strategy that is chosen by name (`AnyStrategy`) theirs is used. Only for
    /// exactly `Settings`, so that a list of one backend is never taken for them.
    template <std::same_as<Settings> From>
    explicit Balancer(const From& settings, Transport transport = Transport{}, Clock clock = Clock{})
        : Balancer{settings.backends, settings.options, std::move(transport), strategy_of(settings),
                   std::move(clock)} {
        set_mode(settings.mode);
    }

    Balancer(const Balancer&) = delete;
    Balancer& operator=(const Balancer&) = delete;

    // --- requests ----------------------------------------------------------------------------------------

    /// Chooses a backend and takes one of its connections. The lease says why when there is none.
    [[gnu::always_inline]] Lease select(const Criteria& criteria = any_backend) noexcept {
        return core_.select(criteria);
    }

    /// The answer began: ends the prompt's account, passes a half-open trial and stops the latency clock.
    /// Optional: without it `report` does all three. Only the first call on a lease counts.
    void first_byte(Lease& lease) noexcept { core_.first_byte(lease); }

    /// So many tokens of the answer have come, in all: they are the backend's outstanding work from now on
    /// where they are more than `Criteria::answer_tokens` expected. Optional; nothing before `first_byte`.
    void came(Lease& lease, std::uint64_t tokens) noexcept { core_.came(lease, tokens); }

    /// The request ended: frees the connection and tells how it went. A lease that is not true is ignored.
    [[gnu::always_inline]] void report(Lease&& lease, const Outcome& outcome) noexcept {
        core_.report(std::move(lease), outcome);
    }
    [[gnu::always_inline]] void report(Lease&& lease, Outcome::Kind kind) noexcept {
        core_.report(std::move(lease), kind);
    }

    /// The whole exchange: select, send, report, and again elsewhere where `Options` and the outcome allow
    /// it. Returns the last response that came, whatever its status. Throws `std::system_error` with an
    /// `Errc` when no backend could be chosen, and with the transport's error when no try brought a response.
    template <BlockingTransport T = Transport>
    typename T::Response send(const typename T::Request& request, const Criteria& criteria = {},
                              const RequestOptions& options = {}) {
        return detail::send_blocking(core_, transport_, request, criteria, options);
    }

    /// Whether the retry budget allows one more try of a request that the caller sends again by itself (an
    /// answer that broke after its head), and spends it. `backend` failed it, `reason` says how, for the
    /// events. Then the call that sends it says `RequestOptions::retries_used`. Takes a lock.
    bool take_retry(const std::string& backend, const char* reason) {
        return core_.tries().take(backend, reason);
    }

    /// As `send`, queueing when every match is full, for any Asio completion token:
    /// `async_send(request[, criteria[, options]], token)` completes `void(std::error_code, Response)`. Needs
    /// an `AsyncTransport` and <fairlead/transport/async.hpp>. What `criteria` points to is copied.
    template <class T = Transport, class... Rest>
    auto async_send(typename T::Request request, Rest&&... rest) {
        return detail::AsyncCalls<Balancer>::send(*this, std::move(request), std::forward<Rest>(rest)...);
    }

    /// As `async_send`, but completes with the response's head: `void(std::error_code, Stream)`. The stream
    /// owns the lease, is read piece by piece, and reports when it ends, breaks or is dropped. Needs a
    /// transport with `async_open`.
    template <class T = Transport, class... Rest>
    auto async_stream(typename T::Request request, Rest&&... rest) {
        return detail::AsyncCalls<Balancer>::stream(*this, std::move(request), std::forward<Rest>(rest)...);
    }

    /// As `select`, but waits, first come first served by `RequestOptions::priority`, when every match is
    /// full: `async_select([criteria[, options]], token)` completes `void(std::error_code, Lease)`. Needs
    /// <fairlead/transport/async.hpp>.
    template <class... Args>
    auto async_select(Args&&... args) {
        return detail::AsyncCalls<Balancer>::select(*this, std::forward<Args>(args)...);
    }

    // --- the fleet ---------------------------------------------------------------------------------------

    /// Several changes in one go: `changes(FleetChange&)` runs under a lock and must not call the balancer;
    /// all that it does becomes one new snapshot.
    template <std::invocable<FleetChange&> Changes>
    void change(Changes&& changes) {
        core_.write([&](detail::Roster& roster, Time now) {
            FleetChange fleet{roster, now};
            std::forward<Changes>(changes)(fleet);
            return 0;
        });
    }

    /// Adds a backend. `Errc::duplicate_name`, `too_many_backends`, or what `validate` says of it.
    std::error_code add(BackendConfig config) {
        return changed([&](FleetChange& fleet) { return fleet.add(std::move(config)); });
    }

    /// Gives the backend of that name another config. Counters are kept; findings and averages too unless the
    /// URL or the key changed. Leases keep the config they were given and count against the new limit.
    std::error_code update(BackendConfig config) {
        return changed([&](FleetChange& fleet) { return fleet.update(std::move(config)); });
    }

    /// As `update`, from the present config: `edit(BackendConfig&)` runs under a lock and must not call the
    /// balancer. The name stays.
    template <std::invocable<BackendConfig&> Edit>
    std::error_code update(std::string_view name, Edit&& edit) {
        return changed([&](FleetChange& fleet) { return fleet.update(name, std::forward<Edit>(edit)); });
    }

    /// No new requests; what is in flight ends, then the backend is gone. A backend added later under the
    /// same name is a new one.
    std::error_code remove(std::string_view name) {
        return changed([&](FleetChange& fleet) { return fleet.remove(name); });
    }

    /// Ends `disable` and `drain`. What was found out about the backend stays.
    std::error_code enable(std::string_view name) {
        return changed([&](FleetChange& fleet) { return fleet.enable(name); });
    }

    /// No new requests from now on; what is in flight is left alone.
    std::error_code disable(std::string_view name) {
        return changed([&](FleetChange& fleet) { return fleet.disable(name); });
    }

    /// As `disable`, and the event `drained` when nothing is in flight any more.
    ///
    /// `drained(std::error_code)` is called once, on the thread that ended the last request (or this one,
    /// when nothing is in flight) and under no lock: empty then; `Errc::cancelled` when the backend was
    /// enabled, disabled or removed before. Must not throw.
    std::error_code drain(std::string_view name, std::function<void(std::error_code)> drained = {}) {
        return changed([&](FleetChange& fleet) { return fleet.drain(name, std::move(drained)); });
    }

    /// The next requests are chosen by `strategy`. Those in flight are reported to the same backends.
    void set_strategy(S strategy) { core_.set_strategy(std::move(strategy)); }

    /// The name of the strategy in force.
    std::string strategy_name() const { return core_.strategy_name(); }

    /// Other options from now on: all of them, or none and an error. `Errc::bad_option` when one is out of
    /// its range (`validate(options)` says which); `Errc::fixed_option` when `timing` or `seed` differ, which
    /// a running balancer cannot change (an unset seed does not differ). Another `prefix_memory` is accepted
    /// but changes nothing once `prefix_affinity` has had a backend: its memory is laid out then, once.
    /// `HealthChecker` follows by itself.
    ///
    /// A request is chosen for by the old set or by the new one, never by parts of both. What began under the
    /// old one ends as it began: who waits keeps `queue_timeout`, and a place in a line that is now too long;
    /// an ejection and a rest keep their ends. But nobody stays out who could not be out by now: without
    /// `ejection` the ejected serve again at once, and a lower `max_ejection` or `rest_max` counts from now.
    ///
    /// Cost: O(backends), one new snapshot; each set that was never in force before stays in memory until the
    /// balancer goes (some 400 bytes). Throws std::bad_alloc.
    std::error_code set_options(const Options& options) {
        return changed([&](FleetChange& fleet) { return fleet.set_options(options); });
    }

    /// As `set_options`, from the present ones: `edit(Options&)` runs under a lock and must not call the
    /// balancer.
    template <std::invocable<Options&> Edit>
    std::error_code update_options(Edit&& edit) {
        return changed([&](FleetChange& fleet) { return fleet.update_options(std::forward<Edit>(edit)); });
    }

    /// Further tries after the first, and consecutive failures until a backend is unhealthy (at least 1), as
    /// they are now: these two can also be changed by themselves, and `options()` does not show that. Any
    /// thread; for requests from now on.
    std::uint32_t max_retries() const noexcept { return core_.options_in_force().max_retries(); }
    void set_max_retries(std::uint32_t retries) noexcept {
        core_.options_in_force().set_max_retries(retries);
    }
    std::uint32_t failure_threshold() const noexcept { return core_.failure_threshold(); }
    std::error_code set_failure_threshold(std::uint32_t failures) noexcept {
        if (failures == 0) return Errc::bad_option;
        core_.options_in_force().set_failure_threshold(failures);
        return {};
    }

    /// What a probe found about a backend: for a host that checks health by itself. A failed one takes the
    /// backend out of service until one passes; thresholds are the caller's (`HealthMonitor`).
    std::error_code probed(std::string_view name, bool ok) {
        const ProbeFinding finding{std::string{name}, 0, ok};
        return core_.write([&](auto& roster, Time now) { return roster.probed(finding, now); });
    }

    /// The same for several, in one new snapshot. Findings about backends that are gone or were replaced are
    /// ignored.
    void probed(std::span<const ProbeFinding> findings) {
        core_.write([&](auto& roster, Time now) {
            for (const auto& finding : findings) roster.probed(finding, now);
            return 0;
        });
    }

    /// The server behind the name was restarted: what a strategy believes to lie in its cache is forgotten.
    /// `Errc::unknown_backend`. A new URL or key says the same by itself.
    std::error_code restarted(std::string_view name) {
        return core_.write([&](auto& roster, Time) { return roster.restarted(name); });
    }

    /// What a backend's engine says of its load, as of `report.at`. It counts, fading, for three of the
    /// intervals in which such reports come. Where its process began at another time than the last report
    /// with such a time said, by more than a second, it is first taken for `restarted`. A figure that cannot
    /// be (below 0, no number, a share above 1, more than a billion requests or tokens) counts as not told.
    /// `Errc::unknown_backend`. Any thread; takes the writers' mutex.
    std::error_code report_load(std::string_view name, const LoadReport& report) {
        return core_.report_load(name, report);
    }

    /// Gives up the copies that are on their way to mirrors (`Options::mirror_share`), which nobody waits
    /// for: for a host that wants its loop to run dry. They are reported as cancelled.
    void cancel_mirrored() { core_.copies()->cancel(false); }

    // --- what is known -----------------------------------------------------------------------------------

    /// Every backend's config, state and figures, by name. O(backends); takes the writers' mutex.
    std::vector<BackendFigures> snapshot() const { return core_.figures(); }

    /// Counts since the beginning, over all backends that are or were: none of them ever falls. And who waits
    /// for a place. O(backends); takes the writers' mutex.
    Totals totals() const { return core_.totals(); }

    /// `callback(const Event&)` is told of every change of state, ejection, retry and the like, on the thread
    /// where it happened and under no lock. Replaces the one before. Must not throw.
    void on_event(std::function<void(const Event&)> callback) { core_.on_event(std::move(callback)); }

    /// As `on_event`, beside it and before it, until what is returned is dropped: for parts that follow the
    /// fleet (`HealthChecker`). A call that has begun by then may still be under way.
    [[nodiscard]] std::shared_ptr<const void> watch(std::function<void(const Event&)> callback) {
        return core_.watch(std::move(callback));
    }

    /// Whether the strategy can explain itself.
    static constexpr bool explains = Explains<S>;

    /// Why a request that asks this would go where it goes: every candidate with the terms of its cost, by
    /// priority, the one to be chosen first (or one that costs nearly the same; `Criteria::exclude` is not
    /// looked at, nor whose ejection or rest has just run out: that the next choice finds). Empty where no
    /// backend matches, or the strategy in force does not choose by such a cost. Changes nothing. O(backends
    /// log backends); takes a lock for a pointer copy. Throws std::bad_alloc.
    std::vector<Explained> explain(const Criteria& criteria) requires Explains<S> {
        return core_.explain(criteria);
    }

    /// As made or last set. The reference stays good, and as it is, until the balancer goes.
    const Options& options() const noexcept { return core_.options(); }
    /// Of the settings; else `multi_backend`. Nothing here depends on it: the admin API shows it.
    Mode mode() const noexcept { return mode_.load(std::memory_order_relaxed); }
    void set_mode(Mode mode) noexcept { mode_.store(mode, std::memory_order_relaxed); }
    Transport& transport() noexcept { return transport_; }

  private:
    friend struct detail::AsyncCalls<Balancer>;

    template <class Change>
    std::error_code changed(Change&& one) {
        std::error_code error;
        change([&](FleetChange& fleet) { error = one(fleet); });
        return error;
    }

    static S strategy_of(const Settings& settings) {
        if constexpr (requires { S::from_name(settings.strategy); }) {
            auto named = S::from_name(settings.strategy);
            if (!named) throw std::invalid_argument{"fairlead::Settings: strategy: " + named.error()};
            return *named;
        } else {
            return S{};
        }
    }

    CoreType core_;
    std::atomic<Mode> mode_{Mode::multi_backend};
    [[no_unique_address]] Transport transport_;
};

}  // namespace fairlead
