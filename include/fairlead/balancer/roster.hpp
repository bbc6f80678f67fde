// The only writer: every backend with its findings, and the rules by which they change.
//
// Nothing here is on the path of a request that goes well. All members are called with the roster's mutex
// unless they say otherwise; each notes in `changed()` whether a new snapshot must be drawn and leaves its
// events for `take_events()`, so that the caller publishes once, unlocks, and then tells the host.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/drain_calls.hpp>
#include <fairlead/balancer/detail/due_time.hpp>
#include <fairlead/balancer/detail/generations.hpp>
#include <fairlead/balancer/detail/ledger.hpp>
#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/balancer/detail/load_account.hpp>
#include <fairlead/balancer/detail/options_in_force.hpp>
#include <fairlead/balancer/detail/registry.hpp>
#include <fairlead/balancer/detail/rest.hpp>
#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/balancer/snapshot.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/probe_finding.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/model/validate.hpp>

namespace fairlead::detail {

class Roster {
  public:
    static constexpr std::size_t max_backends = 65'536;

    Roster(OptionsInForce& options, std::uint64_t seed)
        : options_{options}, seed_{seed}, rng_{Rng::mix(seed)} {}

    /// Whom dropped leases of the backends go back to. Before the first backend.
    void set_owner(LeaseOwner& owner) noexcept { owner_ = &owner; }

    std::mutex& mutex() const noexcept { return mutex_; }

    /// `left(id)` is called when what was learned of a backend is void. Must not throw.
    void on_left(std::function<void(BackendId)> left) { left_ = std::move(left); }

    // --- membership --------------------------------------------------------------------------------------

    /// `first`: one of the set that the balancer was made with, which needs no slow start.
    std::error_code add(BackendConfig config, Time now, bool first) {
        if (const auto error = validate(config)) return error;
        if (registry_.find(config.name)) return Errc::duplicate_name;
        // Those that left keep their number until their last request has ended.
        if (!registry_.has_number_below(max_backends)) return Errc::too_many_backends;
        auto backend = std::make_shared<LiveBackend>();
        backend->config = std::make_shared<const BackendConfig>(std::move(config));
        auto pool = registry_.pool_of(backend->config->model_name);
        backend->area.store(std::uint64_t{tick_of(now)} << 32, std::memory_order_relaxed);
        backend->refresh_tick.store(tick_of(now), std::memory_order_relaxed);
        backend->owner = owner_;
        backend->incarnation = ++incarnations_;
        backend->failure_watch.reset(*backend, now);
        registry_.insert(backend);
        // From here on it is in, whatever fails.
        changed_ = true;
        backend->pace.join(*backend, std::move(pool));
        if (!first) begin_warming(*backend, now);
        event({.kind = Event::Kind::backend_added, .backend = backend->config->name}, now);
        return {};
    }

    /// Puts `config` in the place of the present one of that name. A lease keeps the config it was given; new
    /// ones count against the new limit together with those still out.
    std::error_code update(BackendConfig config, Time now) {
        if (const auto error = validate(config)) return error;
        const auto backend = find(config.name);
        if (!backend) return Errc::unknown_backend;
        const BackendConfig& old = *backend->config;
        if (old == config) return {};
        const bool another_server = old.url != config.url || old.api_key != config.api_key;
        const bool another_model = old.model_name != config.model_name;
        auto pool = another_model ? registry_.pool_of(config.model_name) : nullptr;
        auto made = std::make_shared<const BackendConfig>(std::move(config));
        if (const auto error = change_generation(*backend)) return error;
        changed_ = true;  // first: what fails from here on must not leave the old picture in force
        backend->config = std::move(made);
        if (another_model) {
            backend->pace.join(*backend, std::move(pool));
        } else if (another_server) {
            backend->pace.restart(*backend);
        }
        if (another_server) {
            if (left_) left_(backend->id);
            backend->incarnation = ++incarnations_;
            backend->load = {};
            forget_load(*backend);
            forget_findings(*backend, now);
        }
        event({.kind = Event::Kind::backend_updated, .backend = backend->config->name}, now);
        show(*backend, now);
        return {};
    }

    std::error_code remove(std::string_view name, Time now) {
        const auto backend = find(name);
        if (!backend) return Errc::unknown_backend;
        drain_calls_.make_room(*backend);
        event({.kind = Event::Kind::backend_removed, .backend = backend->config->name}, now);
        // Nothing fails from here on.
        set_duty(*backend, Duty::removed, now);
        registry_.take_out(name);
        reap(*backend);
        return {};
    }

