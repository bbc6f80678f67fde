// A refusal says why, and costs no look over the fleet when the one before it found the same.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/consistent_hash.hpp>

#include <atomic>
#include <string>
#include <thread>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// Rotation that counts how often it was asked: a look over a group asks it first.
struct Counted : RoundRobin {
    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        ++picks();
        return RoundRobin::pick(table, candidates, pick);
    }
    static int& picks() {
        static int n = 0;
        return n;
    }
};

struct Refusing {
    explicit Refusing(std::vector<BackendConfig> backends, const Options& options = {}, bool first = true)
        : core{options, Counted{}, clock} {
        write([&](detail::Roster& roster, Time now) {
            for (auto& backend : backends) REQUIRE_FALSE(roster.add(std::move(backend), now, first));
        });
    }

    template <class Change>
    void write(Change&& change) {
        core.write([&](detail::Roster& roster, Time now) {
            change(roster, now);
            return 0;
        });
    }

    /// Picks that one more `select` makes; it is refused with `reason`.
    int picks_of_refusal(Errc reason) {
        const int before = Counted::picks();
        CHECK(core.select({}).error() == reason);
        return Counted::picks() - before;
    }

    /// Puts another reason in the place of the one that was found: whoever gives it did not look.
    bool is_told_without_a_look() {
        const auto snapshot = core.current();
        auto& reason = snapshot->pool.no_place.reason;
        const Errc found = reason.exchange(Errc::queue_full, std::memory_order_relaxed);
        const bool told = core.select({}).error() == Errc::queue_full;
        reason.store(found, std::memory_order_relaxed);
        return told;
    }

    ManualClock clock;
    detail::Core<Counted, ManualClock> core;
};

TEST_CASE("the second refusal looks at nobody, however many are full") {
    Refusing f{fleet(100, 1)};
    std::vector<Lease> leases;
    for (int i = 0; i < 100; ++i) leases.push_back(f.core.select({}));
    CHECK(f.picks_of_refusal(Errc::all_full) > 0);
    CHECK(f.picks_of_refusal(Errc::all_full) == 0);
    CHECK(f.is_told_without_a_look());
    f.core.report(std::move(leases[7]), Outcome::success);
    CHECK(f.core.select({}));
}

TEST_CASE("nor does it while others are ejected, resting or warming") {
    Options options;
    options.slow_start = 10s;
    Refusing f{fleet(6, 1), options};
    f.write([](detail::Roster& roster, Time now) {
        roster.eject(*roster.find("b0"), "test", now);
        REQUIRE_FALSE(roster.remove("b1", now));
        REQUIRE_FALSE(roster.add(std::move(fleet(2, 1)[1]), now, false));  // warms up
    });
    std::vector<Lease> leases;
    for (int i = 0; i < 5; ++i) leases.push_back(f.core.select({}));
    REQUIRE(leases.back());
    f.core.report(std::move(leases.back()), Outcome::rate_limited);
    REQUIRE(f.core.roster().due().is_pending());
    CHECK(f.picks_of_refusal(Errc::all_full) > 0);
    CHECK(f.picks_of_refusal(Errc::all_full) == 0);
    CHECK(f.is_told_without_a_look());
    f.clock.advance(5s);  // the rest is over
    CHECK(f.core.select({}));
}

TEST_CASE("when all rest, each refusal tells how long the shortest rest still lasts") {
    Refusing f{fleet(2)};
    Outcome longer = Outcome::rate_limited;
    longer.retry_after = 8s;
    one(f.core, longer, Criteria{});
    one(f.core, Outcome::rate_limited, Criteria{});  // 5 s
    CHECK(f.core.select({}).retry_after() == Duration{5s});
    CHECK(f.is_told_without_a_look());
    f.clock.advance(2s);
    CHECK(f.core.select({}).retry_after() == Duration{3s});
    f.clock.advance(3s);
    CHECK(f.core.select({}));
}

TEST_CASE("a limit within its slow start is seen to rise after refusals") {
    // 10 connections, from 10 % to 100 % in 9 s: one more each second. Beside it one that is warm, and full:
    // where none is, there is no slow start.
    Options options;
    options.slow_start = 9s;
    Refusing f{fleet(1, 10), options, false};
    f.write([](detail::Roster& roster, Time now) {
        REQUIRE_FALSE(roster.add({.name = "warm", .url = "http://h", .max_connections = 1}, now, true));
    });
    std::string_view b0[] = {"b0"};
    const Lease warm = f.core.select({.exclude = b0});
    REQUIRE(warm);
    std::vector<Lease> leases;
    for (int i = 1; i <= 10; ++i) {
        leases.push_back(f.core.select({}));
        CHECK(leases.back());
        CHECK(f.core.select({}).error() == Errc::all_full);
        f.clock.advance(999ms);
        CHECK(f.picks_of_refusal(Errc::all_full) == 0);
        f.clock.advance(1ms + 1us);  // and what floating point may be off
    }
    CHECK(f.core.select({}).error() == Errc::all_full);
}

TEST_CASE("what one request excludes does not decide for the others") {
    Refusing f{fleet(2, 1)};
    const Lease lease = f.core.select({});
    const std::string_view other[] = {lease->name == "b0" ? "b1" : "b0"};
    CHECK(f.core.select({.exclude = other}).error() == Errc::all_full);
    const Lease last = f.core.select({});
    REQUIRE(last);
    CHECK(f.core.select({}).error() == Errc::all_full);
    const std::string_view both[] = {"b0", "b1"};
    CHECK(f.core.select({.exclude = both}).error() == Errc::all_excluded);
    CHECK(f.core.select({.exclude = other}).error() == Errc::all_full);
}

/// Requests without a pause on another thread, while `change(round)` is done some times: how many were
/// refused.
template <class Balancer, class Change>
int refused_during(Balancer& balancer, const Change& change) {
    std::atomic<bool> began{false};
    std::atomic<bool> ended{false};
    int refused = 0;
    std::thread requests{[&] {
        // Relaxed: the end may be seen later.
        while (!ended.load(std::memory_order_relaxed)) {
            Lease lease = balancer.select();
            if (!lease) ++refused;
            balancer.report(std::move(lease), Outcome::success);
            began.store(true, std::memory_order_relaxed);
        }
    }};
    while (!began.load(std::memory_order_relaxed)) std::this_thread::yield();
    for (int round = 1; round <= 15; ++round) change(round);
    ended.store(true, std::memory_order_relaxed);
    requests.join();
    return refused;
}

// A table of consistent_hash takes long to build: long enough to be met by a request in every one of the
// rounds.

TEST_CASE("no request is refused while every backend is given another config in one go") {
    Balancer<ConsistentHash> balancer{fleet(20)};
    const auto change = [&](int round) {
        balancer.change([&](FleetChange& changes) {
            for (int i = 0; i < 20; ++i) {
                changes.update("b" + std::to_string(i), [&](BackendConfig& config) {
                    config.weight = static_cast<std::uint32_t>(1 + round % 7);
                });
            }
        });
    };
    CHECK(refused_during(balancer, change) == 0);
}

TEST_CASE("no request is refused while one fleet takes the place of another in one go") {
    Balancer<ConsistentHash> balancer{{{.name = "0", .url = "http://10.0.0.1:8000"}}};
    const auto change = [&](int round) {
        balancer.change([&](FleetChange& changes) {
            changes.add({.name = std::to_string(round), .url = "http://10.0.0.1:8000"});
            changes.remove(std::to_string(round - 1));
        });
    };
    CHECK(refused_during(balancer, change) == 0);
}

}  // namespace
