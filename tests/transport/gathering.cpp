#include "transport/gathering.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <asio/error.hpp>
#include <asio/io_context.hpp>

#include <fairlead/transport/http_transport.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;
using fairlead::detail::Gathering;

TEST_CASE("only several chunks at once put off the next read, and no large ones") {
    const Time now{10s};
    Gathering single;
    single.took(now, 1, 200);
    CHECK_FALSE(single.pays());
    Gathering several;
    several.took(now, 2, 400);
    CHECK(several.pays());
    Gathering large;
    large.took(now, 2, 16 * 1024);
    CHECK_FALSE(large.pays());
}

TEST_CASE("a burst is put off once, the next burst again") {
    const Time now{10s};
    Gathering gathering;
    gathering.took(now, 10, 2'000);
    gathering.took(now + Gathering::wait, 10, 2'000);
    CHECK_FALSE(gathering.pays());
    gathering.took(now + 1'999us, 10, 2'000);
    CHECK_FALSE(gathering.pays());
    gathering.took(now + 2ms, 10, 2'000);
    CHECK(gathering.pays());
}

TEST_CASE("where nothing came behind several chunks, no read is put off for a second") {
    const Time now{10s};
    Gathering gathering;
    gathering.took(now, 2, 400);
    gathering.found_nothing(now + Gathering::wait);
    CHECK_FALSE(gathering.pays());
    gathering.took(now + 20ms, 2, 400);
    CHECK_FALSE(gathering.pays());
    gathering.took(now + 1s, 2, 400);
    CHECK_FALSE(gathering.pays());
    gathering.took(now + Gathering::wait + 1s, 2, 400);
    CHECK(gathering.pays());

    // An empty read that nobody put off says nothing.
    Gathering other;
    other.found_nothing(now);
    other.took(now, 2, 400);
    CHECK(other.pays());
}

namespace {

/// Opens a stream that begins with several chunks at once, and does something when they have been read.
struct Burst {
    using Then = std::function<void(Burst&)>;

    Burst(const BackendConfig& backend, Then then_) : then{std::move(then_)} {
        http.async_open(backend, post(), {},
                        [&](std::error_code error, const HttpResponse&, HttpBody opened) {
                            CHECK_FALSE(error);
                            body = std::move(opened);
                            text = body.take_ready().data;
                            read();
                        });
        while (!end) io.run_one();
    }

    void read() {
        body.async_read_piece([this](std::error_code error, const HttpPiece& piece) {
            text += piece.view();
            if (error) {
                end = error;
                return;
            }
            read();
            if (then) std::exchange(then, nullptr)(*this);
        });
    }

    asio::io_context io{1};
    HttpTransport http{io, {.one_thread = true}};
    Then then;
    HttpBody body{};
    std::string text{};
    std::optional<std::error_code> end{};
};

constexpr auto head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr auto two_chunks = "5\r\nhello\r\n6\r\n world\r\n";

/// Several chunks, when the head was read; then what `then` says.
RawPeer::Script begins(RawPeer::Script then) {
    return [then = std::move(then)](RawPeer::Connection& c) {
        c.read_request();
        c.send(head);
        c.send(two_chunks);
        then(c);
    };
}

}  // namespace

TEST_CASE("what follows a burst's beginning is read whole and in order, with the end and the next request") {
    for (const int more : {1, 3, 500}) {
        INFO(more);
        RawPeer peer{begins([more](RawPeer::Connection& c) {
            for (int i = 0; i < more; ++i) c.send("1\r\n" + std::to_string(i % 10) + "\r\n");
            c.send("0\r\n\r\n");
            c.wait_for_close();
        })};
        const Burst burst{backend_at(peer.url()), {}};
        std::string wanted = "hello world";
        for (int i = 0; i < more; ++i) wanted += std::to_string(i % 10);
        CHECK(burst.text == wanted);
        CHECK(*burst.end == asio::error::eof);
    }
}

TEST_CASE("a backend that breaks off behind a burst's beginning is told, in either way") {
    for (const bool resets : {false, true}) {
        INFO(resets);
        RawPeer peer{begins([resets](RawPeer::Connection& c) { resets ? c.reset() : c.close(); })};
        const Burst burst{backend_at(peer.url()), {}};
        if (!resets) CHECK(burst.text == "hello world");
        CHECK(*burst.end ==
              make_error_code(resets ? TransportErrc::connection_reset : TransportErrc::truncated_chunks));
    }
}

TEST_CASE("a read that was put off can be cancelled, and its silence ends it") {
    RawPeer peer{begins([](RawPeer::Connection& c) { c.wait_for_close(); })};
    auto backend = backend_at(peer.url());
    SECTION("cancelled") {
        const Burst burst{backend, [](Burst& b) { b.body.cancel(); }};
        CHECK(burst.text == "hello world");
        CHECK(*burst.end == make_error_code(Errc::cancelled));
    }
    SECTION("silent") {
        backend.idle_timeout = 1ms;
        const Burst burst{backend, {}};
        CHECK(burst.text == "hello world");
        CHECK(*burst.end == make_error_code(TransportErrc::idle_timeout));
    }
}
