// Whole exchanges over real sockets: what is sent, what comes back, how connections are used again.
#include <dirent.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <future>
#include <string>

#include <asio/thread_pool.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::string_literals;
using E = TransportErrc;

namespace {

std::size_t open_files() {
    std::size_t count = 0;
    DIR* directory = ::opendir("/proc/self/fd");
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
    return count;
}

}  // namespace

TEST_CASE("a request arrives as it was meant, without what belongs to one connection") {
    std::promise<std::string> got;
    RawPeer peer{[&](RawPeer::Connection& c) {
        got.set_value(c.read_request());
        c.send(answer("ok"));
        c.wait_for_close();
    }};
    asio::io_context io;
    HttpTransport http{io};
    auto backend = backend_at(peer.url() + "/base/v1/");
    backend.api_key = "key";
    HttpRequest request{"POST",
                        "/v1/x?y=1",
                        "body",
                        {{"Host", "else"},
                         {"authorization", "Bearer other"},
                         {"Content-Length", "99"},
                         {"Connection", "X-Hop, close"},
                         {"X-Hop", "1"},
                         {"Keep-Alive", "1"},
                         {"TE", "trailers"},
                         {"Proxy-Authorization", "p"},
                         {"Transfer-Encoding", "chunked"},
                         {"Upgrade", "h2c"},
                         {"Expect", "100-continue"},
                         {"X-Kept", "yes"}}};
    const auto sent = send(io, http, backend, request);
    REQUIRE_FALSE(sent.error);
    CHECK(sent.calls == 1);
    CHECK(sent.response.status == 200);
    CHECK(sent.response.body == "ok");
    CHECK(got.get_future().get() ==
          "POST /base/v1/x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer.port()) +
              "\r\nX-Kept: yes\r\nAuthorization: Bearer key\r\nContent-Length: 4\r\n\r\nbody");
}

TEST_CASE("what could change the meaning of a request is refused and nothing is sent") {
    RawPeer peer{always(answer("ok"))};
    asio::io_context io;
    HttpTransport http{io};
    const auto backend = backend_at(peer.url());
    HttpRequest request;
    for (const auto& bad : {"a\r\nX: b"s, "a\nb"s, "a\0b"s, "a\x7f"s}) {
        request = get();
        request.headers.add("X-Bad", bad);
        CHECK(send(io, http, backend, request).error == E::bad_header_to_send);
    }
    request = get();
    request.headers.add("X Bad", "a");
    CHECK(send(io, http, backend, request).error == E::bad_header_to_send);
    CHECK(send(io, http, backend, {"GET", "/a b"}).error == E::bad_target_to_send);
    CHECK(send(io, http, backend, {"GET", "x"}).error == E::bad_target_to_send);
    CHECK(send(io, http, backend, {"G ET", "/"}).error == E::bad_method);
    CHECK(send(io, http, backend_at("ftp://h"), get()).error == E::bad_url);
    CHECK(peer.connections() == 0);
    for (const auto unsent : {E::bad_header_to_send, E::bad_target_to_send, E::bad_method})
        CHECK(HttpTransport::outcome(unsent, {}).kind == Outcome::cancelled);
}

