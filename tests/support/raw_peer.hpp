// A peer on 127.0.0.1 that says, byte for byte, what a test has written down for it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace fairlead::test {

/// Accepts connections and runs the script for each in a thread of its own, until it goes.
class RawPeer {
  public:
    /// One accepted connection, blocking. Reads return "" when the other side has closed, or the peer goes.
    class Connection {
      public:
        Connection(int socket, int number) : socket_{socket}, number_{number} {}
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection() { close(); }

        int number() const noexcept { return number_; }  ///< 0 for the first that was accepted
        int socket() const noexcept { return socket_; }

        bool send(std::string_view bytes) {
            while (!bytes.empty()) {
                const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (sent <= 0) return false;
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            }
            return true;
        }

        /// Head and body (by Content-Length) of the next request; "" when there is none.
        std::string read_request() {
            for (;;) {
                const auto end = buffer_.find("\r\n\r\n");
                if (end != std::string::npos) {
                    std::size_t size = end + 4;
                    const auto at = buffer_.find("Content-Length: ");
                    if (at < end) size += std::stoul(buffer_.substr(at + 16));
                    while (buffer_.size() < size) {
                        if (!read_some()) return {};
                    }
                    auto request = buffer_.substr(0, size);
                    buffer_.erase(0, size);
                    return request;
                }
                if (!read_some()) return {};
            }
        }

        /// Waits until the other side closes.
        void wait_for_close() {
            while (read_some()) buffer_.clear();
        }

        void close() {
            if (socket_ >= 0) ::close(std::exchange(socket_, -1));
        }

        /// A reset instead of an orderly end.
        void reset() {
            const linger now{1, 0};
            ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close();
        }

      private:
        bool read_some() {
            char bytes[4096];
            const auto got = ::recv(socket_, bytes, sizeof bytes, 0);
            if (got > 0) buffer_.append(bytes, static_cast<std::size_t>(got));
            return got > 0;
        }

        int socket_;
        int number_;
        std::string buffer_{};
    };

    using Script = std::function<void(Connection&)>;

    /// `port`: one that a peer had before, to come back on it; 0 for a free one.
    explicit RawPeer(Script script, std::uint16_t port = 0) : script_{std::move(script)} {
        listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
        const int on = 1;
        ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        // The interface of sockets wants these very casts.
        if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
            ::listen(listener_, 64) != 0 ||
            ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
            throw std::runtime_error{"cannot listen on 127.0.0.1"};
        }
        port_ = ntohs(address.sin_port);
        acceptor_ = std::thread{[this] { accept(); }};
    }
    RawPeer(const RawPeer&) = delete;
    RawPeer& operator=(const RawPeer&) = delete;

    ~RawPeer() {
        ::shutdown(listener_, SHUT_RDWR);
        acceptor_.join();
        ::close(listener_);
        for (auto& each : threads_) each.join();
    }

    std::uint16_t port() const noexcept { return port_; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

    /// How many connections were accepted so far.
    int connections() const noexcept { return accepted_.load(std::memory_order_acquire); }

    /// How many scripts have ended, their connections closed.
    void wait_for_ended(int count) {
        std::unique_lock lock{mutex_};
        ended_changed_.wait(lock, [&] { return ended_ >= count; });
    }

  private:
    void accept() {
        for (;;) {
            const int socket = ::accept(listener_, nullptr, nullptr);
            if (socket < 0) break;
            const std::lock_guard lock{mutex_};
            const int number = accepted_.fetch_add(1, std::memory_order_release);
            open_.push_back(socket);
            threads_.emplace_back([this, socket, number] {
                {
                    Connection connection{socket, number};
                    script_(connection);
                    const std::lock_guard closing{mutex_};
                    std::erase(open_, socket);
                    connection.close();
                    ++ended_;
                }
                ended_changed_.notify_all();
            });
        }
        // Wakes the scripts that still read.
        const std::lock_guard lock{mutex_};
        for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
    }

    Script script_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<int> accepted_{0};
    std::mutex mutex_{};
    std::condition_variable ended_changed_{};
    int ended_ = 0;
    std::vector<int> open_{};
    std::vector<std::thread> threads_{};
    std::thread acceptor_{};
};

}  // namespace fairlead::test
