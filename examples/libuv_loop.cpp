// Health checks on libuv's loop. `HealthMonitor` says which probes to send and when to come back; one
// uv_timer and a uv_tcp for each probe do the rest.
#include <fairlead/fairlead.hpp>

#include <uv.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "tiny_backend.hpp"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Drives the monitor of one balancer on one loop. Everything runs on the loop's thread.
class UvHealth {
  public:
    UvHealth(uv_loop_t* loop, fairlead::Balancer<>& balancer)
        : balancer_{balancer}, monitor_{balancer.options(), std::random_device{}()} {
        uv_timer_init(loop, &timer_);
        timer_.data = this;
        std::vector<fairlead::HealthTarget> targets;
        for (const auto& each : balancer_.snapshot())
            targets.push_back({each.config, each.incarnation, each.probe_ok});
        monitor_.set_members(targets, Clock::now());  // again after every change of the fleet
        go_on();
    }

    void stop() {
        monitor_.stop();  // the loop ends when the probes under way have
        uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
    }

  private:
    /// One probe: connect, send, read the first bytes of the answer; `timer` ends it if that takes too long.
    struct Probe {
        UvHealth& owner;
        fairlead::HealthProbe what;
        uv_tcp_t socket{};
        uv_timer_t timer{};
        int open_handles = 2;
        uv_connect_t connect{};
        char answer[256]{};
    };

    void go_on() {
        for (auto& probe : monitor_.due(Clock::now())) begin(std::move(probe));
        if (monitor_.next_deadline() == fairlead::Time::max()) return;
        const auto wait = std::max(monitor_.next_deadline() - Clock::now(), fairlead::Duration::zero());
        const auto call = [](uv_timer_t* timer) { static_cast<UvHealth*>(timer->data)->go_on(); };
        uv_timer_start(&timer_, call, static_cast<std::uint64_t>(wait / 1ms) + 1, 0);
    }

    void begin(fairlead::HealthProbe what) {
        auto* const probe = new Probe{*this, std::move(what)};  // deleted when both handles are closed
        uv_tcp_init(timer_.loop, &probe->socket);
        uv_timer_init(timer_.loop, &probe->timer);
        probe->socket.data = probe->timer.data = probe->connect.data = probe;
        const auto late = [](uv_timer_t* t) { end(t->data, fairlead::Outcome::timeout); };
        const auto timeout = balancer_.options().health_check_timeout / 1ms;
        uv_timer_start(&probe->timer, late, static_cast<std::uint64_t>(timeout), 0);
        const sockaddr_in address = address_of(probe->what.backend->url);
        const auto* const where = reinterpret_cast<const sockaddr*>(&address);
        uv_tcp_connect(&probe->connect, &probe->socket, where, connected);
    }

    static void connected(uv_connect_t* connect, int error) {
        if (error == UV_ECANCELED) return;
        auto* const probe = static_cast<Probe*>(connect->data);
        if (error != 0) return end(probe, fairlead::Outcome::connect_error);
        auto text = "GET " + *probe->what.backend->health.path + " HTTP/1.1\r\nHost: backend\r\n\r\n";
        const uv_buf_t request = uv_buf_init(text.data(), static_cast<unsigned>(text.size()));
        auto* const stream = reinterpret_cast<uv_stream_t*>(&probe->socket);
        uv_try_write(stream, &request, 1);  // so few bytes fit a new connection
        const auto memory = [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
            *buffer = uv_buf_init(static_cast<Probe*>(handle->data)->answer, sizeof Probe::answer);
        };
        uv_read_start(stream, memory, [](uv_stream_t* from, ssize_t size, const uv_buf_t* buffer) {
            const bool good = size > 12 && std::string_view{buffer->base, 12} == "HTTP/1.1 200";
            end(from->data, good ? fairlead::Outcome::success : fairlead::Outcome::server_error);
        });
    }

    static void end(void* ended, const fairlead::Outcome& outcome) {
        auto* const probe = static_cast<Probe*>(ended);
        auto& owner = probe->owner;
        std::printf("%s: %s\n", probe->what.backend->name.c_str(), fairlead::to_string(outcome.kind));
        if (auto finding = owner.monitor_.complete(probe->what, outcome, Clock::now()))
            owner.balancer_.probed({&*finding, 1});
        owner.go_on();
        const auto closed = [](uv_handle_t* handle) {
            auto* const all = static_cast<Probe*>(handle->data);
            if (--all->open_handles == 0) delete all;
        };
        uv_close(reinterpret_cast<uv_handle_t*>(&probe->socket), closed);
        uv_close(reinterpret_cast<uv_handle_t*>(&probe->timer), closed);
    }

    fairlead::Balancer<>& balancer_;
    fairlead::HealthMonitor monitor_;
    uv_timer_t timer_{};
};

int main() {
    TinyBackend stays, stops;
    fairlead::Options options;
    options.health_check_interval = 50ms;
    fairlead::Balancer<> balancer{{{"a", stays.url()}, {"b", stops.url()}}, options};
    UvHealth health{uv_default_loop(), balancer};
    const auto state_of_b = [&] { return balancer.snapshot()[1].state; };
    for (int i = 0; i < 20; ++i) uv_run(uv_default_loop(), UV_RUN_ONCE);
    stops.stop();
    while (state_of_b() == fairlead::BackendState::healthy) uv_run(uv_default_loop(), UV_RUN_ONCE);
    std::printf("b is %s; requests go to %s\n", to_string(state_of_b()), balancer.select()->name.c_str());
    health.stop();
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
