// Three backends on real sockets, one of which can be made to fail in some way and mended again.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <asio/io_context.hpp>

#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>

#include "support/fleet.hpp"
#include "support/http_exchange.hpp"

namespace fairlead::test {

/// What goes wrong with a request that has been read; the connection is closed afterwards.
using Fault = std::function<void(RawPeer::Connection&)>;

/// A backend that answers, until it is told to fail.
class FaultyPeer {
  public:
    explicit FaultyPeer(Fault fault) : fault_{std::move(fault)} { start(); }

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

    void fail() { fails_.store(true, std::memory_order_relaxed); }
    void mend() {
        fails_.store(false, std::memory_order_relaxed);
        if (!peer_) start();
    }
    /// Nobody listens any more, and what was open is closed, until `mend`.
    void stop() { peer_.reset(); }

  private:
    void start() {
        peer_ = std::make_unique<RawPeer>(
            [this](RawPeer::Connection& c) {
                while (!c.read_request().empty()) {
                    if (fails_.load(std::memory_order_relaxed)) return fault_(c);
                    if (!c.send(answer("ok"))) return;
                }
            },
            port_);
        port_ = peer_->port();
    }

    Fault fault_;
    std::atomic<bool> fails_{false};
    std::uint16_t port_ = 0;
    std::unique_ptr<RawPeer> peer_{};
};

/// The balancer over one faulty and two good backends, and what its clients saw. Time-outs and ejections are
/// a fifth of a second, not tens, so that a test is short.
class FleetOfPeers {
  public:
    using Clock = std::chrono::steady_clock;

    explicit FleetOfPeers(Fault fault, std::string url_of_faulty = {})
        : faulty{std::move(fault)}, balancer{backends(url_of_faulty), options(), HttpTransport{io}} {
        balancer.on_event([this](const Event& event) {
            if (event.backend != "faulty" || event.kind != Event::Kind::state_changed) return;
            state = event.to;
            changed = Clock::now();
        });
    }

    /// `count` requests, eight at a time, to their ends.
    void send(int count) {
        for (int sent = 0; sent < count;) {
            for (int i = 0; i < 8 && sent < count; ++i, ++sent) {
                balancer.async_send(post(), [this](std::error_code error, const HttpResponse& response) {
                    ++requests;
                    if (error || response.status != 200 || response.body != "ok") ++errors;
                });
            }
            io.restart();
            io.run();
        }
    }

    /// Sends until the faulty backend is shown as `wanted`; how long that took. Gives up after 20 s.
    Duration send_until(BackendState wanted) {
        const auto began = Clock::now();
        while (state != wanted && Clock::now() - began < std::chrono::seconds{20}) send(8);
        return state == wanted ? std::chrono::duration_cast<Duration>(changed - began) : Duration::max();
    }

    std::uint32_t in_flight() const {
        std::uint32_t sum = 0;
        for (const auto& each : balancer.snapshot()) sum += each.in_flight;
        return sum;
    }

    RawPeer one{always(answer("ok"))};
    RawPeer two{always(answer("ok"))};
    FaultyPeer faulty;
    asio::io_context io{};
    BackendState state = BackendState::healthy;
    Clock::time_point changed{};
    int requests = 0;
    int errors = 0;
    Balancer<RoundRobin, HttpTransport> balancer;

  private:
    std::vector<BackendConfig> backends(const std::string& url_of_faulty) const {
        std::vector<BackendConfig> all;
        for (const auto& [name, url] : std::vector<std::pair<std::string, std::string>>{
                 {"one", one.url()},
                 {"two", two.url()},
                 {"faulty", url_of_faulty.empty() ? faulty.url() : url_of_faulty}}) {
            all.push_back(backend_at(url));
            all.back().name = name;
        }
        // Only the faulty one's are short: a busy machine must not make the good ones look slow.
        all.back().timeout = std::chrono::milliseconds{100};
        all.back().idle_timeout = std::chrono::milliseconds{100};
        return all;
    }

    static Options options() {
        Options options;
        options.seed = 1;
        options.base_ejection = std::chrono::milliseconds{200};
        options.max_ejection = std::chrono::milliseconds{400};
        options.rest_max = std::chrono::milliseconds{200};
        return options;
    }
};

}  // namespace fairlead::test
