// How exchanges complete: cancelled at any moment, as futures and coroutines, on several threads; always
// once.
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

namespace {

template <class Token>
auto async_send(HttpTransport& http, const BackendConfig& backend, HttpRequest request, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, HttpResponse)>(
        [&http](auto handler, const BackendConfig& to, HttpRequest what) {
            http.async_send(to, std::move(what), Deadline{}, std::move(handler));
        },
        token, backend, std::move(request));
}

}  // namespace

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
    std::string body;
    while (body != "x") {
        const auto piece = read(io, opened.body);
        REQUIRE_FALSE(piece.error);
        body += piece.data;
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

TEST_CASE("no handler runs inside the call that begins or cancels its exchange") {
    RawPeer peer{says("", false)};
    asio::io_context io;
    HttpTransport http{io};
    bool inside = false;
    int calls = 0;
    const auto count = [&](std::error_code, HttpResponse) {
        CHECK_FALSE(inside);
        ++calls;
    };
    asio::cancellation_signal signal;
    // On a thread of the loop, where a dispatched handler would run at once.
    asio::post(io, [&] {
        inside = true;
        http.async_send(backend_at("ftp://h"), post(), Deadline{}, count);
        http.async_send(backend_at(peer.url()), post(), Deadline{Time{}}, count);
        http.async_send(backend_at(peer.url()), post(), Deadline{},
                        asio::bind_cancellation_slot(signal.slot(), count));
        signal.emit(asio::cancellation_type::terminal);
        inside = false;
    });
    io.run();
    CHECK(calls == 3);
}
