// Peers that misbehave: each in its way a distinct error, never a hang.
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <future>
#include <string>

#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"
#include "support/silent_listener.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;
using E = TransportErrc;

namespace {

std::error_code error_of(RawPeer::Script script, void (*change)(BackendConfig&) = nullptr,
                         Deadline deadline = {}) {
    RawPeer peer{std::move(script)};
    asio::io_context io;
    HttpTransport http{io};
    auto backend = backend_at(peer.url());
    if (change != nullptr) change(backend);
    const auto sent = send(io, http, backend, post(), deadline);
    CHECK(sent.calls == 1);
    CHECK(http.idle_connections() == 0);
    return sent.error;
}

/// Short, and it does not matter how short: nothing else ends these exchanges.
constexpr auto soon = 20ms;

Deadline deadline_soon() { return Deadline::in(soon, std::chrono::steady_clock::now()); }

}  // namespace

TEST_CASE("each bad answer has its own error") {
    CHECK(error_of(says("")) == E::closed_before_response);
    CHECK(error_of(says("SSH-2.0-OpenSSH_9.2\r\n", false)) == E::not_http);
    CHECK(error_of(says("HTTP/1.1 200 OK\r\nContent-Le")) == E::closed_in_head);
    CHECK(error_of(says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")) == E::truncated_length);
    CHECK(error_of(says("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", false)) == E::bad_content_length);
    CHECK(error_of(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")) ==
          E::truncated_chunks);
    CHECK(error_of(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false)) ==
          E::bad_chunk_size);
    CHECK(error_of(says("HTTP/1.1 101 Switching Protocols\r\n\r\n", false)) == E::unexpected_upgrade);
}

TEST_CASE("a head without an end is refused at the limit") {
    CHECK(error_of([](RawPeer::Connection& c) {
              c.read_request();
              c.send("HTTP/1.1 200 OK\r\n");
              while (c.send("X-Again: and again\r\n")) {
              }
          }) == E::too_many_headers);
    CHECK(error_of([](RawPeer::Connection& c) {
              c.read_request();
              c.send("HTTP/1.1 200 OK\r\nX: ");
              while (c.send("and on and on and on")) {
              }
          }) == E::head_too_large);
}

TEST_CASE("interim responses without end are refused, and others are answered meanwhile") {
    RawPeer endless{[](RawPeer::Connection& c) {
        c.read_request();
        while (c.send("HTTP/1.1 100 Continue\r\n\r\n")) {
        }
    }};
    RawPeer good{always(answer("ok"))};
    asio::io_context io;
    HttpTransport http{io, {.one_thread = GENERATE(false, true)}};
    std::error_code refused;
    http.async_send(backend_at(endless.url()), post(), {},
                    [&](std::error_code error, const HttpResponse&) { refused = error; });
    CHECK(send(io, http, backend_at(good.url()), post()).response.body == "ok");
    CHECK(refused == E::too_many_interim_responses);
}

TEST_CASE("a reset is told apart from an end") {
    asio::io_context io;
    HttpTransport http{io};
    RawPeer resetting{[](RawPeer::Connection& c) {
        c.read_request();
        c.reset();
    }};
    const auto error = send(io, http, backend_at(resetting.url()), post()).error;
    CHECK(error == E::connection_reset);
}

TEST_CASE("a backend that is not there has its own errors") {
    asio::io_context io;
    HttpTransport http{io};
    std::string gone;
    {
        asio::ip::tcp::acceptor nobody{io, {asio::ip::address_v4::loopback(), 0}};
        gone = "http://127.0.0.1:" + std::to_string(nobody.local_endpoint().port());
    }
    CHECK(send(io, http, backend_at(gone), post()).error == E::connection_refused);
    // RFC 6761: never resolves.
    CHECK(send(io, http, backend_at("http://no-such-host.invalid"), post()).error == E::name_not_found);
}

TEST_CASE("an outcome tells whether any of the request was sent") {
    for (const auto before : {E::name_not_found, E::connection_refused, E::unreachable, E::connect_timeout,
                              E::tls_failed, E::certificate_refused}) {
        CHECK(HttpTransport::outcome(before, {}).unsent);
    }
    for (const auto after : {E::write_failed, E::closed_before_response, E::connection_reset,
                             E::response_timeout, E::bad_status}) {
        CHECK_FALSE(HttpTransport::outcome(after, {}).unsent);
    }
}

TEST_CASE("each silence has its own error") {
    const auto silent = says("", false);
    const auto head = says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", false);
    const auto part = says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart", false);
    CHECK(error_of(silent, [](BackendConfig& b) { b.timeout = soon; }) == E::response_timeout);
    CHECK(error_of(head, [](BackendConfig& b) { b.first_byte_timeout = soon; }) == E::first_byte_timeout);
    CHECK(error_of(part, [](BackendConfig& b) { b.idle_timeout = soon; }) == E::idle_timeout);
    CHECK(error_of(part, [](BackendConfig& b) { b.total_timeout = soon; }) == E::total_timeout);
    CHECK(error_of(silent, nullptr, deadline_soon()) == Errc::deadline_passed);
    CHECK(error_of(silent, nullptr, Deadline{Time{}}) == Errc::deadline_passed);
    CHECK(HttpTransport::outcome(E::idle_timeout, {}).kind == Outcome::timeout);
}

TEST_CASE("without a limit of its own a silence behind the head may last as long as timeout") {
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    const auto end = [](const std::string& said, std::error_code wanted) {
        RawPeer peer{says(said, false)};
        asio::io_context io;
        HttpTransport http{io};
        auto backend = backend_at(peer.url());
        REQUIRE_FALSE((backend.first_byte_timeout || backend.idle_timeout));
        // What comes before the silence must come in time, too, and how long that takes only the machine
        // knows: doubled until it does. Without any limit, or with that of another backend, the deadline
        // would be first.
        for (backend.timeout = soon; backend.timeout < 5s; backend.timeout *= 2) {
            const auto error =
                send(io, http, backend, post(), Deadline::in(10s, std::chrono::steady_clock::now())).error;
            CHECK(is_timeout(error));
            if (error == wanted) return true;
        }
        return false;
    };
    CHECK(end(head, E::first_byte_timeout));
    CHECK(end(head + "part", E::idle_timeout));
}

TEST_CASE("a backend that takes no bytes is given up within timeout") {
    RawPeer peer{[](RawPeer::Connection& c) {
        char byte = 0;
        // Peeking sees the end of the connection without taking anything from it.
        while (::recv(c.socket(), &byte, 1, MSG_PEEK | MSG_WAITALL) > 0 && c.send("")) {
            pollfd closed{c.socket(), POLLRDHUP, 0};
            ::poll(&closed, 1, -1);
            return;
        }
    }};
    asio::io_context io;
    HttpTransport http{io};
    auto backend = backend_at(peer.url());
    backend.timeout = soon;
    CHECK(send(io, http, backend, post(std::string(std::size_t{64} << 20, 'x'))).error == E::write_timeout);
}

TEST_CASE("a connection that nobody takes ends with connect_timeout") {
    asio::io_context io;
    const SilentListener busy{io, {asio::ip::address_v4::loopback(), 0}};
    HttpTransport http{io};
    auto backend = backend_at("http://127.0.0.1:" + std::to_string(busy.port()));
    backend.connect_timeout = soon;
    const auto sent = send(io, http, backend, post());
    CHECK(sent.error == E::connect_timeout);
    CHECK(HttpTransport::outcome(sent.error, {}).kind == Outcome::timeout);
}

TEST_CASE("a TLS handshake that gets no answer ends with connect_timeout") {
    RawPeer peer{[](RawPeer::Connection& c) { c.wait_for_close(); }};
    asio::io_context io;
    HttpTransport http{io};
    auto backend = backend_at("https://127.0.0.1:" + std::to_string(peer.port()));
    backend.connect_timeout = soon;
    CHECK(send(io, http, backend, post()).error == E::connect_timeout);
}

TEST_CASE("a broken stream gives what came and then says why") {
    const auto ends = [](RawPeer::Script script, void (*change)(BackendConfig&) = nullptr) {
        RawPeer peer{std::move(script)};
        asio::io_context io;
        HttpTransport http{io};
        auto backend = backend_at(peer.url());
        if (change != nullptr) change(backend);
        auto opened = open(io, http, backend, post());
        REQUIRE_FALSE(opened.error);
        const auto all = read_all(io, opened.body);
        CHECK(all.data == "part");
        CHECK(read(io, opened.body).error == all.error);
        return all.error;
    };
    const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n";
    CHECK(ends(says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")) == E::truncated_length);
    CHECK(ends(says(chunked)) == E::truncated_chunks);
    CHECK(ends(says("HTTP/1.1 200 OK\r\n\r\npart")) == asio::error::eof);
    CHECK(ends(says(chunked, false), [](BackendConfig& b) { b.idle_timeout = soon; }) == E::idle_timeout);
}

TEST_CASE("total_timeout ends a stream in its middle, too") {
    RawPeer peer{says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", false)};
    asio::io_context io;
    HttpTransport http{io};
    // It must be long enough for the head and the first piece, which only the machine knows: doubled until it
    // is. An attempt that was too short must end with the same error.
    for (Duration total = soon;; total *= 2) {
        REQUIRE(total < 60s);
        auto backend = backend_at(peer.url());
        backend.total_timeout = total;
        auto opened = open(io, http, backend, post());
        const auto all = opened.error ? Read{opened.error} : read_all(io, opened.body);
        CHECK(all.error == E::total_timeout);
        if (all.data == "part") break;
    }
}

TEST_CASE("a mistake in the framing behind good data is told after the data") {
    RawPeer peer{says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart!!", false)};
    asio::io_context io;
    HttpTransport http{io};
    auto opened = open(io, http, backend_at(peer.url()), post());
    if (opened.error) {
        CHECK(opened.error == E::bad_chunk_end);  // it came with the head
    } else {
        CHECK(read_all(io, opened.body).error == E::bad_chunk_end);
    }
}

TEST_CASE(
    "a mistake in the framing of a piece is told after the good data in front of it, however it is read") {
    for (const bool in_pieces : {false, true}) {
        std::promise<void> head_seen;
        RawPeer peer{[&](RawPeer::Connection& c) {
            c.read_request();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            head_seen.get_future().wait();
            c.send("4\r\npart\r\nzz\r\n");
            c.wait_for_close();
        }};
        asio::io_context io;
        HttpTransport http{io};
        auto opened = open(io, http, backend_at(peer.url()), post());
        head_seen.set_value();
        REQUIRE_FALSE(opened.error);
        std::string data;
        std::error_code end;
        while (!end) {
            if (!in_pieces) {
                const auto some = read(io, opened.body);
                data += some.data;
                end = some.error;
                continue;
            }
            bool done = false;
            opened.body.async_read_piece([&](std::error_code error, const HttpPiece& piece) {
                data += piece.view();
                end = error;
                done = true;
            });
            io.restart();
            while (!done) io.run_one();
        }
        CHECK(data == "part");
        CHECK(end == E::bad_chunk_size);
        CHECK(read(io, opened.body).error == E::bad_chunk_size);
        CHECK(http.idle_connections() == 0);
    }
}

TEST_CASE("silence counts only while somebody waits for a piece") {
    std::promise<void> head_seen;
    std::promise<void> first_read;
    std::promise<void> all_sent;
    RawPeer peer{[&](RawPeer::Connection& c) {
        c.read_request();
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        head_seen.get_future().wait();
        c.send("piece");
        first_read.get_future().wait();
        c.send("end");
        all_sent.set_value();
        c.wait_for_close();
    }};
    asio::io_context io;
    HttpTransport http{io};
    auto backend = backend_at(peer.url());
    backend.idle_timeout = soon;
    auto opened = open(io, http, backend, post());
    REQUIRE_FALSE(opened.error);
    std::string body;
    head_seen.set_value();
    while (body.size() < 5) {
        const auto piece = read(io, opened.body, 3);
        if (piece.error) first_read.set_value();  // the peer must not wait for ever
        REQUIRE_FALSE(piece.error);
        body += piece.data;
    }
    first_read.set_value();
    all_sent.get_future().wait();
    // The caller is busy elsewhere for several times the limit.
    asio::steady_timer busy{io, 5 * soon};
    bool over = false;
    busy.async_wait([&](std::error_code) { over = true; });
    while (!over) io.run_one();
    // What has come meanwhile is ready, and the loop sees a ready socket before a timer.
    const auto rest = read_all(io, opened.body);
    CHECK(body + rest.data == "pieceend");
    CHECK(rest.error == asio::error::eof);
}
