// Peers that misbehave: each in its way a distinct error, never a hang; and cancellation.
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;
using E = TransportErrc;

namespace {

/// Reads the request, says its text, then closes or waits.
RawPeer::Script says(std::string text, bool closes = true) {
    return [text = std::move(text), closes](RawPeer::Connection& c) {
        c.read_request();
        c.send(text);
        if (!closes) c.wait_for_close();
    };
}

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

template <class Token>
auto async_send(HttpTransport& http, const BackendConfig& backend, HttpRequest request, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, HttpResponse)>(
        [&http](auto handler, const BackendConfig& to, HttpRequest what) {
            http.async_send(to, std::move(what), Deadline{}, std::move(handler));
        },
        token, backend, std::move(request));
}

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
    CHECK(ends(says(chunked, false), [](BackendConfig& b) { b.total_timeout = 200ms; }) == E::total_timeout);
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

TEST_CASE("cancelling ends an exchange at once, wherever it is") {
    for (const auto* text : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"}) {
        std::promise<void> said;
        RawPeer peer{[&](RawPeer::Connection& c) {
            c.read_request();
            c.send(text);
            said.set_value();
            c.wait_for_close();
        }};
        asio::io_context io;
        HttpTransport http{io};
        asio::cancellation_signal signal;
        int calls = 0;
        bool inside = false;
        http.async_send(backend_at(peer.url()), post(), Deadline{},
                        asio::bind_cancellation_slot(signal.slot(), [&](std::error_code error, HttpResponse) {
                            CHECK(error == Errc::cancelled);
                            CHECK_FALSE(inside);
                            ++calls;
                        }));
        auto ready = said.get_future();
        while (ready.wait_for(0s) != std::future_status::ready) io.poll();
        io.poll();
        inside = true;
        signal.emit(asio::cancellation_type::terminal);
        inside = false;
        io.run();
        CHECK(calls == 1);
        peer.wait_for_ended(1);  // its connection was closed
    }
}

TEST_CASE("cancelling before anything began, and a read of a stream") {
    RawPeer peer{says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", false)};
    asio::io_context io;
    HttpTransport http{io};
    asio::cancellation_signal signal;
    std::vector<std::error_code> errors;
    http.async_send(backend_at(peer.url()), post(), Deadline{},
                    asio::bind_cancellation_slot(signal.slot(), [&](std::error_code error, HttpResponse) {
                        errors.push_back(error);
                    }));
    signal.emit(asio::cancellation_type::terminal);
    CHECK(errors.empty());
    io.run();

    auto opened = open(io, http, backend_at(peer.url()), post());
    while (read(io, opened.body).data != "x") {
    }
    char byte = 0;
    opened.body.async_read(
        asio::buffer(&byte, 1),
        asio::bind_cancellation_slot(signal.slot(),
                                     [&](std::error_code error, std::size_t) { errors.push_back(error); }));
    io.poll();
    signal.emit(asio::cancellation_type::terminal);
    while (errors.size() < 2) io.run_one();
    CHECK(errors == std::vector{make_error_code(Errc::cancelled), make_error_code(Errc::cancelled)});
}

TEST_CASE("futures and coroutines complete, with a value or an error") {
    RawPeer peer{always(answer("ok"))};
    asio::io_context io;
    HttpTransport http{io};
    const auto backend = backend_at(peer.url());

    auto future = async_send(http, backend, post(), asio::use_future);
    io.run();
    CHECK(future.get().body == "ok");
    io.restart();
    auto failing = async_send(http, backend_at("http://no-such-host.invalid"), post(), asio::use_future);
    io.run();
    CHECK_THROWS_AS(failing.get(), std::system_error);

    std::string body;
    io.restart();
    asio::co_spawn(
        io,
        [](HttpTransport& transport, const BackendConfig& to, std::string& result) -> asio::awaitable<void> {
            HttpRequest request = post();
            HttpResponse response =
                co_await async_send(transport, to, std::move(request), asio::use_awaitable);
            result = response.body;
        }(http, backend, body),
        asio::detached);
    io.run();
    CHECK(body == "ok");
    CHECK(peer.connections() == 1);
}

TEST_CASE("a loop that goes with exchanges under way takes everything with it") {
    // The leak checker of the sanitizer builds is the judge.
    std::promise<void> asked;
    RawPeer peer{[&](RawPeer::Connection& c) {
        c.read_request();
        asked.set_value();
        c.wait_for_close();
    }};
    {
        asio::io_context io;
        HttpTransport http{io};
        http.async_send(backend_at(peer.url()), post(), Deadline{},
                        [](std::error_code, HttpResponse) { FAIL(); });
        auto ready = asked.get_future();
        while (ready.wait_for(0s) != std::future_status::ready) io.poll();
    }
    peer.wait_for_ended(1);
}

TEST_CASE("cancelling on several threads completes each exchange once, with an answer or cancelled") {
    RawPeer peer{always(answer("ok"))};
    asio::thread_pool threads{3};
    HttpTransport http{threads.get_executor()};
    constexpr int exchanges = 60;
    struct One {
        explicit One(asio::thread_pool& pool) : strand{pool.get_executor()} {}
        asio::strand<asio::thread_pool::executor_type> strand;
        asio::cancellation_signal signal{};
        int calls = 0;
        std::error_code error{};
    };
    std::vector<std::unique_ptr<One>> all;
    for (int i = 0; i < exchanges; ++i) {
        all.push_back(std::make_unique<One>(threads));
        // A signal belongs to its handler's executor: emitting, completing and starting happen there.
        asio::post(all.back()->strand, [&http, &peer, one = all.back().get()] {
            http.async_send(backend_at(peer.url()), post(), Deadline{},
                            asio::bind_cancellation_slot(
                                one->signal.slot(),
                                asio::bind_executor(one->strand, [one](std::error_code error, HttpResponse) {
                                    ++one->calls;
                                    one->error = error;
                                })));
        });
        // At some moment between the beginning and the end of the exchange, or after it.
        if (i % 2 == 0) {
            asio::post(all.back()->strand, [&, one = all.back().get(), hops = i]() {
                for (int hop = 0; hop < hops; ++hop) asio::post(threads, [] {});
                one->signal.emit(asio::cancellation_type::terminal);
            });
        }
    }
    threads.join();
    for (int i = 0; i < exchanges; ++i) {
        const auto& one = *all[static_cast<std::size_t>(i)];
        CHECK(one.calls == 1);
        CHECK((!one.error || (i % 2 == 0 && one.error == Errc::cancelled)));
    }
}
