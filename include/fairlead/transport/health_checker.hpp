// Probes the backends of a balancer periodically, on the host's Asio loop.
//
//     asio::io_context io;
//     fairlead::Balancer<fairlead::LeastConnections, fairlead::HttpTransport> balancer{
//         backends, options, fairlead::HttpTransport{io}};
//     fairlead::HealthChecker health{balancer, io.get_executor()};  // runs from here on
//     io.run();
//
// A transport's own `async_probe` is used. One without it is probed over HTTP by an `HttpTransport` made
// here. Balancers without a transport, and those that block, are given something to probe with:
//
//     fairlead::HealthChecker health{balancer, io.get_executor(), fairlead::HttpTransport{io}};
//
// Do not use it on a loop that is not Asio's: `HealthMonitor` (resilience/health_monitor.hpp) has the rules,
// and examples/epoll_loop.cpp shows how to drive it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/model/validate.hpp>
#include <fairlead/transport/detail/health_driver.hpp>
#include <fairlead/transport/http_transport.hpp>
#include <fairlead/transport/probe_report.hpp>
#include <fairlead/transport/transport.hpp>

namespace fairlead {

namespace detail {

template <class Transport>
struct ProberOf {
    static_assert(!std::is_same_v<Transport, NoTransport>,
                  "HealthChecker: a balancer without a transport has nothing to probe with: give a prober "
                  "(HttpTransport{io}) as third argument, or drive HealthMonitor yourself");
    static_assert(!BlockingProbe<Transport>,
                  "HealthChecker: probe() of this transport would block the loop: give it async_probe(), or "
                  "give a prober (HttpTransport{io}) as third argument");
    using type = HttpTransport;
};
template <AsyncProbe Transport>
struct ProberOf<Transport> {
    using type = Transport;
};

}  // namespace detail

/// Drives a `HealthMonitor` for the balancer's backends: which probes when, and what their results mean,
/// stands there. Follows `add`, `update` and `remove` by itself. Runs from the beginning where
/// `Options::health_check` says so (in mode `single_backend` it does not), else from `start`.
///
/// A probe is given `health_check_timeout`. It changes nothing but the balancer's finding: never what an
/// operator disabled or drains, no count of requests, no average. Results that come together make one
/// snapshot. Time is real time, whatever the balancer's clock is.
///
/// Threads: every member, also the destructor, from any thread; the executor's loop may be run by any number.
/// Nothing of ours is locked while the balancer, its callbacks or the transport run. It goes before the
/// balancer; probes under way are then cancelled, and the destructor waits only for a call of the balancer
/// that runs at that moment. A transport of one's own must not need its balancer while it cancels a probe.
/// A timer keeps the loop running until `stop`.
template <class Balancer, class Prober = typename detail::ProberOf<typename Balancer::TransportType>::type>
class HealthChecker {
  public:
    /// Probes with the balancer's own transport, or with an `HttpTransport` where that cannot.
    HealthChecker(Balancer& balancer, const asio::any_io_executor& executor)
        : driver_{std::make_shared<Driver>(balancer, executor, own_prober(executor))} {
        driver_->begin();
    }

    /// Probes with `prober`, which has `async_probe(config, deadline, handler)`.
    HealthChecker(Balancer& balancer, const asio::any_io_executor& executor, Prober prober)
        : driver_{std::make_shared<Driver>(balancer, executor, std::optional<Prober>{std::move(prober)})} {
        driver_->begin();
    }

    HealthChecker(const HealthChecker&) = delete;
    HealthChecker& operator=(const HealthChecker&) = delete;
    ~HealthChecker() { driver_->close(); }

    /// Begins the periodic checks, with first probes that are spread. No effect while they run.
    void start() { driver_->start(); }

    /// Ends the periodic checks and cancels probes under way, whoever asked for them. Findings stay.
    void stop() { driver_->stop(); }

    bool running() const { return driver_->running(); }

    /// Probes one backend now, also while stopped: `void(std::error_code, ProbeReport)`, for any completion
    /// token. A probe that is under way is taken for it. `Errc::unknown_backend` when there is none of that
    /// name (any more), `Errc::cancelled` after `stop` and when the checker goes. A failed probe is no error.
    template <class Token>
    auto probe_now(std::string_view name, Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, ProbeReport)>(
            [driver = driver_](auto handler, std::string which) {
                driver->ask(std::move(which), std::move(handler));
            },
            token, std::string{name});
    }

    /// What the last completed probe of a backend found. Nothing before the first, and of unknown names.
    std::optional<ProbeReport> last(std::string_view name) const { return driver_->last(name); }

    /// Between two probes of a backend that has no interval of its own. `Errc::bad_option` when not within
    /// (0, `max_seconds`].
    Duration interval() const { return driver_->interval(); }
    std::error_code set_interval(Duration interval) {
        if (interval <= Duration::zero() || std::chrono::duration<double>(interval).count() > max_seconds)
            return Errc::bad_option;
        driver_->set_interval(interval);
        return {};
    }

  private:
    using Driver = detail::HealthDriver<Balancer, Prober>;

    static std::optional<Prober> own_prober([[maybe_unused]] const asio::any_io_executor& executor) {
        if constexpr (std::is_same_v<Prober, typename Balancer::TransportType>) {
            return std::nullopt;
        } else {
            return Prober{executor};
        }
    }

    std::shared_ptr<Driver> driver_;
};

}  // namespace fairlead
