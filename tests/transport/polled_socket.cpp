#include <fairlead/transport/detail/polled_socket.hpp>

#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/connect.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/strand.hpp>

#include "support/catch.hpp"

namespace {

using asio::ip::tcp;
using fairlead::detail::PolledSocket;
using fairlead::detail::ReadWaiter;

class Told final : public ReadWaiter {
  public:
    void on_readable() override { ++told; }
    int told = 0;
};

/// A socket and its peer, which blocks.
struct Talk {
    explicit Talk(asio::any_io_executor executor, const tcp& protocol = tcp::v4())
        : socket{std::move(executor)} {
        const auto loopback = protocol == tcp::v4() ? asio::ip::address{asio::ip::address_v4::loopback()}
                                                    : asio::ip::address{asio::ip::address_v6::loopback()};
        tcp::acceptor acceptor{peers, {loopback, 0}};
        socket.socket().connect(acceptor.local_endpoint());
        acceptor.accept(peer);
    }

    std::string read(std::error_code& error) {
        std::array<char, 100> bytes;
        return {bytes.data(), socket.read_some(asio::buffer(bytes), error)};
    }

    asio::io_context peers{};
    tcp::socket peer{peers};
    PolledSocket socket;
};

void all_now(asio::io_context& io) {
    io.restart();
    io.poll();
}

/// More than the system keeps for a peer that does not read.
const std::string& much() {
    static const std::string bytes = [] {
        std::string made(16 * 1024 * 1024, ' ');
        for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<char>('a' + i % 23);
        return made;
    }();
    return bytes;
}

}  // namespace

TEST_CASE("a watched socket is read when its poller tells, and gives what a socket gives") {
    asio::io_context io;
    Talk talk{io.get_executor()};
    talk.socket.prepare(true);
    REQUIRE(talk.socket.is_watched());
    const auto waiter = std::make_shared<Told>();
    talk.socket.wait_readable(waiter);
    all_now(io);
    CHECK(waiter->told == 0);
    CHECK_FALSE(talk.socket.has_something());
    talk.peer.write_some(asio::buffer("hello", 5));
    all_now(io);
    CHECK(waiter->told == 1);
    CHECK(talk.socket.has_something());

    std::error_code error;
    CHECK(talk.read(error) == "hello");
    CHECK_FALSE(error);
    CHECK(talk.read(error).empty());
    CHECK(error == asio::error::would_block);
    CHECK(talk.socket.is_quiet());
    talk.peer.close();
    CHECK(talk.read(error).empty());
    CHECK(error == asio::error::eof);
    CHECK(talk.socket.has_something());
}

TEST_CASE("without a poller a socket is Asio's") {
    asio::io_context io;
    const bool allowed = GENERATE(false, true);
    // A strand has none; nor has whoever does not ask.
    Talk talk{allowed ? asio::any_io_executor{asio::make_strand(io)} : io.get_executor()};
    talk.socket.prepare(allowed);
    CHECK_FALSE(talk.socket.is_watched());
    CHECK_FALSE(talk.socket.is_quiet());
    bool readable = false;
    talk.socket.async_wait_readable([&](std::error_code error) { readable = !error; });
    talk.peer.write_some(asio::buffer("hello", 5));
    all_now(io);
    CHECK(readable);
    std::error_code error;
    CHECK(talk.read(error) == "hello");
    CHECK(talk.read(error).empty());
    CHECK(error == asio::error::would_block);
}

TEST_CASE("buffers are gathered, empty ones left out, until the system takes no more") {
    asio::io_context io;
    Talk talk{io.get_executor()};
    talk.socket.prepare(true);
    std::error_code error;
    const std::array<asio::const_buffer, 4> buffers{asio::buffer("one", 3), asio::const_buffer{},
                                                    asio::buffer("two", 3), asio::const_buffer{}};
    CHECK(talk.socket.write_some(buffers, error) == 6);
    std::array<char, 6> got;
    asio::read(talk.peer, asio::buffer(got));
    CHECK(std::string{got.data(), got.size()} == "onetwo");
    CHECK(talk.socket.write_some({}, error) == 0);
    CHECK_FALSE(error);

    const std::array<asio::const_buffer, 1> large{asio::buffer(much())};
    while (!error) talk.socket.write_some(large, error);
    CHECK(error == asio::error::would_block);
    talk.peer.close();
    while (error == asio::error::would_block) talk.socket.write_some(large, error);
    CHECK((error == asio::error::connection_reset || error == asio::error::broken_pipe));
}

TEST_CASE("a peer that is slow to take gets all, while reads are told; then the socket is as before") {
    asio::io_context io;
    const auto protocol = GENERATE(tcp::v4(), tcp::v6());
    Talk talk{io.get_executor(), protocol};
    talk.socket.prepare(true);
    for (int time = 0; time < 2; ++time) {
        std::error_code failed = asio::error::in_progress;
        std::size_t sent = 0;
        talk.socket.async_write(asio::buffer(much()), [&](std::error_code error, std::size_t size) {
            failed = error;
            sent = size;
        });
        all_now(io);
        CHECK(failed == asio::error::in_progress);
        const auto waiter = std::make_shared<Told>();
        talk.socket.wait_readable(waiter);
        talk.peer.write_some(asio::buffer("meanwhile", 9));
        all_now(io);
        CHECK(waiter->told == 1);
        std::error_code error;
        CHECK(talk.read(error) == "meanwhile");

        std::string got(much().size(), '\0');
        for (std::size_t size = 0; size < got.size(); all_now(io))
            size += talk.peer.read_some(asio::buffer(got.data() + size, got.size() - size));
        CHECK_FALSE(failed);
        CHECK(sent == much().size());
        CHECK(got == much());
    }
    // Nothing of it is in Asio's hands: a loop with nothing to wait for ends.
    io.restart();
    io.run();
    const std::array<asio::const_buffer, 1> last{asio::buffer("last", 4)};
    std::error_code error;
    CHECK(talk.socket.write_some(last, error) == 4);
}

TEST_CASE("closing ends a write that is under way, once, and whoever waits is not told") {
    asio::io_context io;
    auto talk = std::make_unique<Talk>(io.get_executor());
    talk->socket.prepare(true);
    int ended = 0;
    std::error_code how;
    talk->socket.async_write(asio::buffer(much()), [&](std::error_code error, std::size_t) {
        ++ended;
        how = error;
    });
    const auto waiter = std::make_shared<Told>();
    talk->socket.wait_readable(waiter);
    all_now(io);
    talk->socket.close();
    talk->socket.close();
    all_now(io);
    CHECK(ended == 1);
    CHECK(how == asio::error::operation_aborted);
    CHECK(waiter->told == 0);
    CHECK_FALSE(talk->socket.is_watched());
    std::error_code error;
    CHECK(talk->read(error).empty());
    CHECK(error == asio::error::bad_descriptor);
}

TEST_CASE("the peer sees an orderly end, or a reset where that was asked for") {
    asio::io_context io;
    const bool reset = GENERATE(false, true);
    Talk talk{io.get_executor()};
    talk.socket.prepare(true);
    std::error_code error;
    if (reset) {
        talk.socket.reset_at_close();
        talk.socket.close();
    } else {
        talk.socket.shutdown_send(error);
        CHECK_FALSE(error);
    }
    std::array<char, 1> byte;
    talk.peer.read_some(asio::buffer(byte), error);
    CHECK(error ==
          (reset ? std::error_code{asio::error::connection_reset} : std::error_code{asio::error::eof}));
}
