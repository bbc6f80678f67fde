// What outlives a `LoadPoller` while its scrapes are under way.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>

#include <fairlead/balancer/detail/selection.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/resilience/load_monitor.hpp>
#include <fairlead/transport/detail/rounds.hpp>
#include <fairlead/transport/http_message.hpp>

namespace fairlead::detail {

/// A round takes what has happened since the last (a changed fleet, answers), tells the balancer, sends what
/// is due and sets the timer.
template <class Balancer, class Scraper>
class LoadDriver : public Rounds<LoadDriver<Balancer, Scraper>> {
    using Base = Rounds<LoadDriver<Balancer, Scraper>>;
    friend Base;

  public:
    LoadDriver(Balancer& balancer, const asio::any_io_executor& executor, std::optional<Scraper> scraper)
        : Base{executor},
          balancer_{balancer},
          scraper_{std::move(scraper)},
          options_{balancer.options()},
          monitor_{options_, seed_of(options_)} {
        if (!options_.load_monitor) monitor_.stop();
    }

    void begin() {
        subscription_ = balancer_.watch([weak = this->weak_from_this()](const Event& event) {
            if (event.kind == Event::Kind::options_changed) {
                if (const auto self = weak.lock()) self->options_changed();
                return;
            }
            if (event.kind != Event::Kind::backend_added && event.kind != Event::Kind::backend_updated &&
                event.kind != Event::Kind::backend_removed) {
                return;
            }
            if (const auto self = weak.lock()) self->change([&] { self->stale_ = true; });
        });
        options_changed();  // between the look and the watch
    }

    /// Any thread. No round begins after it; one that another thread is in has ended.
    void close() {
        this->close_loop([&] {
            subscription_.reset();
            cancel_scrapes();
        });
    }

    void start() {
        change([&] { monitor_.start(now()); });
    }
    void stop() {
        change([&] {
            monitor_.stop();
            cancel_scrapes();
        });
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
    std::optional<LoadStanding> standing(std::string_view name) const {
        const std::lock_guard lock{mutex_};
        return monitor_.standing(name);
    }

  private:
    using Base::change;
    using Base::mutex_;
    using Base::now;
    using Base::stale_;
    using Base::torn_;
    using typename Base::Strand;

    struct Call {
        LoadScrape scrape;
        asio::cancellation_signal signal{};  // on the strand
    };
    using Calls = std::map<std::uint64_t, std::shared_ptr<Call>>;

    struct Result {
        std::shared_ptr<Call> call;
        std::error_code error;
        HttpResponse response;
        Time ended;
    };

    /// The handler of one scrape. May be called on any thread, even at once.
    struct Done {
        using executor_type = Strand;
        using cancellation_slot_type = asio::cancellation_slot;

        executor_type get_executor() const noexcept { return strand; }
        cancellation_slot_type get_cancellation_slot() const noexcept { return call->signal.slot(); }
        void operator()(std::error_code error, HttpResponse response) const {
            self->ended(call, error, std::move(response));
        }

        std::shared_ptr<LoadDriver> self;
        std::shared_ptr<Call> call;
        Strand strand;
    };

    /// Within a call of the balancer, or before `begin` returns. What was changed here at run time stands
    /// until the options say otherwise about that very thing.
    void options_changed() {
        change([&] {
            // Read with the mutex, so that of two changes the later is the last to be taken over.
            const Options before = std::exchange(options_, balancer_.options());
            if (load_interval_of(before) != load_interval_of(options_)) monitor_.set_options(options_, now());
            if (before.load_monitor == options_.load_monitor) return;
            if (options_.load_monitor) return monitor_.start(now());
            monitor_.stop();
            cancel_scrapes();
        });
    }

    /// Called with the mutex: where the handlers run, only there may a slot be used.
    void cancel_scrapes() {
        if (!this->is_open() || calls_.empty()) return;
        asio::post(this->strand(), [self = this->shared_from_this(), calls = calls_] {
            for (const auto& [number, call] : calls) call->signal.emit(asio::cancellation_type::terminal);
        });
    }

    void ended(const std::shared_ptr<Call>& call, std::error_code error, HttpResponse response) {
        change([&] {
            calls_.erase(call->scrape.number);
            results_.push_back({call, error, std::move(response), now()});
        });
    }

    void round() {
        follow_fleet();
        for (const auto& [name, report] : take_results())
            static_cast<void>(balancer_.report_load(name, report));  // one that has left meanwhile needs none
        begin_scrapes();
        const std::lock_guard lock{mutex_};
        this->set_timer(monitor_.next_deadline());
    }

    void follow_fleet() {
        {
            const std::lock_guard lock{mutex_};
            if (!std::exchange(stale_, false)) return;
        }
        std::vector<LoadTarget> targets;
        for (auto& each : balancer_.snapshot()) targets.push_back({std::move(each.config), each.incarnation});
        const std::lock_guard lock{mutex_};
        std::exchange(torn_, false) ? monitor_.begin_anew(targets, now())
                                    : monitor_.set_members(targets, now());
    }

    std::vector<std::pair<std::string, LoadReport>> take_results() {
        std::vector<std::pair<std::string, LoadReport>> reports;
        const std::lock_guard lock{mutex_};
        for (const Result& result : std::exchange(results_, {})) {
            const LoadScrape& scrape = result.call->scrape;
            if (result.error) {
                monitor_.failed(scrape, result.error.message(), result.ended);
            } else if (result.response.status != 200) {
                monitor_.failed(scrape, "HTTP status " + std::to_string(result.response.status),
                                result.ended);
            } else if (auto report = monitor_.complete(scrape, result.response.body, result.ended)) {
                reports.emplace_back(scrape.backend->name, *report);
            }
        }
        return reports;
    }

    void begin_scrapes() {
        std::vector<std::shared_ptr<Call>> calls;
        std::optional<Strand> strand;
        Deadline deadline;
        std::string path;
        {
            const std::lock_guard lock{mutex_};
            if (!this->is_open()) return;
            strand = this->strand();
            path = options_.load_path;
            deadline = Deadline::in(monitor_.timeout(), now());
            for (auto& scrape : monitor_.due(now())) {
                calls.push_back(std::make_shared<Call>());
                calls.back()->scrape = std::move(scrape);
                calls_.emplace(calls.back()->scrape.number, calls.back());
            }
        }
        for (auto& call : calls) {
            const BackendConfig& backend = *call->scrape.backend;  // lives as long as the handler
            scraper().async_scrape(backend, path, deadline, Done{this->shared_from_this(), call, *strand});
        }
    }

    Scraper& scraper() {
        if constexpr (std::is_same_v<Scraper, typename Balancer::TransportType>) {
            if (!scraper_) return balancer_.transport();
        }
        return *scraper_;
    }

    Balancer& balancer_;  // only within a round, and before `close`
    std::optional<Scraper> scraper_;
    std::shared_ptr<const void> subscription_;
    Options options_;  // of the balancer, as they were last taken over
    LoadMonitor monitor_;
    Calls calls_;
    std::vector<Result> results_;
};

}  // namespace fairlead::detail
