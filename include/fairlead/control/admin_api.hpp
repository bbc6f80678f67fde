// The admin API: the operator's calls, for any HTTP server to mount.
//
//     fairlead::AdminApi admin{balancer, health, settings.admin_key};
//     std::puts(admin.notice().c_str());                        // "" or: answers only to this machine
//     ...
//     if (admin.is_mine(target)) {
//         admin.handle({method, target, headers, body, peer},
//                      [=](int status, fairlead::HttpHeaders headers, std::string body) { ... });
//     }
//
// Do not use it to change a balancer from within the program: `Balancer` has the same calls as members.
//
// The answers are the contract of docs/openapi.yaml. No key of a backend and not its own key is in any.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fairlead/control/detail/admin_target.hpp>
#include <fairlead/control/language.hpp>
#include <fairlead/transport/http_message.hpp>

namespace fairlead {

/// One request to the admin API, as the host's HTTP server has read it.
struct AdminRequest {
    std::string_view method{};
    std::string_view target{};  ///< path and query, percent-encoded as it came
    HttpHeaders headers{};
    std::string_view body{};
    std::string_view peer{};  ///< the client's address, with or without port; empty: not this machine
};

struct AdminOptions {
    /// Of the messages.
    Language language = language_from_environment();
};

/// Answers the calls under `/api/v1/load_balancer`.
///
/// With a key, every call must bring it (`X-API-Key` or `Authorization: Bearer`), else 401; it is compared in
/// constant time. Without one only this machine is answered, others get 403: the peer must be a loopback
/// address, and so must be what `Host` and `Origin` tell; and none of `Forwarded`, `X-Forwarded-For` and
/// `X-Real-IP` may be there, whatever it says. So neither a web page in a browser on this machine nor a proxy
/// on it opens the API to all.
///
/// Threads: every member from any thread. `respond` is called exactly once: within `handle`, but for
/// `POST .../health_check`, which is answered from where the health checker completes its probes.
/// Errors: none is thrown but std::bad_alloc and what `respond` throws.
/// Balancer and health checker outlive it and every answer it still owes.
/// Cost: O(backends) for each call; takes the balancer's mutex of changes, never anything that requests wait
/// for.
class AdminApi {
  public:
    using Respond = std::function<void(int status, HttpHeaders headers, std::string body)>;

    static constexpr std::string_view prefix = "/api/v1/load_balancer";
    static constexpr std::size_t max_body_bytes = std::size_t{1} << 20;  ///< larger: 413

    /// `admin_key` empty: only this machine is answered.
    template <class Balancer, detail::ControlsHealth Health>
    AdminApi(Balancer& balancer, Health& health, std::string admin_key, AdminOptions options = {})
        : AdminApi{std::make_unique<detail::BalancerTarget<Balancer>>(balancer),
                   std::make_unique<detail::HealthAdapter<Health>>(health), std::move(admin_key), options} {}

    /// For a host that checks no health, or by itself: the calls that need a checker answer 409.
    template <class Balancer>
    AdminApi(Balancer& balancer, std::string admin_key, AdminOptions options = {})
        : AdminApi{std::make_unique<detail::BalancerTarget<Balancer>>(balancer), nullptr,
                   std::move(admin_key), options} {}

    /// Whether the target is the API's: its path is `prefix` or stands below it.
    static bool is_mine(std::string_view target) noexcept;

    /// Keeps nothing of `request` beyond the call.
    void handle(const AdminRequest& request, Respond respond) const;

    /// Whether a request may see what the key protects: for a host that serves more behind the same key.
    bool admits(const HttpHeaders& headers, std::string_view peer) const;

    /// Another key from now on; empty: only this machine is answered. Calls that are being answered end as
    /// they began.
    void set_key(std::string admin_key);

    /// What is to be logged at start-up when there is no key; else empty.
    std::string notice() const;

  private:
    class Impl;

    AdminApi(std::unique_ptr<detail::AdminTarget> target, std::unique_ptr<detail::HealthControl> health,
             std::string admin_key, AdminOptions options);

    std::shared_ptr<Impl> impl_;  // shared with the answers that wait for a probe
};

}  // namespace fairlead
