// A client for tests that sends bytes as they are, right or wrong, and says what came back.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace test {

/// One blocking connection to a server on 127.0.0.1. A read that gets nothing for 20 s throws: a test that
/// would hang fails instead.
class RawClient {
  public:
    /// Whoever gives a `receive_buffer` has about the double of it, however fast the server sends.
    explicit RawClient(const std::string& url, int receive_buffer = 0) {
        const auto port = std::stoi(url.substr(url.rfind(':') + 1));
        socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
        const timeval patience{20, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (receive_buffer > 0)
            ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
        // The interface of sockets wants this very cast.
        if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            ::close(socket_);
            throw std::runtime_error{"cannot connect to " + url};
        }
    }
    RawClient(RawClient&& other) noexcept
        : socket_{std::exchange(other.socket_, -1)},
          buffer_{std::move(other.buffer_)},
          was_reset_{other.was_reset_} {}
    RawClient& operator=(RawClient&& other) noexcept {
        std::swap(socket_, other.socket_);
        std::swap(buffer_, other.buffer_);
        std::swap(was_reset_, other.was_reset_);
        return *this;
    }
    ~RawClient() { close(); }

    void close() {
        if (socket_ >= 0) ::close(std::exchange(socket_, -1));
    }

    RawClient& send(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return *this;  // the server has closed; what it answered can still be read
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return *this;
    }

    /// Whether the server still takes bytes: false once it has closed its side for reading, too.
    bool is_taken(std::string_view bytes) {
        return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0;
    }

    /// Whether something has come that was not read yet, the connection's end included. Does not wait.
    bool has_news() const {
        char byte = 0;
        return ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
               (errno != EAGAIN && errno != EWOULDBLOCK);
    }

    /// Everything up to and including `end`; what came before the connection closed if that was sooner.
    std::string read_until(std::string_view end) {
        for (;;) {
            if (const auto at = buffer_.find(end); at != std::string::npos) return take(at + end.size());
            if (!read_some()) return take(buffer_.size());
        }
    }

    /// Everything until the server closes.
    std::string read_all() {
        while (read_some()) {
        }
        return take(buffer_.size());
    }

    /// Whether the last read found the connection reset, not closed in order.
    bool was_reset() const noexcept { return was_reset_; }

    std::string read_bytes(std::size_t count) {
        while (buffer_.size() < count && read_some()) {
        }
        return take(std::min(count, buffer_.size()));
    }

    /// One response whose head tells its length, or that is chunked: head and body as they came.
    std::string read_response(bool with_body = true) {
        auto response = read_until("\r\n\r\n");
        if (!with_body) return response;
        if (response.find("Transfer-Encoding: chunked") != std::string::npos)
            return response + read_until("0\r\n\r\n");
        const auto at = response.find("Content-Length: ");
        if (at == std::string::npos) return response;
        return response + read_bytes(std::stoul(response.substr(at + 16)));
    }

  private:
    bool read_some() {
        char bytes[4096];
        ssize_t count = 0;
        // A socket with a time-out is not read on by itself when the process was stopped for a while.
        do count = ::recv(socket_, bytes, sizeof bytes, 0);
        while (count < 0 && errno == EINTR);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            throw std::runtime_error{"the server is silent"};
        was_reset_ = count < 0 && errno == ECONNRESET;
        if (count <= 0) return false;
        buffer_.append(bytes, static_cast<std::size_t>(count));
        return true;
    }

    std::string take(std::size_t count) {
        auto taken = buffer_.substr(0, count);
        buffer_.erase(0, count);
        return taken;
    }

    int socket_ = -1;
    std::string buffer_{};
    bool was_reset_ = false;
};

/// A POST with a body and its length.
inline std::string post(std::string_view target, std::string_view body, std::string_view more_headers = "") {
    std::string request{"POST "};
    request.append(target).append(" HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n");
    request.append(more_headers)
        .append("Content-Length: ")
        .append(std::to_string(body.size()))
        .append("\r\n\r\n");
    return request.append(body);
}

inline std::string get(std::string_view target) {
    return std::string{"GET "}.append(target).append(" HTTP/1.1\r\nHost: test\r\n\r\n");
}

/// The status of a response; 0 when there is none.
inline int status_of(std::string_view response) {
    return response.starts_with("HTTP/1.1 ") ? std::stoi(std::string{response.substr(9, 3)}) : 0;
}

/// What follows the head, with the framing of chunks taken away.
inline std::string body_of(std::string_view response) {
    const auto end = response.find("\r\n\r\n");
    if (end == std::string_view::npos) return {};
    const auto head = response.substr(0, end + 2);
    auto rest = response.substr(end + 4);
    if (head.find("Transfer-Encoding: chunked") == std::string_view::npos) return std::string{rest};
    std::string body;
    while (!rest.empty()) {
        const auto line = rest.find("\r\n");
        const auto size = std::stoul(std::string{rest.substr(0, line)}, nullptr, 16);
        if (size == 0) break;
        body.append(rest.substr(line + 2, size));
        rest.remove_prefix(line + 2 + size + 2);
    }
    return body;
}

}  // namespace test
