// What piled requests up on one backend in other routers, through the gateway and over real sockets.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "programs/world.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"

namespace {

using namespace std::chrono_literals;
using fairlead::test::RawPeer;
using test::chat;
using test::post;
using test::status_of;
using test::World;

/// A prompt that no cache knows, each as long as the others.
std::string new_prompt(int number) {
    return post(chat, R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"prompt )" +
                          std::to_string(1000 + number) + "\"}]}");
}

/// A backend that answers with this status at once.
class Refuser {
  public:
    explicit Refuser(int status) : status_{status} {}
    std::string url() const { return peer_.url(); }
    void set_status(int status) { status_.store(status, std::memory_order_relaxed); }
    int asked() const { return asked_.load(std::memory_order_relaxed); }

  private:
    void serve(RawPeer::Connection& connection) {
        while (!connection.read_request().empty()) {
            asked_.fetch_add(1, std::memory_order_relaxed);
            const auto status = std::to_string(status_.load(std::memory_order_relaxed));
            if (!connection.send("HTTP/1.1 " + status + " So\r\nContent-Length: 2\r\n\r\n{}")) return;
        }
    }

    std::atomic<int> status_;
    std::atomic<int> asked_{0};
    RawPeer peer_{[this](RawPeer::Connection& connection) { serve(connection); }};
};

}  // namespace

TEST_CASE("while all engines compute their first prompts, the next ones are spread as if they had answered") {
    World world;
    world.settings.strategy = GENERATE("prefix_affinity", "least_tokens", "least_connections");
    INFO(world.settings.strategy);
    for (const std::string name : {"a", "b", "c"}) {
        mock_llm::Options options;
        options.name = name;
        options.model = "m";
        options.speed.first_token = 1h;  // nothing is answered, heads of answers included
        world.backend(options);
    }
    world.start();
    std::vector<test::RawClient> clients;
    for (int i = 0; i < 12; ++i) clients.emplace_back(world.gateway().url()).send(new_prompt(i));
    REQUIRE(world.eventually([&] { return world.in_flight() == clients.size(); }));
    // Equal prompts, and each goes where least waits: four to each.
    for (const auto& backend : world.gateway().balancer().snapshot()) {
        INFO(backend.config.name);
        CHECK(backend.in_flight == 4);
    }
}

TEST_CASE("a backend that answers 503 at once draws no more than its share, though it always looks idle") {
    constexpr int callers = 6;
    constexpr int each = 20;
    Refuser broken{503};
    World world;
    world.settings.strategy =
        GENERATE("prefix_affinity", "least_tokens", "least_connections", "response_time");
    INFO(world.settings.strategy);
    world.settings.options.ejection = false;  // the choice alone has to see it
    world.settings.options.health_check = false;
    world.settings.options.retry_budget_ratio = 1;
    for (const std::string name : {"a", "b", "c"}) {
        mock_llm::Options options;
        options.name = name;
        options.model = "m";
        options.speed.first_token = 10ms;
        world.backend(options);
    }
    world.backend_at("broken", broken.url());
    world.start();
    std::atomic<int> answered{0};
    std::atomic<int> next{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < callers; ++i) {
        threads.emplace_back([&] {
            auto client = world.connect();
            for (int k = 0; k < each; ++k)
                answered += status_of(client.send(new_prompt(next++)).read_response()) == 200 ? 1 : 0;
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(answered == callers * each);
    // A quarter is what a rotation would give it; who looks at what is in flight alone gives it nearly all.
    CHECK(broken.asked() <= callers * each / 4);
}

TEST_CASE("requests that are refused with 4xx, however many, make no backend unhealthy") {
    Refuser strict{400};
    World world;
    world.settings.strategy = GENERATE("prefix_affinity", "round_robin");
    world.settings.options.health_check = false;
    world.backend_at("strict", strict.url());
    world.backend("other");
    world.start();
    auto client = world.connect();
    int refused = 0;
    for (const int status : {400, 404, 413, 422}) {
        strict.set_status(status);
        for (int i = 0; i < 50; ++i) {
            const auto got = status_of(client.send(new_prompt(i)).read_response());
            CHECK((got == status || got == 200));
            refused += got == status ? 1 : 0;
        }
    }
    CHECK(refused == strict.asked());  // none was tried again elsewhere
    CHECK(refused >= 40);              // about half of 200 came there
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    for (const auto& backend : world.gateway().balancer().snapshot()) {
        INFO(backend.config.name);
        CHECK(backend.state == fairlead::BackendState::healthy);
        CHECK(backend.failed == 0);
        CHECK(backend.consecutive_failures == 0);
    }
    CHECK(world.gateway().balancer().totals().retries == 0);
}
