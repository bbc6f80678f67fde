// Health checks on a loop that is not Asio's: bare epoll, sockets and one timerfd. `HealthMonitor` says which
// probes to send and when to come back; everything that touches the system is here.
#include <fairlead/fairlead.hpp>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tiny_backend.hpp"

using Clock = std::chrono::steady_clock;

/// Drives the monitor of one balancer. One thread.
class EpollHealth {
  public:
    explicit EpollHealth(fairlead::Balancer<>& balancer)
        : balancer_{balancer}, monitor_{balancer.options(), std::random_device{}()} {
        watch(timer_, EPOLLIN);
        std::vector<fairlead::HealthTarget> targets;
        for (const auto& each : balancer_.snapshot())
            targets.push_back({each.config, each.incarnation, each.probe_ok});
        monitor_.set_members(targets, Clock::now());  // again after every change of the fleet
    }

    /// One turn of the loop: sends what is due, waits for an answer or the next deadline.
    void turn() {
        for (const auto& probe : monitor_.due(Clock::now())) begin(probe);
        set_timer();
        epoll_event event{};
        if (::epoll_wait(loop_, &event, 1, -1) == 1 && event.data.fd != timer_)
            go_on(event.data.fd, event.events);
        for (auto it = open_.begin(); it != open_.end();) {
            const auto each = it++;
            if (each->second.until <= Clock::now()) finish(each->first, fairlead::Outcome::timeout);
        }
    }

  private:
    struct Open {
        fairlead::HealthProbe probe;
        fairlead::Time until;
    };

    void begin(const fairlead::HealthProbe& probe) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        const sockaddr_in address = address_of(probe.backend->url);
        open_.emplace(fd, Open{probe, Clock::now() + balancer_.options().health_check_timeout});
        const auto* const where = reinterpret_cast<const sockaddr*>(&address);
        if (::connect(fd, where, sizeof address) != 0 && errno != EINPROGRESS)
            return finish(fd, fairlead::Outcome::connect_error);
        watch(fd, EPOLLOUT);
    }

    void go_on(int fd, std::uint32_t events) {
        if (events == EPOLLOUT) {  // connected
            const auto request =
                "GET " + *open_.at(fd).probe.backend->health.path + " HTTP/1.1\r\nHost: backend\r\n\r\n";
            ::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
            return watch(fd, EPOLLIN);
        }
        char answer[256];
        const auto size = ::recv(fd, answer, sizeof answer, 0);
        const bool good = size > 12 && std::string_view{answer, 12} == "HTTP/1.1 200";
        finish(fd, good ? fairlead::Outcome::success : fairlead::Outcome::connect_error);
    }

    void finish(int fd, const fairlead::Outcome& outcome) {
        ::close(fd);
        const auto probe = open_.extract(fd).mapped().probe;
        std::printf("%s: %s\n", probe.backend->name.c_str(), fairlead::to_string(outcome.kind));
        if (auto finding = monitor_.complete(probe, outcome, Clock::now())) balancer_.probed({&*finding, 1});
    }

    void set_timer() const {
        fairlead::Time next = monitor_.next_deadline();
        for (const auto& [fd, each] : open_) next = std::min(next, each.until);
        const auto wait = std::max(next - Clock::now(), fairlead::Duration{1});  // 0 would stop the timer
        itimerspec when{};
        when.it_value.tv_sec = static_cast<time_t>(wait / std::chrono::seconds{1});
        when.it_value.tv_nsec = static_cast<long>((wait % std::chrono::seconds{1}).count());
        ::timerfd_settime(timer_, 0, &when, nullptr);
    }

    void watch(int fd, std::uint32_t events) const {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        if (::epoll_ctl(loop_, EPOLL_CTL_ADD, fd, &event) != 0) ::epoll_ctl(loop_, EPOLL_CTL_MOD, fd, &event);
    }

    fairlead::Balancer<>& balancer_;
    fairlead::HealthMonitor monitor_;
    std::map<int, Open> open_{};  // by socket
    int loop_ = ::epoll_create1(0);
    int timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
};

int main() {
    TinyBackend stays, stops;
    fairlead::Options options;
    options.health_check_interval = std::chrono::milliseconds{50};
    fairlead::Balancer<> balancer{{{"a", stays.url()}, {"b", stops.url()}}, options};
    EpollHealth health{balancer};
    const auto state_of_b = [&] { return balancer.snapshot()[1].state; };
    for (int i = 0; i < 20; ++i) health.turn();
    stops.stop();
    while (state_of_b() == fairlead::BackendState::healthy) health.turn();
    std::printf("b is %s; requests go to %s\n", to_string(state_of_b()), balancer.select()->name.c_str());
}