    std::error_code set_duty(std::string_view name, Duty duty, Time now) {
        const auto backend = find(name);
        if (!backend) return Errc::unknown_backend;
        set_duty(*backend, duty, now);
        return {};
    }

    /// As `set_duty` with `draining`; `drained` is among `take_calls()` when nothing is in flight any more,
    /// or with `Errc::cancelled` when the operator thinks otherwise before that.
    std::error_code drain(std::string_view name, std::function<void(std::error_code)> drained, Time now) {
        const auto backend = find(name);
        if (!backend) return Errc::unknown_backend;
        set_duty(*backend, Duty::draining, now);
        if (!drained) return {};
        backend->on_drained.push_back(std::move(drained));
        if (!backend->announced_drain) return {};
        drain_calls_.make_room(*backend);
        drain_calls_.end(*backend, {});
        return {};
    }

    /// The server behind the name began anew: what it held is gone. Findings stay.
    std::error_code restarted(std::string_view name) {
        const auto backend = find(name);
        if (!backend) return Errc::unknown_backend;
        restarted(*backend);
        return {};
    }
    void restarted(const LiveBackend& backend) {
        if (left_) left_(backend.id);
    }

    std::shared_ptr<LiveBackend> find(std::string_view name) const { return registry_.find(name); }

    std::size_t size() const noexcept { return registry_.size(); }

    // --- options -----------------------------------------------------------------------------------------

    /// Others from now on, all of them or none. `Errc::bad_option` where `validate` says so,
    /// `Errc::fixed_option` where one of those differs that a running balancer cannot change.
    std::error_code set_options(Options after, Time now) {
        if (!validate(after).empty()) return Errc::bad_option;
        const Options before = options_.present();
        if (!after.seed) after.seed = before.seed;  // no wish
        if (after.timing != before.timing || after.seed != before.seed) return Errc::fixed_option;
        if (after == before) return {};
        options_.set(before, after);
        event({.kind = Event::Kind::options_changed}, now);
        registry_.each([&](LiveBackend& backend) { shorten(backend, before, now); });
        settle(now);
        changed_ = true;
        return {};
    }
    Options options() const { return options_.present(); }

    // --- findings ----------------------------------------------------------------------------------------

    /// Requests failed so that the backend must go, says `reason`. Refused, with one event, where too many of
    /// its kind would then be out.
    void eject(LiveBackend& backend, std::string_view reason, Time now) {
        // Where it stays, it does so until the next picture: `draws` moves on with any change.
        const auto keep = [&] { backend.kept_at.store(draws(), std::memory_order_relaxed); };
        // A mirror serves nobody: there is nothing to take it out of.
        if (!options_->ejection || backend.config->mirror || backend.ejection.is_ejected() ||
            backend.duty == Duty::removed) {
            return keep();
        }
        if (!backend.ejection.is_half_open() && !may_eject(backend)) {
            if (!backend.ejection_refused) {
                event({.kind = Event::Kind::ejection_refused,
                       .backend = backend.config->name,
                       .reason = std::string{reason}},
                      now);
                backend.ejection_refused = true;
            }
            return keep();
        }
        // Told first: where there is no memory to tell it, the next failure ejects.
        event({.kind = Event::Kind::ejected, .backend = backend.config->name, .reason = std::string{reason}},
              now);
        backend.ejection.eject(now, *options_, rng_);
        findings_changed(backend, now);
    }

    /// A request that was to decide about a half-open backend went well.
    void trial_succeeded(LiveBackend& backend, Time now) {
        if (!backend.ejection.is_half_open()) return;
        if (!backend.ejection.trial_succeeded(now, *options_)) return;  // more of them are wanted
        begin_warming(backend, now);
        findings_changed(backend, now);
    }

    /// What the probes found; no change of what requests found, unless `probe_ends_ejection`. Nothing when it
    /// was found about a server that no longer stands behind the name.
    std::error_code probed(const ProbeFinding& finding, Time now) {
        const auto backend = find(finding.name);
        if (!backend) return Errc::unknown_backend;
        if (finding.incarnation != 0 && finding.incarnation != backend->incarnation) return {};
        if (finding.restarted) restarted(*backend);
        const bool returns =
            finding.healthy && options_->probe_ends_ejection && backend->ejection.is_ejected();
        if (backend->probe_ok == finding.healthy && !returns) return {};
        if (returns) backend->ejection.return_to_service(now);
        if (finding.healthy) begin_warming(*backend, now);
        backend->probe_ok = finding.healthy;
        findings_changed(*backend, now);
        return {};
    }

