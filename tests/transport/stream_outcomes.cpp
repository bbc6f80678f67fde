// A stream's outcome is known at its end; and what becomes of one that nobody reads to its end.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <asio/io_context.hpp>

#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/http_exchange.hpp"
#include "support/manual_clock.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

using Http = Balancer<RoundRobin, HttpTransport>;

struct Streaming {
    explicit Streaming(RawPeer::Script script, void (*change)(BackendConfig&) = nullptr)
        : peer{std::move(script)}, balancer{{config(change)}, {}, HttpTransport{io}} {
        balancer.async_stream(post(), [this](std::error_code error, Stream<Http> got) {
            CHECK_FALSE(error);
            stream = std::move(got);
        });
        while (!stream) io.run_one();
    }

    BackendConfig config(void (*change)(BackendConfig&)) const {
        BackendConfig backend = backend_at(peer.url());
        if (change != nullptr) change(backend);
        return backend;
    }

    /// Reads to the end; which error that was.
    std::error_code read_all() {
        std::optional<std::error_code> end;
        std::array<char, 64> buffer{};
        while (!end) {
            bool is_read = false;
            stream.async_read(asio::buffer(buffer), [&](std::error_code error, std::size_t) {
                is_read = true;
                if (error) end = error;
            });
            io.restart();
            while (!is_read) io.run_one();
        }
        return *end;
    }

    BackendFigures ended() const { return balancer.snapshot().front(); }

    RawPeer peer;
    asio::io_context io;
    Http balancer;
    Stream<Http> stream;
};

constexpr auto chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

}  // namespace

TEST_CASE("a stream read to its proper end is a success, a broken or silent one a failure") {
    Streaming good{says(std::string{chunked} + "0\r\n\r\n")};
    CHECK(good.ended().in_flight == 1);
    CHECK(good.read_all() == asio::error::eof);
    CHECK(good.ended().in_flight == 0);
    CHECK(good.ended().succeeded == 1);

    Streaming cut{says(chunked)};
    CHECK(cut.read_all() == TransportErrc::truncated_chunks);
    CHECK(cut.ended().outcomes[Outcome::connect_error] == 1);
    CHECK(cut.ended().consecutive_failures == 1);

    Streaming silent{says(chunked, false), [](BackendConfig& b) { b.idle_timeout = 20ms; }};
    CHECK(silent.read_all() == TransportErrc::idle_timeout);
    CHECK(silent.ended().outcomes[Outcome::timeout] == 1);

    Streaming refused{says("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")};
    CHECK(refused.stream.head().status == 404);
    CHECK(refused.read_all() == asio::error::eof);
    CHECK(refused.ended().outcomes[Outcome::client_error] == 1);
    CHECK(refused.ended().failed == 0);

    Streaming taken{says("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")};
    CHECK(taken.stream.take_head().headers.get("Content-Length") == "2");
    CHECK(taken.read_all() == asio::error::eof);
    CHECK(taken.ended().outcomes[Outcome::client_error] == 1);
}

TEST_CASE("a trial is passed by the head of a good answer, before a byte of the body has come") {
    for (const int status : {200, 500}) {
        RawPeer peer{
            says("HTTP/1.1 " + std::to_string(status) + " As Told\r\nContent-Length: 5\r\n\r\n", false)};
        auto backends = fleet(2);
        backends[0].url = peer.url();
        Options options;
        options.success_threshold = 1;
        options.failure_threshold = 1;
        options.max_retries = 0;
        asio::io_context io;
        const ManualClock clock;
        Balancer<RoundRobin, HttpTransport, ManualClock> balancer{backends, options, HttpTransport{io},
                                                                  RoundRobin{}, clock};
        const std::string_view other[] = {"b1"};
        balancer.report(balancer.select({.exclude = other}), Outcome::connect_error);
        REQUIRE(figures(balancer, "b0").state == BackendState::unhealthy);
        REQUIRE_FALSE(balancer.disable("b1"));
        clock.advance(options.base_ejection * 2);  // more than the jitter
        std::optional<BackendState> at_head;
        balancer.async_stream(post(), [&](std::error_code, const auto& stream) {
            CHECK(stream.head().status == status);
            CHECK(figures(balancer, "b0").in_flight == 1);
            at_head = figures(balancer, "b0").state;
        });
        while (!at_head) io.run_one();
        CHECK(*at_head == (status == 200 ? BackendState::healthy : BackendState::half_open));
    }
}

TEST_CASE("a stream dropped before its end is cancelled, and so is the backend's work") {
    Streaming dropped{says(chunked, false)};
    dropped.stream = {};
    CHECK(dropped.ended().in_flight == 0);
    CHECK(dropped.ended().outcomes[Outcome::cancelled] == 1);
    dropped.io.restart();
    dropped.io.run();
    dropped.peer.wait_for_ended(1);
}

TEST_CASE("a stream may be dropped, moved or cancelled while it is read") {
    for (const bool drops : {true, false}) {
        Streaming s{says(chunked, false)};
        std::array<char, 64> buffer{};
        std::optional<std::error_code> how;
        s.stream.async_read(asio::buffer(buffer), [&](std::error_code error, std::size_t) { how = error; });
        s.io.restart();
        while (!how) s.io.run_one();
        CHECK_FALSE(*how);  // "hello"
        how.reset();
        s.stream.async_read(asio::buffer(buffer), [&](std::error_code error, std::size_t) { how = error; });
        if (drops) {
            s.stream = {};
        } else {
            Stream<Http> elsewhere = std::move(s.stream);
            elsewhere.cancel();
            s.stream = std::move(elsewhere);
        }
        s.io.restart();
        while (!how) s.io.run_one();
        CHECK(*how == Errc::cancelled);
        CHECK(s.ended().in_flight == 0);
        CHECK(s.ended().outcomes[Outcome::cancelled] == 1);
    }
}

TEST_CASE("a read's plain callback runs on the transport's loop, which waits for it") {
    Streaming s{says(std::string{chunked} + "0\r\n\r\n")};
    std::array<char, 64> buffer{};
    std::optional<std::thread::id> where;
    s.stream.async_read(asio::buffer(buffer),
                        [&](std::error_code, std::size_t) { where = std::this_thread::get_id(); });
    s.io.restart();
    s.io.run();
    CHECK(where == std::this_thread::get_id());
}

TEST_CASE("the backend is known until the stream has ended, and of an answer kept through retries") {
    Streaming s{says(std::string{chunked} + "0\r\n\r\n")};
    CHECK(s.stream.backend().url == s.peer.url());
    s.read_all();
    CHECK(s.stream.backend().url.empty());

    // Both fail: the last answer is the caller's, with its body and its backend's name.
    RawPeer failing{always("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops")};
    asio::io_context io;
    Options options;
    options.max_retries = 1;
    options.back_off_base = options.back_off_max = 1ms;
    auto backend = backend_at(failing.url());
    backend.name = "sole";
    Http balancer{{backend}, options, HttpTransport{io}};
    bool is_done = false;
    balancer.async_stream(post(), [&](std::error_code error, const Stream<Http>& stream) {
        CHECK_FALSE(error);
        REQUIRE(stream);
        CHECK(stream.head().status == 500);
        CHECK(stream.backend().name == "sole");
        is_done = true;
    });
    io.run();
    CHECK(is_done);
    CHECK(failing.connections() >= 1);
    CHECK(balancer.snapshot().front().completed == 2);
}
