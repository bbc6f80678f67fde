// A backend that streams much, as fast as it is read, and knows how much of it was taken.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "support/raw_peer.hpp"

namespace test {

/// Answers every request with the same long stream of events, which can be told apart: no piece of it can be
/// missing, doubled or out of place unseen.
class Flood {
  public:
    /// What the system may take in for a stream before anybody reads it, about; it doubles it.
    static constexpr int send_buffer = 64 * 1024;

    /// Streams of `size` bytes, rounded up to whole events.
    explicit Flood(std::uint64_t size) : events_{(size + event_size - 1) / event_size} {}

    std::string url() const { return peer_.url(); }

    /// Bytes that the system took, of all streams so far. Never falls.
    std::uint64_t written() const noexcept { return written_.load(std::memory_order_relaxed); }
    int begun() const noexcept { return begun_.load(std::memory_order_relaxed); }
    /// Streams whose other side closed before all was written.
    int left() const noexcept { return left_.load(std::memory_order_relaxed); }

    /// Appends one event of the stream: its number, and a filling of its own.
    static void append_event(std::string& to, std::size_t number) {
        const auto begin = to.size();
        to.append("data: ").append(std::to_string(number)).append(" ");
        to.resize(begin + event_size - 2, static_cast<char>('a' + number % 26));
        to.append("\n\n");
    }

    /// Whether `body` is the whole stream and nothing else.
    bool is_whole(std::string_view body) const {
        std::string wanted;
        for (std::size_t number = 0; number < events_; ++number) {
            wanted.clear();
            append_event(wanted, number);
            if (!body.starts_with(wanted)) return false;
            body.remove_prefix(event_size);
        }
        return body == last_event;
    }

    std::uint64_t size() const noexcept { return events_ * event_size; }

  private:
    void serve(fairlead::test::RawPeer::Connection& connection) {
        ::setsockopt(connection.socket(), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
        const int on = 1;  // no event waits for the one before to be acknowledged
        ::setsockopt(connection.socket(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        while (!connection.read_request().empty()) {
            begun_.fetch_add(1, std::memory_order_relaxed);
            if (stream(connection)) continue;
            left_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
    }

    bool stream(fairlead::test::RawPeer::Connection& connection) {
        if (!connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n"))
            return false;
        std::string chunk;  // its memory serves all: what a test counts is not the backend's
        for (std::size_t number = 0; number < events_; ++number) {
            chunk.assign("4000\r\n");
            append_event(chunk, number);
            chunk.append("\r\n");
            if (!connection.send(chunk)) return false;
            written_.fetch_add(event_size, std::memory_order_relaxed);
        }
        return connection.send("e\r\n" + std::string{last_event} + "\r\n0\r\n\r\n");
    }

    static constexpr std::size_t event_size = 0x4000;  // 16 KiB, as the chunks' size lines say
    static constexpr std::string_view last_event = "data: [DONE]\n\n";

    const std::size_t events_;
    // Counts that stand for themselves, read while it runs: relaxed.
    std::atomic<std::uint64_t> written_{0};
    std::atomic<int> begun_{0};
    std::atomic<int> left_{0};
    fairlead::test::RawPeer peer_{[this](auto& connection) { serve(connection); }};
};

}  // namespace test
