// A picture that cannot be drawn, for want of memory, is drawn when there is some: no state is lost for ever.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <new>
#include <string_view>
#include <utility>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// Rotation that finds no memory for its table, once.
struct Starved : RoundRobin {
    Table build(std::span<const Candidate> candidates) const {
        if (std::exchange(fails(), false)) throw std::bad_alloc{};
        return RoundRobin::build(candidates);
    }
    static bool& fails() {
        static bool fails = false;
        return fails;
    }
};

struct Starving {
    explicit Starving(std::size_t backends) : balancer{fleet(backends), seeded(), {}, {}, clock} {}

    static Options seeded() {
        Options options = without_chance();
        options.success_threshold = 1;
        return options;
    }
    /// Requests of 100 that went to "b0" and well.
    int served_by_b0() {
        int served = 0;
        for (int i = 0; i < 100; ++i) served += one(balancer) == "b0" ? 1 : 0;
        return served;
    }

    ManualClock clock;
    Balancer<Starved, NoTransport, ManualClock> balancer;
    std::string_view others[1] = {"b1"};
};

TEST_CASE("an ejected backend comes back although there was no memory when its time was up") {
    Starving f{2};
    for (int i = 0; i < 3; ++i)
        REQUIRE(one(f.balancer, Outcome::server_error, {.exclude = f.others}) == "b0");
    REQUIRE(f.served_by_b0() == 0);
    f.clock.advance(10s);
    Starved::fails() = true;
    CHECK(one(f.balancer) == "b1");  // by the old picture
    REQUIRE_FALSE(Starved::fails());
    f.clock.advance(1ms);
    CHECK(f.served_by_b0() >= 49);
    CHECK(figures(f.balancer, "b0").state == BackendState::healthy);
}

TEST_CASE("a backend is ejected a moment later where there was no memory when it failed") {
    Starving f{2};
    for (int i = 0; i < 3; ++i) {
        Starved::fails() = i == 2;
        REQUIRE(one(f.balancer, Outcome::server_error, {.exclude = f.others}) == "b0");
    }
    REQUIRE_FALSE(Starved::fails());
    CHECK(figures(f.balancer, "b0").state == BackendState::unhealthy);
    f.clock.advance(1ms);
    CHECK(f.served_by_b0() == 0);
}

TEST_CASE("an update that found no memory says so, and the backend serves all the same") {
    Starving f{1};
    REQUIRE(one(f.balancer) == "b0");
    BackendConfig config = fleet(1)[0];
    config.weight = 7;
    Starved::fails() = true;
    CHECK_THROWS_AS(f.balancer.update(config), std::bad_alloc);
    f.clock.advance(1ms);
    CHECK(f.served_by_b0() == 100);
    CHECK(figures(f.balancer, "b0").config.weight == 7);
}

TEST_CASE("a drain's end is called although there was no memory for the picture") {
    Starving f{2};
    int ends = 0;
    std::size_t told = 0;
    f.balancer.on_event([&](const Event& event) { told += event.kind == Event::Kind::drained ? 1 : 0; });
    Starved::fails() = true;
    CHECK_THROWS_AS(f.balancer.drain("b0", [&](std::error_code) { ++ends; }), std::bad_alloc);
    CHECK(ends == 1);
    CHECK(told == 1);
    CHECK(f.served_by_b0() == 0);
}

}  // namespace
