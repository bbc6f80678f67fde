#include <fairlead/transport/detail/read_poller.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>

#include "support/catch.hpp"

namespace {

using fairlead::detail::ReadPoller;
using fairlead::detail::ReadWaiter;
using fairlead::detail::ReadWatch;

/// Two connected sockets: one that is watched, and its peer.
class Pair {
  public:
    explicit Pair(asio::io_context& io) {
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets_.data()) == 0);
        watch.start(io.get_executor(), sockets_[0]);
        REQUIRE(watch.is_on());
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        watch.stop();
        ::close(sockets_[0]);
        close_peer();
    }

    void peer_sends(std::string_view bytes) {
        REQUIRE(::send(sockets_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    void close_peer() {
        if (sockets_[1] >= 0) ::close(std::exchange(sockets_[1], -1));
    }

    /// What there is, up to `room`; the watch is told when it was less.
    std::string read(std::size_t room = 100) {
        std::string bytes(room, '\0');
        const auto got = ::recv(sockets_[0], bytes.data(), room, 0);
        bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        if (bytes.size() < room) watch.drained(got < 0);
        return bytes;
    }

    ReadWatch watch{};

  private:
    std::array<int, 2> sockets_{-1, -1};
};

class Waiter final : public ReadWaiter {
  public:
    explicit Waiter(std::function<void()> then = [] {}) : then_{std::move(then)} {}
    void on_readable() override {
        ++told;
        then_();
    }
    int told = 0;

  private:
    std::function<void()> then_;
};

std::shared_ptr<Waiter> wait(
    Pair& pair, std::function<void()> then = [] {}) {
    auto waiter = std::make_shared<Waiter>(std::move(then));
    pair.watch.wait(waiter);
    return waiter;
}

/// All that can be done now.
void turn(asio::io_context& io) {
    io.restart();
    io.poll();
}

}  // namespace

TEST_CASE("a waiter is told once when its socket has something, and not before") {
    asio::io_context io;
    Pair pair{io};
    Pair other{io};
    const auto waiter = wait(pair);
    const auto quiet = wait(other);
    turn(io);
    CHECK(waiter->told == 0);
    pair.peer_sends("one");
    turn(io);
    CHECK(waiter->told == 1);
    pair.peer_sends("two");
    turn(io);
    CHECK(waiter->told == 1);
    CHECK(quiet->told == 0);
}

TEST_CASE("what came before the wait is told, in the loop's turn") {
    asio::io_context io;
    Pair pair{io};
    pair.peer_sends("early");
    SECTION("not collected yet") {}
    SECTION("known already") {
        ReadPoller::of(io.get_executor())->collect();
        CHECK_FALSE(pair.watch.is_quiet());
    }
    const auto waiter = wait(pair);
    CHECK(waiter->told == 0);
    turn(io);
    CHECK(waiter->told == 1);
}

TEST_CASE("what is collected between the loop's looks is told all the same") {
    asio::io_context io;
    Pair pair{io};
    const auto waiter = wait(pair);
    turn(io);
    pair.peer_sends("x");
    ReadPoller::of(io.get_executor())->collect();
    CHECK(waiter->told == 0);
    turn(io);
    CHECK(waiter->told == 1);
}

TEST_CASE("a socket that was read until it was empty is told of again when more comes") {
    asio::io_context io;
    Pair pair{io};
    for (int i = 0; i < 3; ++i) {
        const auto waiter = wait(pair);
        turn(io);
        CHECK(waiter->told == 0);
        pair.peer_sends("bytes");
        turn(io);
        CHECK(waiter->told == 1);
        CHECK(pair.read() == "bytes");
        CHECK(pair.watch.is_quiet());
    }
}

TEST_CASE("what comes to a held socket wakes nobody, and the next wait tells it") {
    asio::io_context io;
    Pair pair{io};
    Pair other{io};
    const auto waits = wait(other);  // so that the loop looks
    turn(io);
    pair.watch.hold();
    pair.watch.hold();
    CHECK_FALSE(pair.watch.is_quiet());  // nobody knows
    pair.peer_sends("held");
    CHECK(io.poll() == 0);
    const auto waiter = wait(pair);
    turn(io);
    CHECK(waiter->told == 1);
    CHECK(pair.read() == "held");
    CHECK(pair.watch.is_quiet());
    // As before.
    const auto again = wait(pair);
    turn(io);
    CHECK(again->told == 0);
    pair.peer_sends("more");
    turn(io);
    CHECK(again->told == 1);
    CHECK(waits->told == 0);
}

TEST_CASE("a socket that somebody waits for is not held") {
    asio::io_context io;
    Pair pair{io};
    const auto waiter = wait(pair);
    turn(io);
    pair.watch.hold();
    CHECK(pair.watch.is_quiet());
    pair.peer_sends("x");
    turn(io);
    CHECK(waiter->told == 1);
}

TEST_CASE("a held socket's place is nobody's burden: the next one there is told of") {
    asio::io_context io;
    {
        Pair pair{io};
        pair.watch.hold();
    }
    Pair next{io};
    const auto waiter = wait(next);
    next.peer_sends("x");
    turn(io);
    CHECK(waiter->told == 1);
}

TEST_CASE("a socket that may have more is told of again without more coming") {
    asio::io_context io;
    Pair pair{io};
    pair.peer_sends("twice");
    const auto first = wait(pair);
    turn(io);
    CHECK(pair.read(3) == "twi");  // as much as was asked for
    const auto second = wait(pair);
    turn(io);
    CHECK(second->told == 1);
    CHECK(pair.read(3) == "ce");
    const auto third = wait(pair);
    turn(io);
    CHECK(third->told == 0);
}

TEST_CASE("an end behind the data is told after it") {
    asio::io_context io;
    Pair pair{io};
    pair.peer_sends("last");
    pair.close_peer();
    const auto first = wait(pair);
    turn(io);
    CHECK(first->told == 1);
    CHECK(pair.read() == "last");
    CHECK_FALSE(pair.watch.is_quiet());
    const auto end = wait(pair);
    turn(io);
    CHECK(end->told == 1);
}

TEST_CASE("a loop runs while somebody waits, and no longer") {
    asio::io_context io;
    Pair pair{io};
    SECTION("nobody waits") { CHECK(io.run() == 0); }
    SECTION("whoever waited is told") {
        const auto waiter = wait(pair);
        asio::post(io, [&] { pair.peer_sends("x"); });
        io.run();
        CHECK(waiter->told == 1);
    }
    SECTION("whoever waited is dropped") {
        std::weak_ptr<Waiter> dropped = wait(pair);
        asio::post(io, [&] { pair.watch.stop(); });
        io.run();
        CHECK(dropped.expired());
    }
    SECTION("the last of them is told of what was collected between the loop's looks") {
        Pair other{io};
        const auto first = wait(pair, [&] {
            asio::post(io, [&] {
                other.peer_sends("x");
                ReadPoller::of(io.get_executor())->collect();
            });
        });
        const auto last = wait(other);
        pair.peer_sends("x");
        io.run();
        CHECK(first->told == 1);
        CHECK(last->told == 1);
    }
    SECTION("one is dropped, another comes") {
        Pair other{io};
        std::shared_ptr<Waiter> waiter;
        wait(pair);
        asio::post(io, [&] {
            pair.watch.stop();
            waiter = wait(other);
            asio::post(io, [&] { other.peer_sends("x"); });
        });
        io.run();
        CHECK(waiter->told == 1);
    }
}

TEST_CASE("news of a socket that is watched no more are nobody's") {
    asio::io_context io;
    Pair former{io};
    const auto dropped = wait(former);
    former.peer_sends("late");
    former.watch.stop();
    Pair pair{io};  // has the former's place
    const auto waiter = wait(pair);
    turn(io);
    CHECK(dropped->told == 0);
    CHECK(waiter->told == 0);
    pair.peer_sends("its own");
    turn(io);
    CHECK(waiter->told == 1);
}

TEST_CASE("a waiter may stop another that would be told after it") {
    asio::io_context io;
    Pair a{io};
    Pair b{io};
    Pair* const pairs[] = {&a, &b};
    int told = 0;
    for (int i = 0; i < 2; ++i) {
        wait(*pairs[i], [&, i] {
            ++told;
            pairs[1 - i]->watch.stop();
        });
    }
    a.peer_sends("x");
    b.peer_sends("x");
    turn(io);
    CHECK(told == 1);
}

TEST_CASE("one that always has more leaves the others their turns") {
    asio::io_context io;
    Pair busy{io};
    Pair other{io};
    busy.peer_sends("more than is ever read");
    int turns = 0;
    int turns_then = 0;
    std::function<void()> again = [&] {
        if (++turns == 100) return;
        if (turns == 2) other.peer_sends("x");
        wait(busy, again);
    };
    wait(busy, again);
    wait(other, [&] { turns_then = turns; });
    turn(io);
    CHECK(turns == 100);
    CHECK(turns_then >= 2);
    CHECK(turns_then < 10);
}

TEST_CASE("what a waiter throws goes through the loop, and the others are told all the same") {
    asio::io_context io;
    Pair a{io};
    Pair b{io};
    int told = 0;
    const auto fail = [&told] {
        ++told;
        throw std::runtime_error{"a waiter's own"};
    };
    wait(a, fail);
    wait(b, fail);
    a.peer_sends("x");
    b.peer_sends("x");
    CHECK_THROWS_AS(turn(io), std::runtime_error);
    CHECK_THROWS_AS(turn(io), std::runtime_error);
    CHECK(told == 2);
    const auto later = wait(a);  // its byte is still there
    turn(io);
    CHECK(later->told == 1);
}

TEST_CASE("many sockets are told of, more than one look takes in") {
    asio::io_context io;
    std::vector<std::unique_ptr<Pair>> pairs;
    int told = 0;
    for (int i = 0; i < 300; ++i) {
        pairs.push_back(std::make_unique<Pair>(io));
        wait(*pairs.back(), [&] { ++told; });
    }
    for (auto& pair : pairs) pair->peer_sends("x");
    turn(io);
    CHECK(told == 300);
}

TEST_CASE("whoever waits goes with the loop, though it owns what it waits with") {
    struct Owner final : ReadWaiter {
        explicit Owner(asio::io_context& io) : pair{io} {}
        void on_readable() override {}
        Pair pair;
    };
    std::weak_ptr<Owner> seen;
    {
        asio::io_context io;
        const auto owner = std::make_shared<Owner>(io);
        owner->pair.watch.wait(owner);
        seen = owner;
    }
    CHECK(seen.expired());
}

TEST_CASE("what stands behind urgent data is told, though no news of it come") {
    asio::io_context io;
    asio::ip::tcp::acceptor acceptor{io, {asio::ip::address_v4::loopback(), 0}};
    asio::ip::tcp::socket peer{io};
    peer.connect(acceptor.local_endpoint());
    auto socket = acceptor.accept();
    socket.non_blocking(true);
    ReadWatch watch;
    watch.start(io.get_executor(), socket.native_handle());
    peer.send(asio::buffer("abc", 3));
    peer.send(asio::buffer("!", 1), asio::socket_base::message_out_of_band);
    peer.send(asio::buffer("def", 3));
    std::string got;
    while (got.size() < 6) {
        const auto waiter = std::make_shared<Waiter>();
        watch.wait(waiter);
        turn(io);
        REQUIRE(waiter->told == 1);
        std::array<char, 100> bytes{};
        std::error_code error;
        const auto count = socket.read_some(asio::buffer(bytes), error);
        got.append(bytes.data(), count);
        watch.drained(error == asio::error::would_block);
    }
    CHECK(got == "abcdef");
    const auto quiet = std::make_shared<Waiter>();
    watch.wait(quiet);
    turn(io);
    std::array<char, 100> bytes{};
    std::error_code error;
    socket.read_some(asio::buffer(bytes), error);
    CHECK(error == asio::error::would_block);
    watch.drained(true);
    const auto still = std::make_shared<Waiter>();
    if (quiet->told == 1) watch.wait(still);
    turn(io);
    CHECK(still->told == 0);
    watch.stop();
}

TEST_CASE("what was looked at lately is not looked at again") {
    asio::io_context io;
    Pair pair{io};
    auto& poller = *ReadPoller::of(io.get_executor());
    poller.collect();
    pair.peer_sends("x");
    poller.collect(std::chrono::hours{1});
    CHECK(pair.watch.is_quiet());
    poller.collect();
    CHECK_FALSE(pair.watch.is_quiet());
}

TEST_CASE("watches that nobody waits with may be stopped by another thread while the loop runs") {
    asio::io_context io;
    Pair busy{io};
    std::vector<std::unique_ptr<Pair>> idle;
    for (int i = 0; i < 200; ++i) idle.push_back(std::make_unique<Pair>(io));
    int turns = 0;
    std::function<void()> again = [&] {
        if (++turns < 20'000) wait(busy, again);  // it is never read, and so told at once
    };
    busy.peer_sends("x");
    wait(busy, again);
    std::thread loop{[&io] { io.run(); }};
    for (auto& each : idle) {
        each->peer_sends("x");  // news that comes while it is stopped
        each.reset();
    }
    loop.join();
    CHECK(turns == 20'000);
}

TEST_CASE("a child process has a poller of its own") {
    asio::io_context io;
    Pair pair{io};
    Pair early{io};
    const auto waiter = wait(pair);
    early.peer_sends("before");
    turn(io);
    // As in the child: what it does is what is tested, and nobody else uses the former one here.
    io.notify_fork(asio::io_context::fork_prepare);
    io.notify_fork(asio::io_context::fork_child);
    turn(io);
    CHECK(waiter->told == 0);
    pair.peer_sends("x");
    turn(io);
    CHECK(waiter->told == 1);
    const auto known = wait(early);
    turn(io);
    CHECK(known->told == 1);
}

TEST_CASE("a waiter may run the loop itself, and is told there") {
    asio::io_context io;
    Pair outer{io};
    Pair inner{io};
    int told = 0;
    wait(outer, [&] {
        inner.peer_sends("a");
        wait(inner, [&] {
            CHECK(inner.read(1) == "a");
            inner.peer_sends("b");
            wait(inner, [&] { ++told; });
        });
        for (int i = 0; i < 10 && told == 0; ++i) io.poll_one();
        CHECK(told == 1);
    });
    outer.peer_sends("x");
    turn(io);
    CHECK(told == 1);
}

TEST_CASE("a loop that is stopped tells nobody more, and the rest when it goes on") {
    asio::io_context io;
    Pair a{io};
    Pair b{io};
    int told = 0;
    const auto stop = [&] {
        ++told;
        io.stop();
    };
    wait(a, stop);
    wait(b, stop);
    a.peer_sends("x");
    b.peer_sends("x");
    io.run();
    CHECK(told == 1);
    io.restart();
    io.run();
    CHECK(told == 2);
}

TEST_CASE("only a loop's own executor has a poller: a strand's thread may change") {
    asio::io_context io;
    ReadWatch watch;
    watch.start(asio::make_strand(io), 0);
    CHECK_FALSE(watch.is_on());
    watch.stop();
    watch.drained(false);
}
