// The gateway as an object: settings in, a listening server out.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <asio/io_context.hpp>

#include <fairlead/control/admin_api.hpp>
#include <fairlead/control/reload.hpp>
#include <fairlead/model/settings.hpp>
#include <fairlead/transport/health_checker.hpp>
#include <fairlead/transport/load_poller.hpp>

#include "gateway/dashboard.hpp"
#include "gateway/live_settings.hpp"
#include "gateway/log.hpp"
#include "gateway/model_router.hpp"
#include "gateway/relay.hpp"
#include "http_server/server.hpp"

namespace gateway {

/// How one gateway runs, beside the settings.
struct RunOptions {
    unsigned threads = 1;     ///< how many run the loop
    Log* log = nullptr;       ///< for what happens to backends; null: nobody is told
    bool access_log = false;  ///< log every request that is relayed, too
    /// Of clients, at once: see `http_server::Limits`. An address for the admin API alone has room for an
    /// eighth as many more.
    std::size_t max_connections = std::numeric_limits<std::size_t>::max();
};

/// Relays `/v1/*` to the backends of the settings, answers `/`, `/health`, `/metrics`, `/dashboard` and the
/// admin API itself. What else is to be served is mounted by prefix.
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

    /// Gives the admin API and the dashboard an address of their own, and takes them off the main one;
    /// `/metrics` is at both.
    void listen_admin(const std::string& address);
    std::string admin_url() const;  ///< of the admin API, prefix included
    const fairlead::AdminApi& admin() const noexcept { return admin_; }
    const EventStreams& events() const noexcept { return events_; }

    std::size_t connections() const {
        return server_->connections() + (admin_server_ ? admin_server_->connections() : 0);
    }
    GatewayBalancer& balancer() noexcept { return balancer_; }
    fairlead::HealthChecker<GatewayBalancer>& health() noexcept { return health_; }

    const fairlead::LoadPoller<GatewayBalancer>& load() const noexcept { return load_; }

    /// From the settings in force to others, while it runs: see `fairlead::reload`. What is the gateway's own
    /// is applied too; the file of certificate authorities is read again even where its name is the same.
    /// Throws, and changes nothing, when that file cannot be used. Threads: any, one reload at a time.
    fairlead::ReloadReport reload(const fairlead::Settings& before, const fairlead::Settings& after);

    /// No new connections; `drained` is called when the last one has ended.
    void stop(std::function<void()> drained);

    /// Breaks off whatever is under way; the loop runs dry soon after.
    void close();

  private:
    /// By prefix; of two that match the longer comes first.
    using Mounts = std::map<std::string, http_server::Handler, std::greater<>>;

    std::shared_ptr<http_server::Server> make_server(std::size_t max_body, std::size_t max_connections,
                                                     const Mounts& mounts, http_server::ErrorPage error_page);
    static void dispatch(const Mounts& mounts, const std::shared_ptr<http_server::Exchange>& exchange);
    void on_event(const fairlead::Event& event);

    asio::io_context& io_;
    const bool many_threads_;
    const std::size_t max_connections_;
    Log* log_;
    ModelRouter router_;
    LiveSettings settings_;
    std::string authorities_{};  // the text of `tls_ca_file`, as it was last read
    std::mutex models_mutex_{};
    GatewayBalancer balancer_;
    fairlead::HealthChecker<GatewayBalancer> health_;  // after the balancer: it goes before it
    fairlead::LoadPoller<GatewayBalancer> load_;
    BlockSize<GatewayBalancer> block_size_;
    Continuations continuations_{};
    RelayContext relay_context_;
    fairlead::AdminApi admin_;
    EventStreams events_{admin_};
    Mounts mounts_{};
    Mounts admin_mounts_{};
    std::shared_ptr<http_server::Server> server_;
    std::shared_ptr<http_server::Server> admin_server_{};  // empty: the main one serves the admin API
};

}  // namespace gateway
