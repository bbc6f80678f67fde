// What outlives a `HealthChecker` while its probes are under way: the monitor, and who waits for what.
#pragma once

#include <chrono>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>

#include <fairlead/balancer/detail/core.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/resilience/health_monitor.hpp>
#include <fairlead/transport/detail/completion.hpp>
#include <fairlead/transport/detail/rounds.hpp>
#include <fairlead/transport/probe_report.hpp>

namespace fairlead::detail {

/// A round takes what has happened since the last (a changed fleet, results, requests), tells the balancer
/// once, sends what is due and sets the timer. So results that come together become one snapshot.
template <class Balancer, class Prober>
class HealthDriver : public Rounds<HealthDriver<Balancer, Prober>> {
    using Base = Rounds<HealthDriver<Balancer, Prober>>;
    friend Base;

  public:
    using Waiter = Completion<std::error_code, ProbeReport>;

    HealthDriver(Balancer& balancer, const asio::any_io_executor& executor, std::optional<Prober> prober)
        : Base{executor},
          balancer_{balancer},
          prober_{std::move(prober)},
          executor_{executor},
          options_{balancer.options()},
          monitor_{options_, seed_of(options_)} {
        if (!options_.health_check) monitor_.stop();
    }

    void begin() {
        follow_fleet();  // the first set is what is there now
        subscription_ = balancer_.watch([weak = this->weak_from_this()](const Event& event) {
            if (event.kind == Event::Kind::options_changed) {
                if (const auto self = weak.lock()) self->options_changed();
                return;
            }
            if (event.kind != Event::Kind::backend_added && event.kind != Event::Kind::backend_updated &&
                event.kind != Event::Kind::backend_removed) {
                return;
            }
            if (const auto self = weak.lock()) self->fleet_changed();
        });
        options_changed();  // between the look and the watch, as
        fleet_changed();
    }

    /// Any thread. No round begins after it; one that another thread is in has ended.
    void close() {
        Waiters waiters;
        this->close_loop([&] {
            subscription_.reset();
            cancel_probes();
            waiters.swap(waiters_);
        });
        refuse(waiters, Errc::cancelled);
    }

    void start() {
        change([&] { monitor_.start(now()); });
    }
    void stop() {
        Waiters waiters;
        change([&] { stop_checks(waiters); });
        refuse(waiters, Errc::cancelled);
    }
    void set_interval(Duration interval) {
        change([&] { monitor_.set_interval(interval, now()); });
    }

    bool running() const {
        const std::lock_guard lock{mutex_};
        return monitor_.is_running();
    }
    Duration interval() const {
        const std::lock_guard lock{mutex_};
        return monitor_.interval();
    }
    std::optional<ProbeReport> last(std::string_view name) const {
        const std::lock_guard lock{mutex_};
        const auto found = records_.find(name);
        if (found == records_.end()) return std::nullopt;
        return found->second.report;
    }

    template <class Handler>
    void ask(std::string name, Handler handler) {
        Waiter waiter{std::move(handler), executor_};
        change([&] {
            if (this->is_open()) waiters_[std::move(name)].push_back(std::move(waiter));
        });
        if (waiter) waiter.post(Errc::cancelled, {});
    }

  private:
    using Base::change;
    using Base::mutex_;
    using Base::now;
    using Base::stale_;
    using Base::torn_;
    using typename Base::Strand;
    using Waiters = std::map<std::string, std::vector<Waiter>, std::less<>>;

    struct Call {
        HealthProbe probe;
        Time began{};
        asio::cancellation_signal signal{};  // on the strand
        bool cancelled = false;
    };

    struct Result {
        std::shared_ptr<Call> call;
        std::error_code error;
        Outcome outcome;
        Time ended;
    };

    struct Record {
        std::uint64_t incarnation = 0;
        ProbeReport report{};
    };

    /// The handler of one probe. May be called on any thread, even at once.
    struct Done {
        using executor_type = Strand;
        using cancellation_slot_type = asio::cancellation_slot;

        executor_type get_executor() const noexcept { return strand; }
        cancellation_slot_type get_cancellation_slot() const noexcept { return call->signal.slot(); }
        void operator()(std::error_code error, const Outcome& outcome) const {
            self->ended(call, error, outcome);
        }

        std::shared_ptr<HealthDriver> self;
        std::shared_ptr<Call> call;
        Strand strand;
    };

    void fleet_changed() {
        change([&] { stale_ = true; });
    }

    /// Within a call of the balancer, or before `begin` returns. What was changed here at run time (interval,
    /// running or not) stands until the options say otherwise about that very thing.
    void options_changed() {
        Waiters waiters;
        change([&] {
            // Read with the mutex, so that of two changes the later is the last to be taken over.
            Options after = balancer_.options();
            const Options before = std::exchange(options_, after);
            if (before == after) return;
            if (before.health_check_interval == after.health_check_interval)
                after.health_check_interval = monitor_.interval();
            monitor_.set_options(after, now());
            if (before.health_check == after.health_check) return;
            if (after.health_check) return monitor_.start(now());
            stop_checks(waiters);
            for (Result& result : results_) {
                result.call->cancelled = true;
                result.outcome = Outcome{Outcome::cancelled};
            }
            // Behind those of a change just before, which nobody has told yet.
            auto forgotten = monitor_.forget();
            std::move(forgotten.begin(), forgotten.end(), std::back_inserter(forgotten_));
        });
        refuse(waiters, Errc::cancelled);
    }

    /// Called with the mutex.
    void stop_checks(Waiters& waiters) {
        monitor_.stop();
        cancel_probes();
        waiters.swap(waiters_);
    }

