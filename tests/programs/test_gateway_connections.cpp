// More clients than the gateway has places for, on several threads.
#include <algorithm>
#include <cstddef>
#include <future>
#include <utility>
#include <vector>

#include "gateway/descriptors.hpp"
#include "programs/world.hpp"
#include "support/catch.hpp"

using test::get;
using test::status_of;
using test::World;

TEST_CASE("more clients than there are places for are all served, and never more of them are connected") {
    World world{GENERATE(1U, 3U)};
    world.max_connections = 4;
    world.start();
    constexpr int clients = 8;
    constexpr int wanted = 200;
    // Each asks three times over one connection, and leaves it idle where it was not closed before.
    const auto ask = [&world] {
        std::vector<test::RawClient> left;
        std::size_t most = 0;
        for (int answers = 0; answers < wanted;) {
            auto client = world.connect();
            for (int i = 0; i < 3; ++i) {
                // Empty where it had to make room just when it asked.
                if (status_of(client.send(get("/health")).read_response()) != 200) break;
                ++answers;
                most = std::max(most, world.gateway().connections());
            }
            left.push_back(std::move(client));
            if (left.size() > 10) left.clear();
        }
        return most;
    };
    std::vector<std::future<std::size_t>> asking;
    for (int i = 0; i < clients; ++i) asking.push_back(std::async(std::launch::async, ask));
    for (auto& each : asking) CHECK(each.get() <= world.max_connections);
}

TEST_CASE("half of the descriptors are for clients, but for some, and a few there are at any rate") {
    CHECK(gateway::descriptors_for_clients(1024) == 480);
    CHECK(gateway::descriptors_for_clients(64) == 16);
    CHECK(gateway::descriptors_for_clients(0) == 16);
    CHECK(gateway::descriptors_for_admin(480) == 60);
    CHECK(gateway::descriptors_for_admin(16) == 16);
}
