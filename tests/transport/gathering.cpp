#include "transport/gathering.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>

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
    CHECK(single.until() == Gathering::at_once);
    Gathering several;
    several.took(now, 2, 400);
    CHECK(several.until() == now + Gathering::wait);
    Gathering large;
    large.took(now, 2, 16 * 1024);
    CHECK(large.until() == Gathering::at_once);
    several.forget();
    CHECK(several.until() == Gathering::at_once);
}

TEST_CASE("a burst is put off once, the next burst again") {
    const Time now{10s};
    Gathering gathering;
    gathering.took(now, 10, 2'000);
    gathering.took(now + Gathering::wait, 10, 2'000);
    CHECK(gathering.until() == Gathering::at_once);
    gathering.took(now + 1'999us, 10, 2'000);
    CHECK(gathering.until() == Gathering::at_once);
    gathering.took(now + 2ms, 10, 2'000);
    CHECK(gathering.until() == now + 2ms + Gathering::wait);
}

TEST_CASE(
    "where nothing comes behind several chunks, reads are put off less and less, down to once a second") {
    Time now{10s};
    Gathering gathering;
    // The moment from which on one is put off again.
    const auto rest = [&] {
        for (const Time from = now;; now += 1ms) {
            gathering.took(now, 2, 400);
            if (gathering.until() != Gathering::at_once) return now - from;
        }
    };
    rest();
    for (const auto wanted : {4ms, 8ms, 16ms, 32ms, 64ms, 128ms, 256ms, 512ms, 1'000ms, 1'000ms}) {
        gathering.found_nothing(now);
        CHECK(gathering.until() == Gathering::at_once);
        CHECK(rest() == wanted);
    }
    // Something came: all is as in the beginning.
    gathering.took(now += Gathering::wait, 2, 400);
    CHECK(rest() <= 2ms);
    gathering.found_nothing(now);
    CHECK(rest() == 4ms);
}

namespace {

/// Opens a stream that begins with several chunks at once, and does something when they have been read.
struct Burst {
    using Then = std::function<void(Burst&)>;

    Burst(const BackendConfig& backend, std::promise<void>& head_was_read, Then then_)
        : then{std::move(then_)} {
        http.async_open(backend, post(), {},
                        [&](std::error_code error, const HttpResponse&, HttpBody opened) {
                            CHECK_FALSE(error);
                            body = std::move(opened);
                            CHECK(body.take_ready().data.empty());
                            head_was_read.set_value();
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

constexpr auto chunked_answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr auto two_chunks = "5\r\nhello\r\n6\r\n world\r\n";

/// Several chunks, when the head was read; then what `then` says.
RawPeer::Script begins(std::future<void>& head_was_read, RawPeer::Script then) {
    return [&head_was_read, then = std::move(then)](RawPeer::Connection& c) {
        c.read_request();
        c.send(chunked_answer);
        head_was_read.wait();
        c.send(two_chunks);
        then(c);
    };
}

/// Reads on when the peer has all of the request, which the loop goes on to write meanwhile.
void wait_then_read(asio::io_context& io, std::future<void>& sent, std::promise<void>& asked,
                    const std::function<void()>& read) {
    if (sent.wait_for(0s) != std::future_status::ready) {
        asio::post(io, [&] { wait_then_read(io, sent, asked, read); });
        return;
    }
    read();
    asked.set_value();
}

}  // namespace

TEST_CASE("what follows a burst's beginning is read whole and in order, and so is the next answer") {
    for (const int more : {1, 3, 500}) {
        INFO(more);
        std::promise<void> head_was_read;
        auto told = head_was_read.get_future();
        RawPeer peer{begins(told, [more](RawPeer::Connection& c) {
            for (int i = 0; i < more; ++i) c.send("1\r\n" + std::to_string(i % 10) + "\r\n");
            c.send("0\r\n\r\n");
            c.read_request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + std::to_string(10 + c.number()));
            c.wait_for_close();
        })};
        Burst burst{backend_at(peer.url()), head_was_read, {}};
        std::string wanted = "hello world";
        for (int i = 0; i < more; ++i) wanted += std::to_string(i % 10);
        CHECK(burst.text == wanted);
        CHECK(*burst.end == asio::error::eof);
        std::string next;
        burst.http.async_send(backend_at(peer.url()), post(), {},
                              [&](std::error_code, const HttpResponse& response) { next = response.body; });
        burst.io.restart();
        while (next.empty() && burst.io.run_one() > 0) {
        }
        CHECK(next == "10");  // over the first connection
    }
}

TEST_CASE("a backend that breaks off behind a burst's beginning is told, in either way") {
    for (const bool resets : {false, true}) {
        INFO(resets);
        std::promise<void> head_was_read;
        auto told = head_was_read.get_future();
        RawPeer peer{begins(told, [resets](RawPeer::Connection& c) { resets ? c.reset() : c.close(); })};
        Burst burst{backend_at(peer.url()), head_was_read, {}};
        if (!resets) CHECK(burst.text == "hello world");
        CHECK(*burst.end ==
              make_error_code(resets ? TransportErrc::connection_reset : TransportErrc::truncated_chunks));
    }
}

TEST_CASE("a burst's rest comes also where the request was still being sent") {
    std::promise<void> head_was_read;
    std::promise<void> began;
    std::promise<void> sent;
    std::promise<void> asked;
    RawPeer peer{[&](RawPeer::Connection& c) {
        c.send(chunked_answer);
        head_was_read.get_future().wait();
        c.send(two_chunks);
        began.get_future().wait();
        c.read_request();
        sent.set_value();
        asked.get_future().wait();
        c.send("6\r\n again\r\n0\r\n\r\n");
        c.wait_for_close();
    }};
    auto request = post();
    request.body = std::string(16 * 1024 * 1024, 'x');  // more than the sockets keep
    asio::io_context io{1};
    HttpTransport http{io, {.one_thread = true}};
    HttpBody body;
    std::string text;
    std::optional<std::error_code> end;
    auto request_was_sent = sent.get_future();
    std::function<void()> read = [&] {
        body.async_read_piece([&](std::error_code error, const HttpPiece& piece) {
            text += piece.view();
            if (error) {
                end = error;
            } else if (text.size() == 11) {
                began.set_value();
                asio::post(io, [&] { wait_then_read(io, request_was_sent, asked, read); });
            } else {
                read();
            }
        });
    };
    http.async_open(backend_at(peer.url()), request, {},
                    [&](std::error_code error, const HttpResponse&, HttpBody opened) {
                        CHECK_FALSE(error);
                        body = std::move(opened);
                        head_was_read.set_value();
                        read();
                    });
    while (!end) io.run_one();
    CHECK(text == "hello world again");
    CHECK(*end == asio::error::eof);
}

TEST_CASE("a read that was put off can be cancelled, and its silence ends it") {
    std::promise<void> head_was_read;
    auto told = head_was_read.get_future();
    RawPeer peer{begins(told, [](RawPeer::Connection& c) { c.wait_for_close(); })};
    auto backend = backend_at(peer.url());
    SECTION("cancelled") {
        const Burst burst{backend, head_was_read, [](Burst& b) { b.body.cancel(); }};
        CHECK(burst.text == "hello world");
        CHECK(*burst.end == make_error_code(Errc::cancelled));
    }
    SECTION("silent") {
        backend.idle_timeout = 1ms;
        const Burst burst{backend, head_was_read, {}};
        CHECK(burst.text == "hello world");
        CHECK(*burst.end == make_error_code(TransportErrc::idle_timeout));
    }
}

namespace {

/// A stream and its backend, both on this thread: what the backend says is there when the call returns.
class OwnStream {
  public:
    OwnStream() {
        const auto url = "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
        http_.async_open(backend_at(url), post(), {},
                         [this](std::error_code, const HttpResponse&, HttpBody opened) {
                             body_ = std::move(opened);
                             opened_ = true;
                             read();
                         });
        io_.poll();
        acceptor_.accept(peer_);
        for (std::string request; request.find("{}") == std::string::npos; io_.poll()) {
            std::array<char, 1000> bytes;
            if (peer_.available() > 0) request.append(bytes.data(), peer_.read_some(asio::buffer(bytes)));
        }
        says(chunked_answer);
        while (!opened_) io_.poll();
    }

    void says(std::string_view bytes) { asio::write(peer_, asio::buffer(bytes)); }

    /// Whether all that has been said is read without a wait.
    bool is_read_at_once(std::size_t size) {
        io_.poll();
        return text_.size() == size;
    }

    void wait_for(std::size_t size) {
        while (text_.size() < size) io_.run_one();
    }

  private:
    void read() {
        body_.async_read_piece([this](std::error_code error, const HttpPiece& piece) {
            text_ += piece.view();
            if (!error) read();
        });
    }

    asio::io_context peers_{};
    asio::ip::tcp::acceptor acceptor_{peers_, {asio::ip::address_v4::loopback(), 0}};
    asio::ip::tcp::socket peer_{peers_};
    asio::io_context io_{1};
    HttpTransport http_{io_, {.one_thread = true}};
    HttpBody body_{};
    bool opened_ = false;
    std::string text_{};
};

}  // namespace

TEST_CASE("what comes first is read at once, and what follows several chunks a little later") {
    // Where the machine takes its time between two lines here, a try says nothing.
    constexpr int tries = 200;
    int at_once = 0;
    int put_off = 0;
    for (int i = 0; i < tries && (at_once < 3 || put_off < 3); ++i) {
        OwnStream stream;
        stream.says("1\r\na\r\n");
        const bool single = stream.is_read_at_once(1);
        stream.wait_for(1);
        stream.says("1\r\nb\r\n");
        if (single && stream.is_read_at_once(2)) ++at_once;
        stream.wait_for(2);
        stream.says(two_chunks);
        const bool burst = stream.is_read_at_once(13);
        stream.wait_for(13);
        stream.says("1\r\nc\r\n");
        if (burst && !stream.is_read_at_once(14)) ++put_off;
        stream.wait_for(14);
    }
    CHECK(at_once >= 3);
    CHECK(put_off >= 3);
}
