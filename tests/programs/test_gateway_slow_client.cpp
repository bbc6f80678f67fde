// Clients that ask for long streams and read nothing: who waits for them, and what is kept meanwhile.
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "programs/flood.hpp"
#include "programs/world.hpp"
#include "support/catch.hpp"
#include "support/memory.hpp"
#include "support/sanitizers.hpp"
#include "support/socket_queues.hpp"

namespace {

using test::body_of;
using test::chat;
using test::Flood;
using test::hello;
using test::post;
using test::RawClient;
using test::status_of;
using test::World;

constexpr std::int64_t mebibyte = std::int64_t{1024} * 1024;
constexpr int clients = 3;

// Far more than the sockets between engine and client take in, which is the system's to say: 4 to 8 MiB of
// each stream were seen.
constexpr std::uint64_t stream_size = 24 * mebibyte;

// The gateway reads up to 64 KiB at once and keeps what its client does not take; the same again for chunks'
// lines, a head, and the allocator's rounding.
constexpr std::int64_t kept_in_gateway = 128 * 1024;

const std::string flood_request = R"({"model":"flood","messages":[],"stream":true})";

/// A gateway before one engine that streams much and one that answers at once.
struct SlowWorld {
    explicit SlowWorld(unsigned threads) : world{threads} {
        world.settings.options.health_check = false;  // a probe would get a stream, too
        world.backend_at("flood", flood.url(), "flood");
        world.backend("quick", "m");
        world.start();
    }

    RawClient ask_for_stream(const std::string& headers = {}) {
        auto client = world.connect();
        client.send(post(chat, flood_request, headers));
        return client;
    }

    /// Whether the engine comes to a standstill while other clients are served: 200 requests and answers in a
    /// row through the same gateway, whose loop has turned as often, without one more byte taken of it.
    bool stands_still() {
        const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
        auto other = world.connect();
        std::uint64_t last = 0;
        for (int calm = 0; calm < 200; ++calm) {
            if (status_of(other.send(post(chat, hello)).read_response()) != 200) return false;
            if (const auto now = flood.written(); now != last) {
                last = now;
                calm = 0;
            }
            if (std::chrono::steady_clock::now() > end) return false;
        }
        return true;
    }

    /// Nothing is under way any more, and nobody has failed.
    void check_accounts() {
        CHECK(world.eventually([&] { return world.in_flight() == 0; }));
        for (const auto& backend : world.gateway().balancer().snapshot()) {
            INFO(backend.config.name);
            CHECK(backend.tokens_in_flight == 0);
            CHECK(backend.waiting_tokens == 0);
            CHECK(backend.decoding == 0);
            CHECK(backend.failed == 0);
        }
    }

    Flood flood{stream_size};  // before the world: it waits until the gateway has let go of its streams
    World world;
};

}  // namespace

TEST_CASE(
    "who reads nothing slows its own stream, not the gateway nor its memory, and misses nothing later") {
    SlowWorld slow{GENERATE(1U, 2U)};
    REQUIRE(status_of(slow.world.ask(post(chat, hello))) == 200);  // what is made once is made
    const auto before = test::resident_bytes();
    std::vector<RawClient> readers;
    for (int i = 0; i < clients; ++i) readers.push_back(slow.ask_for_stream("Connection: close\r\n"));
    REQUIRE(slow.world.eventually([&] { return slow.flood.begun() == clients; }));
    REQUIRE(slow.stands_still());
    CHECK(slow.world.in_flight() == clients);

    const auto written = static_cast<std::int64_t>(slow.flood.written());
    const auto in_sockets =
        test::bytes_in_sockets({test::port_of(slow.flood.url()), test::port_of(slow.world.gateway().url())});
    const auto grown = test::resident_bytes() - before;
    INFO("written " << written / 1024 << " KiB, in sockets " << in_sockets / 1024 << " KiB, memory grown by "
                    << grown / 1024 << " KiB");
    CHECK(written < clients * std::int64_t{stream_size});
    CHECK(written - in_sockets <= clients * kept_in_gateway);
    // The whole process, with the engine and the clients in it: their threads' stacks are the rest.
    // Sanitizers keep memory of their own, and what was freed.
    if (!FAIRLEAD_UNDER_SANITIZER) CHECK(grown <= clients * kept_in_gateway + 4 * mebibyte);

    for (auto& reader : readers) {
        const auto answer = reader.read_all();
        CHECK(status_of(answer) == 200);
        CHECK(slow.flood.is_whole(body_of(answer)));
    }
    CHECK(slow.flood.written() == std::uint64_t{clients} * slow.flood.size());
    CHECK(slow.flood.left() == 0);
    slow.check_accounts();
}

TEST_CASE("who leaves without having read frees its engine, though a part of the stream waits for it") {
    SlowWorld slow{GENERATE(1U, 2U)};
    std::vector<RawClient> readers;
    for (int i = 0; i < clients; ++i) readers.push_back(slow.ask_for_stream());
    REQUIRE(slow.world.eventually([&] { return slow.flood.begun() == clients; }));
    REQUIRE(slow.stands_still());
    CHECK(slow.world.in_flight() == clients);
    CHECK(slow.flood.left() == 0);

    readers.clear();
    CHECK(slow.world.eventually([&] { return slow.flood.left() == clients; }));
    slow.check_accounts();
    CHECK(status_of(slow.world.ask(post(chat, hello))) == 200);
}