TEST_CASE("one connection serves request after request") {
    const bool one_thread = GENERATE(false, true);
    RawPeer peer{always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")};
    asio::io_context io;
    HttpTransport http{io, {.one_thread = one_thread}};
    for (int i = 0; i < 20; ++i) {
        const auto sent = send(io, http, backend_at(peer.url()), post());
        REQUIRE_FALSE(sent.error);
        CHECK(sent.response.body == "ok");
        CHECK(http.idle_connections() == 1);
    }
    CHECK(peer.connections() == 1);
}

TEST_CASE("a request that is refused takes no connection") {
    const bool one_thread = GENERATE(false, true);
    RawPeer peer{always(answer("ok"))};
    asio::io_context io;
    HttpTransport http{io, {.one_thread = one_thread}};
    const auto backend = backend_at(peer.url());
    REQUIRE_FALSE(send(io, http, backend, get()).error);
    CHECK(http.idle_connections() == 1);
    CHECK(send(io, http, backend, get(), Deadline{Time{}}).error == Errc::deadline_passed);
    CHECK(send(io, http, backend, {"GET", "x"}).error == E::bad_target_to_send);
    CHECK(http.idle_connections() == 1);
    CHECK(peer.connections() == 1);
}

TEST_CASE("a connection is not kept when either side says so") {
    const auto kept_after = [](const std::string& text) {
        RawPeer peer{always(text)};
        asio::io_context io;
        HttpTransport http{io};
        CHECK_FALSE(send(io, http, backend_at(peer.url()), get()).error);
        return http.idle_connections();
    };
    CHECK(kept_after(answer("x")) == 1);
    CHECK(kept_after(answer("x", "Connection: close\r\n")) == 0);
    CHECK(kept_after("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n") == 0);
    CHECK(kept_after(answer("x") + "stray") == 0);
    CHECK(kept_after(answer("x", "Keep-Alive: timeout=1\r\n")) == 0);  // one second less than told is none
}

TEST_CASE("a connection that the backend closed while idle is replaced, for POST too") {
    const bool one_thread = GENERATE(false, true);
    RawPeer peer{[](RawPeer::Connection& c) {
        c.read_request();
        c.send(answer("ok"));
    }};
    asio::io_context io;
    HttpTransport http{io, {.one_thread = one_thread}};
    for (int i = 0; i < 5; ++i) {
        CHECK_FALSE(send(io, http, backend_at(peer.url()), post()).error);
        peer.wait_for_ended(i + 1);  // closed; on loopback the other end knows by then
    }
    CHECK(peer.connections() == 5);
}

TEST_CASE("a reused connection that breaks before an answer is replaced once, for what may be sent twice") {
    const bool one_thread = GENERATE(false, true);
    // The first connection answers once, takes the second request and closes without a word.
    const RawPeer::Script script = [](RawPeer::Connection& c) {
        c.read_request();
        c.send(answer("ok"));
        if (c.number() == 0) {
            c.read_request();
        } else {
            c.wait_for_close();
        }
    };
    SECTION("GET is sent again") {
        RawPeer peer{script};
        asio::io_context io;
        HttpTransport http{io, {.one_thread = one_thread}};
        CHECK_FALSE(send(io, http, backend_at(peer.url()), get()).error);
        CHECK_FALSE(send(io, http, backend_at(peer.url()), get()).error);
        CHECK(peer.connections() == 2);
    }
    SECTION("POST was sent whole and is left to the balancer") {
        RawPeer peer{script};
        asio::io_context io;
        HttpTransport http{io, {.one_thread = one_thread}};
        CHECK_FALSE(send(io, http, backend_at(peer.url()), post()).error);
        const auto sent = send(io, http, backend_at(peer.url()), post());
        CHECK((sent.error == E::closed_before_response || sent.error == E::connection_reset));
        CHECK(HttpTransport::outcome(sent.error, {}).kind == Outcome::connect_error);
        CHECK(peer.connections() == 1);
    }
}

TEST_CASE("a fresh connection that breaks is not replaced") {
    RawPeer peer{[](RawPeer::Connection& c) { c.read_request(); }};
    asio::io_context io;
    HttpTransport http{io};
    CHECK(send(io, http, backend_at(peer.url()), get()).error == E::closed_before_response);
    CHECK(peer.connections() == 1);
}

TEST_CASE("the pool keeps no more idle connections than it may, and none past its time") {
    RawPeer peer{always(answer("ok"))};
    asio::io_context io;
    const auto burst = [&](HttpTransport& http) {
        int done = 0;
        for (int i = 0; i < 5; ++i) {
            http.async_send(backend_at(peer.url()), post(), Deadline{},
                            [&](std::error_code error, HttpResponse) {
                                CHECK_FALSE(error);
                                ++done;
                            });
        }
        io.restart();
        io.run();
        CHECK(done == 5);
        return http.idle_connections();
    };
    HttpTransport bounded{io, {.max_idle_per_backend = 2}};
    CHECK(burst(bounded) == 2);
    HttpTransport none{io, {.max_idle_per_backend = 0}};
    CHECK(burst(none) == 0);
    HttpTransport short_lived{io, {.idle_timeout = std::chrono::nanoseconds{1}}};
    CHECK(burst(short_lived) == 0);
}

TEST_CASE(
    "a connection that was kept for longer than idle_timeout is closed when it is wanted, and another made") {
    asio::io_context io;
    RawPeer peer{always(answer("ok"))};
    const auto connections_of_3 = [&](Duration idle_timeout) {
        const int before = peer.connections();
        HttpTransport http{io, {.idle_timeout = idle_timeout}};
        for (int i = 0; i < 3; ++i)
            CHECK(send(io, http, backend_at(peer.url()), post()).response.body == "ok");
        return peer.connections() - before;
    };
    CHECK(connections_of_3(std::chrono::nanoseconds{1}) == 3);
    CHECK(connections_of_3(std::chrono::hours{1}) == 1);
}

TEST_CASE("a body comes piece by piece, as it was sent") {
    std::promise<void> first_read;
    RawPeer peer{[&](RawPeer::Connection& c) {
        c.read_request();
        c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        c.send("5\r\nfirst\r\n");
        first_read.get_future().wait();  // the second piece is sent only when the first was seen
        c.send("6\r\nsecond\r\n0\r\n\r\n");
        c.wait_for_close();
    }};
    asio::io_context io;
    HttpTransport http{io};
    auto opened = open(io, http, backend_at(peer.url()), post());
    REQUIRE_FALSE(opened.error);
    CHECK(opened.head.status == 200);
    CHECK(read(io, opened.body, 3).data == "fir");
    CHECK(read(io, opened.body, 3).data == "st");
    first_read.set_value();
    CHECK(read_all(io, opened.body, 4).data == "second");
    CHECK(read(io, opened.body).error == asio::error::eof);  // and stays at its end
    CHECK(http.idle_connections() == 1);
}

TEST_CASE("an empty buffer waits for something to read and takes none of it") {
    std::promise<void> go;
    RawPeer peer{[&](RawPeer::Connection& c) {
        c.read_request();
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        go.get_future().wait();
        c.send("hello");
        c.wait_for_close();
    }};
    asio::io_context io;
    HttpTransport http{io};
    auto opened = open(io, http, backend_at(peer.url()), post());
    bool ready = false;
    opened.body.async_read({}, [&](std::error_code error, std::size_t size) {
        CHECK_FALSE(error);
        CHECK(size == 0);
        ready = true;
    });
    io.poll();
    CHECK_FALSE(ready);
    go.set_value();
    while (!ready) io.run_one();
    CHECK(read_all(io, opened.body).data == "hello");
}

TEST_CASE("an empty buffer takes nothing of what came with the head, either") {
    RawPeer peer{always(answer("hello"))};
    asio::io_context io;
    HttpTransport http{io};
    auto opened = open(io, http, backend_at(peer.url()), post());
    CHECK_FALSE(read(io, opened.body, 0).error);
    CHECK(read_all(io, opened.body).data == "hello");
}

TEST_CASE("a stream dropped before its end closes the connection") {
    RawPeer peer{[](RawPeer::Connection& c) {
        c.read_request();
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart");
        c.wait_for_close();
    }};
    asio::io_context io;
    HttpTransport http{io};
    {
        auto opened = open(io, http, backend_at(peer.url()), post());
        CHECK(read(io, opened.body).data == "part");
    }
    io.restart();
    io.run();
    peer.wait_for_ended(1);
    CHECK(http.idle_connections() == 0);
}

TEST_CASE("an answer that comes before the request is sent is taken") {
    RawPeer peer{[](RawPeer::Connection& c) {
        c.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");  // and reads nothing
        c.wait_for_close();
    }};
    asio::io_context io;
    HttpTransport http{io};
    // More than the buffers of both sockets hold.
    const auto sent = send(io, http, backend_at(peer.url()), post(std::string(std::size_t{64} << 20, 'x')));
    CHECK_FALSE(sent.error);
    CHECK(sent.response.status == 413);
    CHECK(http.idle_connections() == 0);
}

TEST_CASE("large bodies arrive whole, in both directions") {
    const std::string large(std::size_t{3} << 20, 'y');
    RawPeer peer{[&](RawPeer::Connection& c) {
        const auto request = c.read_request();
        c.send(answer(request.substr(request.find("\r\n\r\n") + 4)));
        c.wait_for_close();
    }};
    asio::io_context io;
    HttpTransport http{io};
    CHECK(send(io, http, backend_at(peer.url()), post(large)).response.body == large);
}

TEST_CASE("a response over max_response_bytes is refused") {
    RawPeer peer{always(answer(std::string(101, 'x')))};
    asio::io_context io;
    HttpTransport http{io, {.max_response_bytes = 100}};
    const auto sent = send(io, http, backend_at(peer.url()), post());
    CHECK(sent.error == E::response_too_large);
    CHECK(sent.response.body.empty());
}

TEST_CASE("probes judge status and body") {
    RawPeer peer{[](RawPeer::Connection& c) {
        for (;;) {
            const auto request = c.read_request();
            if (request.empty()) return;
            c.send(request.starts_with("GET /v1/models HTTP/1.1") ? answer("{\"data\":[]}")
                   : request.starts_with("GET /teapot") ? "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n"
                                                        : "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
        }
    }};
    asio::io_context io;
    HttpTransport http{io};
    const auto probe = [&](HealthOverride health) {
        auto backend = backend_at(peer.url());
        backend.health = std::move(health);
        Outcome result{Outcome::cancelled};
        http.async_probe(backend, Deadline{}, [&](std::error_code, Outcome outcome) { result = outcome; });
        io.restart();
        io.run();
        return result.kind;
    };
    CHECK(probe({}) == Outcome::success);
    CHECK(probe({.body_contains = "data"}) == Outcome::success);
    CHECK(probe({.body_contains = "model"}) == Outcome::server_error);
    CHECK(probe({.expected_status = 204}) == Outcome::server_error);
    CHECK(probe({.path = "/teapot"}) == Outcome::client_error);
    CHECK(probe({.path = "/teapot", .expected_status = 418}) == Outcome::success);
    CHECK(probe({.path = "/other"}) == Outcome::server_error);
}

TEST_CASE("outcomes carry what Retry-After says") {
    const auto told = [](int status, HttpHeaders headers) {
        return HttpTransport::outcome({}, HttpResponse{status, {}, std::move(headers)});
    };
    using std::chrono::seconds;
    CHECK(told(429, {}).kind == Outcome::rate_limited);
    CHECK_FALSE(told(429, {}).retry_after);
    CHECK(told(429, {{"Retry-After", "7"}}).retry_after == seconds{7});
    CHECK(told(503, {{"Retry-After", "7"}}).kind == Outcome::server_error);
    CHECK(told(503, {{"Retry-After", "7"}}).retry_after == seconds{7});
    CHECK_FALSE(told(500, {{"Retry-After", "7"}}).retry_after);
    CHECK(told(429,
               {{"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}, {"Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"}})
              .retry_after == seconds{30});
    CHECK(told(429, {{"Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"}}).retry_after == seconds{0});
    CHECK_FALSE(told(429, {{"Retry-After", "soon"}}).retry_after);
    CHECK_FALSE(told(429, {{"Retry-After", "Sun, 31 Feb 1994 08:50:07 GMT"}}).retry_after);
    CHECK(told(429, {{"Retry-After", "99999999999999999999"}}).retry_after == seconds{31'536'000});
    CHECK(HttpTransport::outcome(Errc::cancelled, {}).kind == Outcome::cancelled);
    CHECK(HttpTransport::outcome(Errc::deadline_passed, {}).kind == Outcome::timeout);
}

TEST_CASE("many requests on several threads, each answered once, no file left open") {
    const auto files = open_files();
    {
        RawPeer peer{always(answer("ok"))};
        asio::thread_pool threads{3};
        {
            HttpTransport http{threads.get_executor()};
            std::atomic<int> good{0};
            std::promise<void> all;
            constexpr int requests = 600;
            std::atomic<int> left{requests};
            const auto backend = backend_at(peer.url());
            std::function<void(int)> run = [&](int count) {
                http.async_send(backend, post(), Deadline{},
                                [&, count](std::error_code error, HttpResponse response) {
                                    if (!error && response.body == "ok")
                                        good.fetch_add(1, std::memory_order_relaxed);
                                    const bool last = left.fetch_sub(1, std::memory_order_acq_rel) == 1;
                                    if (count > 1) run(count - 1);
                                    if (last) all.set_value();
                                });
            };
            for (int chain = 0; chain < 20; ++chain) run(requests / 20);
            all.get_future().wait();
            threads.join();
            CHECK(good.load(std::memory_order_relaxed) == requests);
            CHECK(peer.connections() <= 20);
        }
    }
    CHECK(open_files() == files);
}
