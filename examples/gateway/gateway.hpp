// The gateway as an object: settings in, a listening server out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <asio/io_context.hpp>

#include <fairlead/model/settings.hpp>
#include <fairlead/transport/health_checker.hpp>

#include "gateway/log.hpp"
#include "gateway/model_router.hpp"
#include "gateway/relay.hpp"
#include "http_server/server.hpp"

namespace gateway {

/// How one gateway runs, beside the settings.
struct RunOptions {
    unsigned threads = 1;     ///< how many run the loop
    Log* log = nullptr;       ///< for what happens to backends; null: nobody is told
    bool access_log = false;  ///< log every request, too
};

/// Relays `/v1/*` to the backends of the settings, answers `/` and `/health` itself. What else is to be
/// served is mounted by prefix.
///
/// Threads: `listen` and `mount` before the loop runs; `stop` and `close` from any. After `close` the loop
/// must run dry before the gateway may go.
class Gateway {
  public:
    /// Throws `std::invalid_argument` where settings do not hold together.
    Gateway(asio::io_context& io, const fairlead::Settings& settings, RunOptions options);

    /// Paths that begin with `prefix` go to `handler`; the longest prefix counts.
    void mount(std::string prefix, http_server::Handler handler);

    void listen(const std::string& address) { server_->listen(address); }
    std::string url() const { return server_->url(); }
    std::size_t connections() const { return server_->connections(); }
    GatewayBalancer& balancer() noexcept { return balancer_; }
    fairlead::HealthChecker<GatewayBalancer>& health() noexcept { return health_; }

    /// No new connections; `drained` is called when the last one has ended.
    void stop(std::function<void()> drained) { server_->stop_accepting(std::move(drained)); }

    /// Breaks off whatever is under way; the loop runs dry soon after.
    void close() {
        health_.stop();
        server_->close();
    }

  private:
    void dispatch(const std::shared_ptr<http_server::Exchange>& exchange) const;
    void on_event(const fairlead::Event& event);

    Log* log_;
    ModelRouter router_;
    GatewayBalancer balancer_;
    fairlead::HealthChecker<GatewayBalancer> health_;  // after the balancer: it goes before it
    RelayContext relay_context_;
    std::map<std::string, http_server::Handler, std::greater<>>
        mounts_{};  // of two that match the longer is first
    std::shared_ptr<http_server::Server> server_;
};

}  // namespace gateway