    /// Called with the mutex: where the handlers run, only there may a slot be used.
    void cancel_probes() {
        if (!this->is_open() || calls_.empty()) return;
        for (auto& [number, call] : calls_) call->cancelled = true;
        asio::post(this->strand(), [self = this->shared_from_this(), calls = calls_] {
            for (const auto& [number, call] : calls) call->signal.emit(asio::cancellation_type::terminal);
        });
    }

    void ended(const std::shared_ptr<Call>& call, std::error_code error, const Outcome& outcome) {
        change([&] {
            calls_.erase(call->probe.number);
            results_.push_back({call, error, call->cancelled ? Outcome{Outcome::cancelled} : outcome, now()});
        });
    }

    void round() {
        follow_fleet();
        std::vector<ProbeFinding> findings;
        std::vector<std::pair<Waiters::mapped_type, ProbeReport>> answers;
        take_results(findings, answers);
        if (!findings.empty()) balancer_.probed(findings);
        // Whoever asked sees the balancer as the answer has it.
        for (auto& [waiters, report] : answers) {
            for (auto& waiter : waiters) waiter.post({}, report);
        }
        begin_probes();
        const std::lock_guard lock{mutex_};
        this->set_timer(monitor_.next_deadline());
    }

    void follow_fleet() {
        {
            const std::lock_guard lock{mutex_};
            if (!std::exchange(stale_, false)) return;
        }
        std::vector<HealthTarget> targets;
        for (auto& each : balancer_.snapshot())
            targets.push_back({std::move(each.config), each.incarnation, each.probe_ok});
        const std::lock_guard lock{mutex_};
        std::exchange(torn_, false) ? monitor_.begin_anew(targets, now())
                                    : monitor_.set_members(targets, now());
        std::map<std::string, Record, std::less<>> kept;
        for (const auto& target : targets) {
            const auto found = records_.find(target.config.name);
            if (found != records_.end() && found->second.incarnation == target.incarnation)
                kept.insert(records_.extract(found));
        }
        records_ = std::move(kept);
        incarnations_.clear();
        for (auto& target : targets) incarnations_.emplace(std::move(target.config.name), target.incarnation);
    }

    template <class Findings, class Answers>
    void take_results(Findings& findings, Answers& answers) {
        const auto failures = balancer_.failure_threshold();
        const std::lock_guard lock{mutex_};
        monitor_.set_failure_threshold(failures);
        findings = std::exchange(forgotten_, {});
        for (const Result& result : std::exchange(results_, {})) {
            const HealthProbe& probe = result.call->probe;
            const bool current = monitor_.is_current(probe);
            if (auto finding = monitor_.complete(probe, result.outcome, result.ended))
                findings.push_back(std::move(*finding));
            if (!current || result.call->cancelled) continue;
            const std::string& name = probe.backend->name;
            const auto standing = *monitor_.standing(name);
            Record& record = records_[name];
            record.incarnation = incarnations_.find(name)->second;
            record.report = {.ok = result.outcome.kind == Outcome::success,
                             .healthy = standing.healthy,
                             .outcome = result.outcome,
                             .latency = result.ended - result.call->began,
                             .last_check_time = std::chrono::system_clock::now(),
                             .consecutive_failures = standing.consecutive_failures,
                             .last_error = probe_error(result.error, result.outcome)};
            if (auto waiting = waiters_.extract(name))
                answers.emplace_back(std::move(waiting.mapped()), record.report);
        }
    }

    void begin_probes() {
        std::vector<std::shared_ptr<Call>> calls;
        Waiters strangers;
        std::optional<Strand> strand;
        Duration timeout{};
        {
            const std::lock_guard lock{mutex_};
            if (!this->is_open()) return;
            timeout = options_.health_check_timeout;
            strand = this->strand();
            for (auto it = waiters_.begin(); it != waiters_.end();) {
                // Only a fleet that is up to date says that nobody has this name.
                const auto at = it++;
                if (!monitor_.request(at->first, now()) && !stale_) strangers.insert(waiters_.extract(at));
            }
            for (auto& probe : monitor_.due(now())) {
                auto call = std::make_shared<Call>();
                call->probe = std::move(probe);
                call->began = now();
                calls_.emplace(call->probe.number, call);
                calls.push_back(std::move(call));
            }
        }
        refuse(strangers, Errc::unknown_backend);
        for (auto& call : calls) {
            const auto deadline = Deadline::in(timeout, call->began);
            const BackendConfig& backend = *call->probe.backend;  // lives as long as the handler
            prober().async_probe(backend, deadline, Done{this->shared_from_this(), call, *strand});
        }
    }

    Prober& prober() {
        if constexpr (std::is_same_v<Prober, typename Balancer::TransportType>) {
            if (!prober_) return balancer_.transport();
        }
        return *prober_;
    }

    static void refuse(Waiters& waiters, Errc reason) {
        for (auto& [name, each] : waiters) {
            for (auto& waiter : each) waiter.post(reason, {});
        }
    }

    Balancer& balancer_;  // only within a round, and before `close`
    std::optional<Prober> prober_;
    const asio::any_io_executor executor_;

    std::shared_ptr<const void> subscription_;
    Options options_;  // of the balancer, as they were last taken over
    HealthMonitor monitor_;
    std::map<std::uint64_t, std::shared_ptr<Call>> calls_;
    std::vector<Result> results_;
    std::vector<ProbeFinding> forgotten_;  // to be told with the next
    Waiters waiters_;
    std::map<std::string, Record, std::less<>> records_;
    std::map<std::string, std::uint64_t, std::less<>> incarnations_;
};

}  // namespace fairlead::detail