    /// Does what has fallen due: rests and ejections that are over, ramps that are up. O(backends).
    void settle(Time now) {
        due_.clear();
        registry_.each([&](LiveBackend& backend) {
            end_rest_if_over(backend, now);
            if (backend.ejection.expire(now)) findings_changed(backend, now);
            if (backend.warming && now >= warm_at(backend)) {
                backend.warming = false;
                changed_ = true;
            }
            note_due(backend);
            // What could not be told when it happened.
            show(backend, now);
            if (backend.duty == Duty::draining) announce_drain(backend, now);
        });
    }

    /// Needs no mutex: lets the backend rest until `until`. Lock-free.
    bool rest_from(LiveBackend& backend, Time until) noexcept {
        const bool begins = begin_rest(backend, until);
        due_.lower(until);
        return begins;
    }

    /// Needs no mutex: whether there is anything for `settle` to do, now or later.
    const DueTime& due() const noexcept { return due_; }

    // --- the end of leases -------------------------------------------------------------------------------

    /// What a release saw that it must not deal with on the backend itself, which may be gone by now.
    void released(BackendId id, std::uint32_t serial, std::uint32_t lease_generation,
                  std::uint32_t generation, bool half_turn, Time now) {
        LiveBackend* const backend = registry_.find(id, serial);
        if (backend == nullptr) return;
        // Release: see `total_completed`.
        if (half_turn) backend->half_turns.fetch_add(1, std::memory_order_release);
        if (lease_generation != generation) backend->history.ended(lease_generation, generation);
        if (backend->duty == Duty::draining) announce_drain(*backend, now);
        if (backend->duty == Duty::removed) reap(*backend);
    }

    // --- for the snapshot and the host -------------------------------------------------------------------

    bool changed() const noexcept { return changed_; }
    void drawn() noexcept {
        changed_ = false;
        draws_.fetch_add(1, std::memory_order_relaxed);
    }
    /// How many pictures were drawn, and one. Any thread.
    std::uint32_t draws() const noexcept { return draws_.load(std::memory_order_relaxed); }
    void mark_changed() noexcept { changed_ = true; }

    /// Something failed midway, for want of memory or by what a host's own change threw: another picture must
    /// be drawn, and `settle` make up for what was left undone. A millisecond later, or every request would
    /// try.
    void look_again(Time now) noexcept {
        changed_ = true;
        due_.lower(now + std::chrono::milliseconds{1});
    }

    /// All members in this balancer's own order.
    std::vector<Member> members() const { return registry_.members(seed_); }

    std::vector<BackendFigures> figures(Time now) const {
        auto all = registry_.figures(now);
        if (!options_->timing) {
            for (auto& each : all) each.response_times = {};  // else all would lie in the first
        }
        return all;
    }

    /// Counts since the beginning, those of backends that are gone included. `strategy` is the one in force.
    Totals totals(std::string_view strategy) const { return ledger_.totals(registry_.numbered(), strategy); }

    /// `strategy` gives way to another.
    void strategy_leaves(std::string_view strategy) {
        ledger_.strategy_leaves(registry_.numbered(), strategy);
    }

    void event(Event event, Time now) {
        event.at = now;
        event.number = events_told_ + 1;
        events_.push_back(std::move(event));
        ++events_told_;
        const Event::Kind kind = events_.back().kind;
        if (kind == Event::Kind::retry || kind == Event::Kind::ejected) {
            if (const auto backend = find(events_.back().backend))
                ++(kind == Event::Kind::retry ? backend->retries : backend->ejections);
        }
    }
    std::vector<Event> take_events() noexcept { return std::exchange(events_, {}); }
    /// What the host asked to be called when it happens; to be run under no lock.
    std::vector<DrainCall> take_calls() noexcept { return drain_calls_.take(); }

    /// Tells the host when the shown state is another than last time. Not of a removed one, whose last
    /// requests may still end: the name may be another backend's by now.
    void show(LiveBackend& backend, Time now) {
        if (backend.duty == Duty::removed) return;
        const BackendState state = backend.state();
        if (state == backend.shown) return;
        event({.kind = Event::Kind::state_changed,
               .backend = backend.config->name,
               .from = backend.shown,
               .to = state},
              now);
        backend.shown = state;  // only once it is among the events
    }

