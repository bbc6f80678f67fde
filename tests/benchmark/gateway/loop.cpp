// epoll and the few socket calls that it needs.
#include "loop.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace load {
namespace {

int check(int result, const char* what) {
    if (result < 0) throw std::system_error{errno, std::generic_category(), what};
    return result;
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// The one cast that the interface of sockets asks for.
template <class Address>
sockaddr* as_sockaddr(Address& address) {
    return reinterpret_cast<sockaddr*>(&address);
}

Descriptor new_socket() {
    Descriptor fd{check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")};
    return fd;
}

void no_delay(const Descriptor& fd) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// More than thousands of streams that are opened at once.
constexpr int backlog = 8192;

}  // namespace

Descriptor listen_on_free_port() {
    auto fd = new_socket();
    auto address = loopback(0);
    check(::bind(fd.get(), as_sockaddr(address), sizeof address), "bind");
    check(::listen(fd.get(), backlog), "listen");
    return fd;
}

std::uint16_t port_of(const Descriptor& listener) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    check(::getsockname(listener.get(), as_sockaddr(address), &size), "getsockname");
    return ntohs(address.sin_port);
}

Descriptor connect_to(std::uint16_t port) {
    auto fd = new_socket();
    no_delay(fd);
    // Closed by a reset: thousands of closed connections keep no port.
    const linger reset{1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    auto address = loopback(port);
    if (::connect(fd.get(), as_sockaddr(address), sizeof address) < 0 && errno != EINPROGRESS) {
        check(-1, "connect");
    }
    return fd;
}

Descriptor accept_from(const Descriptor& listener) {
    Descriptor fd{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (fd.get() >= 0) {
        no_delay(fd);
    } else if (errno != EAGAIN && errno != ECONNABORTED) {
        check(-1, "accept");
    }
    return fd;
}

Loop::Loop() : epoll_{check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")} {}

void Loop::add(const Descriptor& fd, Watcher& watcher) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &watcher;
    check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event), "epoll_ctl");
}

void Loop::step(Time until) {
    using std::chrono::nanoseconds;
    const auto wait = std::max(nanoseconds{0}, std::chrono::duration_cast<nanoseconds>(until - Clock::now()));
    timespec limit{};
    limit.tv_sec = wait.count() / 1'000'000'000;
    limit.tv_nsec = wait.count() % 1'000'000'000;
    std::array<epoll_event, 256> events;
    const int count =
        ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &limit, nullptr);
    if (count < 0 && errno != EINTR) check(-1, "epoll_pwait2");
    for (int i = 0; i < count; ++i)
        static_cast<Watcher*>(events[static_cast<std::size_t>(i)].data.ptr)->ready();
    buried_.clear();
}

}  // namespace load
