// Asks the engines behind a balancer for their load, on the host's Asio loop.
//
//     asio::io_context io;
//     options.load_monitor = true;
//     fairlead::Balancer<fairlead::LeastTokens, fairlead::HttpTransport> balancer{
//         backends, options, fairlead::HttpTransport{io}};
//     fairlead::LoadPoller load{balancer, io.get_executor()};  // runs from here on
//     io.run();
//
// A transport's own `async_scrape` is used. One without it, and a balancer that has none, is asked over HTTP
// by an `HttpTransport` made here, or by what is given as third argument.
//
// Do not use it on a loop that is not Asio's: `LoadMonitor` (resilience/load_monitor.hpp) has the rules. Nor
// where one gateway brings all the load and the strategy needs no cache use: its own account says it sooner.
#pragma once

#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/transport/detail/load_driver.hpp>
#include <fairlead/transport/http_transport.hpp>

namespace fairlead {

namespace detail {

struct AnyScrapeHandler {
    void operator()(std::error_code, HttpResponse) {}
};

template <class Transport>
struct ScraperOf {
    using type = HttpTransport;
};

}  // namespace detail

/// What reads a page of a backend: `async_scrape(config, path, deadline, handler)`, the handler
/// `void(std::error_code, HttpResponse)` with the body as it came, called once. It is for the transport to
/// see to it that no body is larger than `max_metrics_bytes`.
template <class T>
concept AsyncScrape = requires(T& transport, const BackendConfig& backend, std::string_view path,
                               Deadline deadline, detail::AnyScrapeHandler handler) {
    transport.async_scrape(backend, path, deadline, handler);
};

namespace detail {
template <AsyncScrape Transport>
struct ScraperOf<Transport> {
    using type = Transport;
};
}  // namespace detail

/// Drives a `LoadMonitor` for the balancer's backends and hands on what comes (`Balancer::report_load`):
/// which engine is asked when, and what its metrics mean, stands there. Follows `add`, `update` and `remove`
/// by itself. Runs from the beginning where `Options::load_monitor` says so, else from `start`.
///
/// A scrape is given one interval. One that fails changes nothing: what was known fades, what is unknown
/// stays so. Time is `std::chrono::steady_clock`'s, which must be the balancer's clock as well.
///
/// Threads: every member, also the destructor, from any thread; the executor's loop may be run by any number.
/// Nothing of ours is locked while the balancer or the transport run. It goes before the balancer; scrapes
/// under way are then cancelled, and the destructor waits only for a call of the balancer that runs at that
/// moment. A timer keeps the loop running until `stop`.
template <class Balancer,
          AsyncScrape Scraper = typename detail::ScraperOf<typename Balancer::TransportType>::type>
class LoadPoller {
  public:
    LoadPoller(Balancer& balancer, const asio::any_io_executor& executor)
        : driver_{std::make_shared<Driver>(balancer, executor, own_scraper(executor))} {
        driver_->begin();
    }

    LoadPoller(Balancer& balancer, const asio::any_io_executor& executor, Scraper scraper)
        : driver_{std::make_shared<Driver>(balancer, executor, std::optional<Scraper>{std::move(scraper)})} {
        driver_->begin();
    }

    LoadPoller(const LoadPoller&) = delete;
    LoadPoller& operator=(const LoadPoller&) = delete;
    ~LoadPoller() { driver_->close(); }

    /// Begins the periodic scrapes, the first of them spread. No effect while they run.
    void start() { driver_->start(); }

    /// Ends them and cancels those under way.
    void stop() { driver_->stop(); }

    bool running() const { return driver_->running(); }

    /// What the last scrapes of a backend came to. Nothing of unknown names.
    std::optional<LoadStanding> standing(std::string_view name) const { return driver_->standing(name); }

    /// Between two scrapes of one backend, as it is kept: longer than asked for with many gateways
    /// (`load_interval_of`). `Errc::bad_option` when not within 0.25 to 10 s.
    Duration interval() const { return driver_->interval(); }
    std::error_code set_interval(Duration interval) {
        if (interval < std::chrono::milliseconds{250} || interval > std::chrono::seconds{10})
            return Errc::bad_option;
        driver_->set_interval(interval);
        return {};
    }

  private:
    using Driver = detail::LoadDriver<Balancer, Scraper>;

    static std::optional<Scraper> own_scraper([[maybe_unused]] const asio::any_io_executor& executor) {
        if constexpr (std::is_same_v<Scraper, typename Balancer::TransportType>) {
            return std::nullopt;
        } else {
            return Scraper{executor};
        }
    }

    std::shared_ptr<Driver> driver_;
};

}  // namespace fairlead
