// A thread that chooses by a picture of the fleet while the next one is drawn.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <functional>
#include <thread>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// The first by name that can take one. While a table is built, something else may happen: what takes long
/// enough for it in a large fleet.
struct Interrupted {
    static constexpr std::string_view name = "interrupted";
    struct Table {};

    Table build(std::span<const Candidate>) const {
        if (const auto happens = std::exchange(meanwhile(), {})) happens();
        return {};
    }
    std::size_t pick(const Table&, std::span<const Candidate> candidates, Pick&) const noexcept {
        std::size_t best = 0;
        for (std::size_t i = 1; i < candidates.size(); ++i) {
            const bool could = candidates[best].can_take();
            if (could != candidates[i].can_take() ? !could : candidates[i].name() < candidates[best].name())
                best = i;
        }
        return best;
    }

    static std::function<void()>& meanwhile() {
        static std::function<void()> happens;
        return happens;
    }
};

using Interruptible = Balancer<Interrupted, NoTransport, ManualClock>;

struct Pictures {
    ManualClock clock;
    Options options = without_chance();

    /// What another thread chooses while the picture is drawn that `change` makes necessary.
    template <class Change>
    static Lease chosen_meanwhile(Interruptible& balancer, const Change& change) {
        Lease chosen;
        Interrupted::meanwhile() = [&] { std::thread{[&] { chosen = balancer.select(); }}.join(); };
        change();
        return chosen;
    }
};

TEST_CASE("a picture in which a backend is on trial gives nobody a trial when it is in service again") {
    Pictures f;
    f.options.success_threshold = 1;
    Interruptible balancer{fleet(2), f.options, {}, {}, f.clock};
    for (int i = 0; i < 3; ++i) REQUIRE(one(balancer, Outcome::server_error) == "b0");
    f.clock.advance(10s);
    Lease trial = balancer.select();
    REQUIRE(trial->name == "b0");
    const Lease meanwhile =
        Pictures::chosen_meanwhile(balancer, [&] { balancer.report(std::move(trial), Outcome::success); });
    CHECK(meanwhile->name == "b1");
    REQUIRE(figures(balancer, "b0").state == BackendState::healthy);
    const Lease first = balancer.select();
    const Lease second = balancer.select();
    CHECK(first->name == "b0");
    CHECK(second->name == "b0");
}

TEST_CASE("one failure of a backend in service is no failed trial, though a picture of a panic chose it") {
    Pictures f;
    f.options.success_threshold = 1;
    f.options.panic_threshold = 0.5;
    f.options.max_ejected = 1.0;
    Interruptible balancer{fleet(4), f.options, {}, {}, f.clock};
    std::string_view others[] = {"b0", "b1"};
    for (int i = 0; i < 3; ++i) REQUIRE(one(balancer, Outcome::server_error) == "b0");
    for (int i = 0; i < 3; ++i) REQUIRE(one(balancer, Outcome::server_error) == "b1");
    for (int i = 0; i < 3; ++i) REQUIRE(one(balancer, Outcome::server_error, {.exclude = others}) == "b2");
    f.clock.advance(10s);  // three of four are on trial: a panic
    Lease trial = balancer.select();
    REQUIRE(trial->name == "b0");
    Lease meanwhile =
        Pictures::chosen_meanwhile(balancer, [&] { balancer.report(std::move(trial), Outcome::success); });
    REQUIRE(meanwhile->name == "b0");
    REQUIRE(figures(balancer, "b0").state == BackendState::healthy);
    balancer.report(std::move(meanwhile), Outcome::server_error);
    CHECK(figures(balancer, "b0").state == BackendState::healthy);
    CHECK(figures(balancer, "b0").consecutive_failures == 1);
}

}  // namespace
