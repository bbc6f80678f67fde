// Every way in which a backend fails, over real sockets: no client sees it while a good backend is left.
#include <malloc.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "faults/fleet_of_peers.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

std::size_t open_files() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator{"/proc/self/fd"}) ++count;
    return count;
}

/// Sends its answer a byte each 10 ms, for as long as somebody listens.
void slow_loris(RawPeer::Connection& c) {
    c.send("HTTP/1.1 200 OK\r\nX-Slow: ");
    for (;;) {
        pollfd closed{c.socket(), POLLIN, 0};
        if (::poll(&closed, 1, 10) != 0 || !c.send("x")) return;
    }
}

struct Case {
    const char* name;
    Fault fault;
    BackendState leads_to = BackendState::unhealthy;
};

const Case cases[] = {
    {"accepts, then silence", [](RawPeer::Connection& c) { c.wait_for_close(); }},
    {"silence in mid-answer",
     [](RawPeer::Connection& c) {
         c.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
         c.wait_for_close();
     }},
    {"reset", [](RawPeer::Connection& c) { c.reset(); }},
    {"closes without an answer", [](RawPeer::Connection&) {}},
    {"500", [](RawPeer::Connection& c) { c.send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"); }},
    {"429",
     [](RawPeer::Connection& c) {
         c.send("HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n");
     },
     BackendState::resting},
    {"truncated body",
     [](RawPeer::Connection& c) { c.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"); }},
    {"garbage", [](RawPeer::Connection& c) { c.send("\x16\x03 this is no HTTP\r\n\r\n"); }},
    {"slow loris", slow_loris},
};

/// What the figures of a fault are, for the log.
void show(const char* name, int requests, Duration out, Duration back) {
    const auto ms = [](Duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
    std::printf("%-26s out after %6.1f ms and back after %6.1f ms, over %5d requests\n", name, ms(out),
                ms(back), requests);
}

/// From health to failure and back, under requests.
void run(const Case& fault) {
    const std::size_t files = open_files();
    {
        FleetOfPeers fleet{fault.fault};
        fleet.send(30);
        REQUIRE(fleet.errors == 0);
        fleet.faulty.fail();
        const Duration out = fleet.send_until(fault.leads_to);
        CHECK(out < 20s);
        fleet.send(30);
        fleet.faulty.mend();
        const Duration back = fleet.send_until(BackendState::healthy);
        CHECK(back < 20s);
        fleet.send(30);
        CHECK(fleet.errors == 0);
        CHECK(fleet.in_flight() == 0);
        show(fault.name, fleet.requests, out, back);
    }
    CHECK(open_files() == files);
}

}  // namespace

TEST_CASE("no client sees a failing backend while a good one is left, and it comes back by itself") {
    for (const auto& fault : cases) {
        INFO(fault.name);
        run(fault);
    }
}

TEST_CASE("a backend that is restarted on its port is out while it is away, and back when it is") {
    FleetOfPeers fleet{[](RawPeer::Connection&) {}};
    fleet.send(30);
    fleet.faulty.stop();  // its connections break, and then are refused
    const Duration out = fleet.send_until(BackendState::unhealthy);
    CHECK(out < 20s);
    CHECK(figures(fleet.balancer, "faulty").last_failure == Outcome::connect_error);
    fleet.faulty.mend();
    const Duration back = fleet.send_until(BackendState::healthy);
    CHECK(back < 20s);
    CHECK(fleet.errors == 0);
    CHECK(fleet.in_flight() == 0);
    show("refused, then restarted", fleet.requests, out, back);
}

TEST_CASE("a name that cannot be found takes its backend out, and a better url brings it back at once") {
    FleetOfPeers fleet{[](RawPeer::Connection&) {}, "http://no-such-host.invalid"};
    const Duration out = fleet.send_until(BackendState::unhealthy);
    CHECK(out < 20s);
    const std::string url = fleet.faulty.url();
    REQUIRE_FALSE(fleet.balancer.update("faulty", [&](BackendConfig& config) { config.url = url; }));
    CHECK(fleet.state == BackendState::healthy);
    fleet.send(60);
    CHECK(figures(fleet.balancer, "faulty").succeeded >= 15);
    CHECK(fleet.errors == 0);
    CHECK(fleet.in_flight() == 0);
    show("name not found", fleet.requests, out, Duration::zero());
}

TEST_CASE("a backend ten times slower holds nobody up but those that it serves") {
    // 10 ms for each answer; the others take what loopback takes. Eight at a time wait for the slowest of
    // them.
    FleetOfPeers fleet{[](RawPeer::Connection& c) {
        do {
            pollfd closed{c.socket(), POLLIN, 0};
            if (::poll(&closed, 1, 10) != 0) return;
        } while (c.send(answer("ok")) && !c.read_request().empty());
    }};
    fleet.faulty.fail();
    fleet.send(120);
    CHECK(fleet.errors == 0);
    CHECK(fleet.state == BackendState::healthy);
    CHECK(figures(fleet.balancer, "faulty").succeeded == 40);
    CHECK(fleet.in_flight() == 0);
}

TEST_CASE("while every backend fails the client hears of it, and all is well when one is back") {
    FleetOfPeers fleet{[](RawPeer::Connection& c) { c.reset(); }};
    REQUIRE_FALSE(fleet.balancer.remove("one"));
    REQUIRE_FALSE(fleet.balancer.remove("two"));
    fleet.faulty.fail();
    fleet.send(16);
    CHECK(fleet.errors == 16);
    fleet.faulty.mend();
    fleet.send_until(BackendState::healthy);
    fleet.errors = 0;
    fleet.send(16);
    CHECK(fleet.errors == 0);
    CHECK(fleet.in_flight() == 0);
}

#if !FAIRLEAD_UNDER_SANITIZER
TEST_CASE("memory in use ends where it began") {
    // Sanitizers look for leaks by themselves, and their malloc tells no such figures.
    const auto in_use = [] { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; };
    std::size_t after[4] = {};
    for (auto& each : after) {
        run(cases[2]);
        each = in_use();
    }
    // Once warm, a round of some hundred requests and failures leaves nothing: 16 KiB are the allocator's
    // own.
    CHECK(after[3] < after[1] + std::size_t{16} * 1024);
}
#endif
