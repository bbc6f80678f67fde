// Short ways to send one request and wait for its end.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/io_context.hpp>

#include <fairlead/transport/http_transport.hpp>

#include "support/raw_peer.hpp"

namespace fairlead::test {

inline BackendConfig backend_at(std::string url) {
    BackendConfig backend;
    backend.name = "b";
    backend.url = std::move(url);
    return backend;
}

inline HttpRequest post(std::string body = "{}") { return {"POST", "/v1/chat/completions", std::move(body)}; }
inline HttpRequest get() { return {"GET", "/v1/models"}; }

inline std::string answer(std::string_view body, std::string_view more = "") {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string{more} +
           "\r\n" + std::string{body};
}

/// Answers every request with `text` until the other side closes.
inline RawPeer::Script always(std::string text) {
    return [text = std::move(text)](RawPeer::Connection& c) {
        while (!c.read_request().empty() && c.send(text)) {
        }
    };
}

/// Reads the request, says its text, then closes or waits.
inline RawPeer::Script says(std::string text, bool closes = true) {
    return [text = std::move(text), closes](RawPeer::Connection& c) {
        c.read_request();
        c.send(text);
        if (!closes) c.wait_for_close();
    };
}

struct Sent {
    int calls = 0;
    std::error_code error{};
    HttpResponse response{};
};

/// Runs the loop until the exchange is over. An idle pool does not keep it running.
inline Sent send(asio::io_context& io, HttpTransport& http, const BackendConfig& backend, HttpRequest request,
                 Deadline deadline = {}) {
    Sent sent;
    http.async_send(backend, std::move(request), deadline, [&](std::error_code error, HttpResponse response) {
        ++sent.calls;
        sent.error = error;
        sent.response = std::move(response);
    });
    io.restart();
    io.run();
    return sent;
}

struct Opened {
    std::error_code error{};
    HttpResponse head{};
    HttpBody body{};
};

inline Opened open(asio::io_context& io, HttpTransport& http, const BackendConfig& backend,
                   HttpRequest request, Deadline deadline = {}) {
    Opened opened;
    bool done = false;
    http.async_open(backend, std::move(request), deadline,
                    [&](std::error_code error, HttpResponse head, HttpBody body) {
                        opened = {error, std::move(head), std::move(body)};
                        done = true;
                    });
    io.restart();
    // The timer of an open stream keeps the loop running.
    while (!done) io.run_one();
    return opened;
}

struct Read {
    std::error_code error{};
    std::string data{};
};

inline Read read(asio::io_context& io, HttpBody& body, std::size_t size = 4096) {
    Read result;
    result.data.resize(size);
    bool done = false;
    body.async_read(asio::buffer(result.data), [&](std::error_code error, std::size_t count) {
        result.error = error;
        result.data.resize(count);
        done = true;
    });
    io.restart();
    while (!done) io.run_one();
    return result;
}

/// The whole body, and how it ended.
inline Read read_all(asio::io_context& io, HttpBody& body, std::size_t size = 4096) {
    Read all;
    for (;;) {
        auto piece = read(io, body, size);
        all.data += piece.data;
        all.error = piece.error;
        if (piece.error) return all;
    }
}

}  // namespace fairlead::test
