// An event loop and sockets, as cheap as the kernel allows: what measures must not be what is measured.
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace load {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

/// A descriptor, closed at its end.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) noexcept : fd_{fd} {}
    Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const noexcept { return fd_; }

  private:
    int fd_ = -1;
};

/// On 127.0.0.1, non-blocking, without delay. Each throws `std::system_error`.
Descriptor listen_on_free_port();
Descriptor connect_to(std::uint16_t port);
std::uint16_t port_of(const Descriptor& listener);
/// None when nobody waits to be accepted.
Descriptor accept_from(const Descriptor& listener);

/// Whoever waits for a descriptor. Told once for each change (edge-triggered): it reads until nothing is
/// left.
class Watcher {
  public:
    virtual ~Watcher() = default;
    virtual void ready() = 0;
};

/// One thread's loop. Whatever a `ready` closes lives until all that was reported with it has been handled.
class Loop {
  public:
    Loop();

    /// `watcher` outlives its descriptor's being open.
    void add(const Descriptor& fd, Watcher& watcher);

    void bury(std::unique_ptr<Watcher> watcher) { buried_.push_back(std::move(watcher)); }

    /// Handles what is ready, after waiting for it until `until` at most.
    void step(Time until);

  private:
    Descriptor epoll_;
    std::vector<std::unique_ptr<Watcher>> buried_{};
};

}  // namespace load