  private:
    void set_duty(LiveBackend& backend, Duty duty, Time now) {
        if (backend.duty == duty) return;
        drain_calls_.make_room(backend);
        changed_ = true;
        backend.duty = duty;
        backend.announced_drain = false;
        // Closing is a bit in the word, so that a snapshot that somebody still reads cannot hand it out.
        if (duty == Duty::serving) {
            backend.word.fetch_and(~word::closed, std::memory_order_relaxed);
            begin_warming(backend, now);
        } else {
            backend.word.fetch_or(word::closed, std::memory_order_seq_cst);
        }
        drain_calls_.end(backend, Errc::cancelled);
        show(backend, now);
        if (duty == Duty::draining) announce_drain(backend, now);
    }

    void announce_drain(LiveBackend& backend, Time now) {
        // Sequentially consistent with the closing bit and the releasing add: of "closed" and "the last one
        // ended" whoever comes second sees the other.
        if (word::in_flight(backend.word.load(std::memory_order_seq_cst)) != 0) return;
        if (backend.announced_drain) return;
        drain_calls_.make_room(backend);
        event({.kind = Event::Kind::drained, .backend = backend.config->name}, now);
        backend.announced_drain = true;
        drain_calls_.end(backend, {});
    }

    /// Lets a removed backend go when nothing is in flight; snapshots that still show it keep its memory.
    void reap(LiveBackend& backend) noexcept {
        if (word::in_flight(backend.word.load(std::memory_order_seq_cst)) != 0) return;
        backend.pace.join(backend, nullptr);
        ledger_.gone(backend);
        const BackendId id = backend.id;
        if (left_) left_(id);  // nothing is in flight: no request speaks of it any more
        registry_.let_go(id);
    }

    void findings_changed(LiveBackend& backend, Time now) {
        backend.consecutive.store(0, std::memory_order_relaxed);
        backend.failure_watch.reset(backend, now);
        backend.ejection_refused = false;
        change_epoch(backend);
        note_due(backend);
        changed_ = true;
        show(backend, now);
    }

    void forget_findings(LiveBackend& backend, Time now) {
        backend.ejection.reset();
        backend.probe_ok = true;
        forget_rest(backend);
        findings_changed(backend, now);
    }

    /// Nobody stays out for longer than options that are shorter than `before` would have him. For the rest,
    /// what was found out stands: its end was fixed when it began.
    void shorten(LiveBackend& backend, const Options& before, Time now) {
        const Options& after = *options_;
        if (!after.ejection && !backend.ejection.in_service()) {
            backend.ejection.return_to_service(now);
            begin_warming(backend, now);
            findings_changed(backend, now);
        } else if (after.max_ejection < before.max_ejection) {
            backend.ejection.end_by(now + after.max_ejection);
        }
        if (after.rest_max < before.rest_max) shorten_rest(backend, now + after.rest_max);
    }

    /// At most `max_ejected` of the backends of one model and priority, those with a failed probe counted.
    bool may_eject(const LiveBackend& backend) const noexcept {
        std::size_t kind = 0;
        std::size_t out = 0;
        registry_.each([&](const LiveBackend& other) {
            if (other.duty != Duty::serving || other.config->mirror ||
                other.config->priority != backend.config->priority ||
                other.config->model_name != backend.config->model_name) {
                return;
            }
            ++kind;
            if (&other != &backend && (!other.findings_ok() || other.ejection.is_half_open())) ++out;
        });
        return out + 1 <= may_be_out(kind, options_->max_ejected);
    }

    void begin_warming(LiveBackend& backend, Time now) noexcept {
        backend.returned.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        backend.warming = options_->slow_start > Duration::zero();
        note_due(backend);
    }

    Time warm_at(const LiveBackend& backend) const noexcept {
        return Time{Duration{backend.returned.load(std::memory_order_relaxed)}} + options_->slow_start;
    }

    void note_due(const LiveBackend& backend) noexcept {
        if (backend.resting()) due_.lower(rest_end(backend));
        if (backend.ejection.is_ejected()) due_.lower(backend.ejection.next_due());
        if (backend.warming) due_.lower(warm_at(backend));
    }

    OptionsInForce& options_;
    const std::uint64_t seed_;
    LeaseOwner* owner_ = nullptr;
    mutable std::mutex mutex_;
    Rng rng_;
    DueTime due_;
    bool changed_ = false;
    std::atomic<std::uint32_t> draws_{1};
    std::uint64_t incarnations_ = 0;
    std::uint64_t events_told_ = 0;
    std::vector<Event> events_;
    DrainCalls drain_calls_;
    Registry registry_;
    std::function<void(BackendId)> left_;
    Ledger ledger_;
};

}  // namespace fairlead::detail
