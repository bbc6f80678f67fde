// A backend for examples that need no more than "200 OK": plain sockets, in a thread of its own.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

/// Of an url "http://127.0.0.1:PORT".
inline sockaddr_in address_of(const std::string& url) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// Answers each connection's first request, whatever it is, and closes. Its port is free again when it goes.
class TinyBackend {
  public:
    TinyBackend() {
        sockaddr_in address = address_of("http://127.0.0.1:0");
        socklen_t size = sizeof address;
        // The interface of sockets wants these very casts.
        if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
            ::listen(listener_, 16) != 0 ||
            ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
            throw std::runtime_error{"cannot listen on 127.0.0.1"};
        }
        port_ = ntohs(address.sin_port);
        thread_ = std::thread{[this] { serve(); }};
    }
    TinyBackend(const TinyBackend&) = delete;
    TinyBackend& operator=(const TinyBackend&) = delete;
    ~TinyBackend() { stop(); }

    /// From now on connections are refused.
    void stop() {
        if (!thread_.joinable()) return;
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  private:
    void serve() const {
        constexpr std::string_view answer =
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        for (;;) {
            const int client = ::accept(listener_, nullptr, nullptr);
            if (client < 0) return;
            char request[4096];
            if (has_something(client) && ::recv(client, request, sizeof request, 0) > 0)
                static_cast<void>(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL));
            ::close(client);
        }
    }

    /// Waits for the client's request, or for `stop`: a client may have connected and wait for it, too.
    bool has_something(int client) const {
        pollfd both[] = {{client, POLLIN, 0}, {listener_, 0, 0}};  // a hang-up is told unasked
        return ::poll(both, 2, -1) > 0 && both[1].revents == 0;
    }

    int listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    std::uint16_t port_ = 0;
    std::thread thread_{};
};
