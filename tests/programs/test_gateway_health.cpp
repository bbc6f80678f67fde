// The gateway's health checks: what probes find decides who serves, and the loop still runs dry at the end.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "programs/world.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"

namespace {

using fairlead::BackendState;
using fairlead::test::RawPeer;
using test::hello;
using test::World;
using namespace std::chrono_literals;

/// Answers completions always, and GET /v1/models as it is told.
class Engine {
  public:
    enum Health { good, fails, hangs };

    explicit Engine(std::string name) : name_{std::move(name)} {}

    void set(Health health) { health_.store(health, std::memory_order_release); }
    int probes() const { return probes_.load(std::memory_order_acquire); }

    fairlead::BackendConfig config() const {
        fairlead::BackendConfig config;
        config.name = name_;
        config.model_name = "m";
        config.url = peer_.url();
        return config;
    }

  private:
    std::string name_;
    std::atomic<Health> health_{good};
    std::atomic<int> probes_{0};
    RawPeer peer_{[this](RawPeer::Connection& c) {
        for (std::string request; !(request = c.read_request()).empty();) {
            const bool probe = request.starts_with("GET /v1/models ");
            if (probe) probes_.fetch_add(1, std::memory_order_acq_rel);
            const auto health = probe ? health_.load(std::memory_order_acquire) : good;
            if (health == hangs) return c.wait_for_close();
            c.send(std::string{"HTTP/1.1 "} + (health == good ? "200 OK" : "500 Oh") +
                   "\r\nContent-Length: " + std::to_string(name_.size()) + "\r\n\r\n" + name_);
        }
    }};
};

BackendState state_of(World& world, std::string_view name) {
    for (const auto& each : world.gateway().balancer().snapshot()) {
        if (each.config.name == name) return each.state;
    }
    return BackendState::disabled;
}

void probe_fast(World& world) {
    world.settings.options.health_check_interval = 5ms;
    world.settings.options.health_check_timeout = 20ms;
}

TEST_CASE("a backend whose probes fail or hang is taken out and returns, and no client sees an error") {
    Engine first{"a"};
    Engine second{"b"};
    World world;
    probe_fast(world);
    world.settings.backends = {first.config(), second.config()};
    world.start();
    for (const auto how : {Engine::fails, Engine::hangs}) {
        second.set(how);
        REQUIRE(world.eventually([&] { return state_of(world, "b") == BackendState::unhealthy; }));
        for (int i = 0; i < 4; ++i)
            CHECK(test::body_of(world.ask(test::post("/v1/chat/completions", hello))) == "a");
        second.set(Engine::good);
        REQUIRE(world.eventually([&] { return state_of(world, "b") == BackendState::healthy; }));
        REQUIRE(world.eventually(
            [&] { return test::body_of(world.ask(test::post("/v1/chat/completions", hello))) == "b"; }));
    }
    CHECK(world.gateway().health().running());
}

TEST_CASE("the gateway ends while probes hang") {
    Engine engine{"a"};
    engine.set(Engine::hangs);
    World world{2};
    probe_fast(world);
    world.settings.options.health_check_timeout = 1h;
    world.settings.backends = {engine.config()};
    world.start();
    REQUIRE(world.eventually([&] { return engine.probes() == 1; }));
}

TEST_CASE("a single backend that nothing is balanced over is not probed") {
    Engine engine{"a"};
    World world;
    probe_fast(world);
    world.settings.mode = fairlead::Mode::single_backend;
    world.settings.backends = {engine.config()};
    world.start();
    CHECK_FALSE(world.gateway().health().running());
    for (int i = 0; i < 200; ++i) world.ask(test::get("/health"));
    CHECK(engine.probes() == 0);
}

}  // namespace
