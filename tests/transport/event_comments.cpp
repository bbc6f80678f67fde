// Comments that keep a stream alive: they count as an answer, or they do not.
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/error.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"
#include "transport/event_comments.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

constexpr auto keep_alive = ": ping\n\n";
constexpr Duration brief = 20ms;  // short, and it does not matter how short: nothing else ends these streams

std::string stream_of(std::string_view type, std::string_view begin) {
    std::string text{"HTTP/1.1 200 OK\r\nContent-Type: "};
    return text.append(type).append("\r\n\r\n").append(begin);
}

/// How a stream ends that goes on with comments for ever, or until it has been read for `patience`.
std::error_code end_of(const std::string& begin, bool comments_count, Duration silence = brief,
                       Duration patience = Duration::max()) {
    std::atomic<bool> enough{false};
    RawPeer peer{[&](RawPeer::Connection& c) {
        c.read_request();
        c.send(begin);
        // As fast as they are taken. Relaxed: one comment more does no harm.
        while (!enough.load(std::memory_order_relaxed) && c.send(keep_alive)) {
        }
    }};
    asio::io_context io;
    HttpTransport http{io, {.comments_count = comments_count}};
    auto backend = backend_at(peer.url());
    backend.first_byte_timeout = backend.idle_timeout = silence;
    auto opened = open(io, http, backend, post());
    const auto began = std::chrono::steady_clock::now();
    for (;;) {
        const auto piece = read(io, opened.body, 4096);
        if (piece.error) return piece.error;
        if (std::chrono::steady_clock::now() - began > patience)
            enough.store(true, std::memory_order_relaxed);
    }
}

/// Whether such a stream outlives the silence that it is allowed, which must be as long as the peer may have
/// to wait for the machine: doubled until it is. One that is too short must end with its own error.
bool outlives_silence(const std::string& begin, bool comments_count) {
    for (Duration silence = brief;; silence *= 2) {
        const auto error = end_of(begin, comments_count, silence, 3 * silence);
        if (error == asio::error::eof) return true;
        if (error != TransportErrc::idle_timeout || silence > 1min) return false;
    }
}

}  // namespace

TEST_CASE("comments are told from data in pieces of any size and with any end of line") {
    struct Row {
        std::string_view text;
        bool says;
    };
    for (const Row row : {Row{": ping", false}, Row{": ping\n\n", false}, Row{":\n\n:\n\n", false},
                          Row{": data: x\n", false}, Row{"\n\n", false}, Row{"data: x\n", true},
                          Row{"d", true}, Row{": ping\ndata", true}, Row{" : x\n", true}}) {
        for (const std::string_view end : {"\n", "\r\n", "\r"}) {
            std::string text;
            for (const char c : row.text) c == '\n' ? text.append(end) : text.append(1, c);
            for (std::size_t size = 1; size <= text.size(); ++size) {
                detail::EventComments comments;
                bool says = false;
                for (std::size_t at = 0; at < text.size(); at += size)
                    says = comments.says_something(std::string_view{text}.substr(at, size)) || says;
                INFO(row.text << " in pieces of " << size);
                CHECK(says == row.says);
            }
        }
    }
}

TEST_CASE("a backend that sends nothing but comments is alive, unless it is told otherwise") {
    const auto data = stream_of("text/event-stream", "data: x\n\n");
    const auto none = stream_of("Text/Event-Stream; charset=utf-8", keep_alive);
    CHECK(outlives_silence(data, true));
    CHECK(end_of(data, false) == TransportErrc::idle_timeout);
    CHECK(end_of(none, false) == TransportErrc::first_byte_timeout);
    // What is no stream of events has no comments.
    CHECK(outlives_silence(stream_of("text/plain", "x\n"), false));
}

TEST_CASE("a comment is the first byte of a body, unless comments do not count") {
    const auto end = [](bool comments_count) {
        RawPeer peer{says(stream_of("text/event-stream", keep_alive), false)};
        asio::io_context io;
        HttpTransport http{io, {.comments_count = comments_count}};
        auto backend = backend_at(peer.url());
        backend.first_byte_timeout = backend.idle_timeout = brief;
        auto opened = open(io, http, backend, post());
        return read_all(io, opened.body).error;
    };
    CHECK(end(true) == TransportErrc::idle_timeout);
    CHECK(end(false) == TransportErrc::first_byte_timeout);
}

TEST_CASE("a chunk's size that comes alone does not begin a silence of comments anew") {
    const bool whole = GENERATE(false, true);
    // Each pause is long enough for the size to be read alone, and short for the silence that is allowed,
    // which all of them together are not.
    RawPeer peer{[](RawPeer::Connection& c) {
        c.read_request();
        c.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            "9\r\ndata: x\n\n\r\n");
        for (int i = 0; i < 400; ++i) {
            std::this_thread::sleep_for(brief / 4);
            if (!c.send("8\r\n")) return;
            std::this_thread::sleep_for(brief / 4);
            if (!c.send(": ping\n\n\r\n")) return;
        }
    }};
    asio::io_context io;
    HttpTransport http{io, {.comments_count = false}};
    auto backend = backend_at(peer.url());
    backend.idle_timeout = 10 * brief;
    if (whole) {
        CHECK(send(io, http, backend, post()).error == TransportErrc::idle_timeout);
    } else {
        auto opened = open(io, http, backend, post());
        CHECK(read_all(io, opened.body).error == TransportErrc::idle_timeout);
    }
}

TEST_CASE("comments do not end a silence in an answer that is collected whole, either") {
    const auto sent = [](HttpTransportOptions options, Duration silence) {
        RawPeer peer{[](RawPeer::Connection& c) {
            c.read_request();
            c.send(stream_of("text/event-stream", "data: x\n\n"));
            while (c.send(keep_alive)) {
            }
        }};
        asio::io_context io;
        HttpTransport http{io, std::move(options)};
        auto backend = backend_at(peer.url());
        backend.idle_timeout = silence;
        return send(io, http, backend, post()).error;
    };
    CHECK(sent({.max_response_bytes = 1024}, 1min) == TransportErrc::response_too_large);
    CHECK(sent({.comments_count = false}, brief) == TransportErrc::idle_timeout);
}
