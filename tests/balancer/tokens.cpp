// The account in tokens: what is put on a backend is taken off again, however a request ends.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/any_strategy.hpp>

#include <deque>

namespace {

using namespace fairlead;
using namespace fairlead::test;

using Fleet = Balancer<LeastTokens, NoTransport, ManualClock>;

TEST_CASE("a prompt counts from the choice to the first byte, its answer from then to the end") {
    Fleet fleet{test::fleet(1)};
    Lease lease = fleet.select({.tokens = 1000, .answer_tokens = 200});
    CHECK(figures(fleet, "b0").waiting_tokens == 1000);
    CHECK(figures(fleet, "b0").tokens_in_flight == 1000);
    CHECK(figures(fleet, "b0").decoding == 0);

    fleet.came(lease, 5000);  // nothing came yet: nonsense
    fleet.first_byte(lease);
    fleet.first_byte(lease);
    CHECK(figures(fleet, "b0").waiting_tokens == 0);
    CHECK(figures(fleet, "b0").tokens_in_flight == 200);
    CHECK(figures(fleet, "b0").decoding == 1);

    fleet.came(lease, 150);
    CHECK(figures(fleet, "b0").tokens_in_flight == 200);
    fleet.came(lease, 201);
    CHECK(figures(fleet, "b0").tokens_in_flight == 201);
    fleet.came(lease, 250);
    CHECK(figures(fleet, "b0").tokens_in_flight == 250);

    fleet.report(std::move(lease), Outcome::success);
    CHECK(figures(fleet, "b0").tokens_in_flight == 0);
    CHECK(figures(fleet, "b0").decoding == 0);
}

TEST_CASE("what waits for its first byte counts at once: a slow prefill does not draw the rest behind it") {
    // 100 prompts of equal length and no answer at all yet: routers that count when the answer begins see
    // equal loads all the while.
    Fleet fleet{test::fleet(4, 1000)};
    std::deque<Lease> leases;
    for (int i = 0; i < 100; ++i) leases.push_back(fleet.select({.tokens = 8000}));
    for (const auto& each : fleet.snapshot()) CHECK(each.in_flight == 25);
}

/// Whatever happens to `count` requests, in any order: the accounts are 0 when none is left.
template <class Balancer>
void storm(Balancer& fleet, std::uint64_t seed, const ManualClock& clock) {
    Rng rng{seed};
    std::deque<Lease> leases;
    const auto dress = [&](Lease lease) {
        if (lease) leases.push_back(std::move(lease));
    };
    for (int step = 0; step < 2000; ++step) {
        clock.advance(std::chrono::milliseconds{rng.below(50)});
        const auto what = rng.below(20);
        if (what < 9) {
            const std::uint64_t blocks[] = {rng.below(4), 10 + rng.below(4)};
            dress(fleet.select({.tokens = rng.below(3) * 1000ULL,
                                .answer_tokens = rng.below(3) * 100ULL,
                                .prefix = blocks}));
        } else if (what == 9) {
            const std::string name = "b" + std::to_string(rng.below(4));
            switch (rng.below(5)) {
                case 0:
                    static_cast<void>(fleet.remove(name));
                    break;
                case 1:
                    static_cast<void>(fleet.disable(name));
                    break;
                case 2:
                    static_cast<void>(
                        fleet.update(name, [&](BackendConfig& c) { c.weight = 1 + rng.below(3); }));
                    break;
                case 3:
                    static_cast<void>(fleet.restarted(name));
                    break;
                default:
                    if (fleet.enable(name)) {
                        auto again = test::fleet(4);
                        for (auto& each : again) static_cast<void>(fleet.add(each));
                    }
            }
        } else if (!leases.empty()) {
            const auto at = rng.below(static_cast<std::uint32_t>(leases.size()));
            std::swap(leases[at], leases.back());
            Lease& lease = leases.back();
            if (what < 13) {
                fleet.first_byte(lease);
            } else if (what < 15) {
                fleet.came(lease, rng.below(1000));
            } else {
                if (what < 18) {
                    fleet.report(std::move(lease), static_cast<Outcome::Kind>(rng.below(7)));
                }
                leases.pop_back();  // else dropped
            }
        }
    }
    leases.clear();
    for (const auto& each : fleet.snapshot()) {
        INFO("seed " << seed << ", " << each.config.name);
        CHECK(each.in_flight == 0);
        CHECK(each.tokens_in_flight == 0);
        CHECK(each.waiting_tokens == 0);
        CHECK(each.decoding == 0);
    }
}

TEST_CASE("at rest all accounts are 0: drops, failures, cancellations and changes of the fleet included") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        for (const auto latency_to : {LatencyTo::first_byte, LatencyTo::last_byte}) {
            Options options;
            options.seed = seed;
            options.latency_to = latency_to;
            options.timing = seed % 3 != 0;
            const ManualClock clock;
            Balancer<AnyStrategy, NoTransport, ManualClock> fleet{
                test::fleet(4), options, NoTransport{},
                AnyStrategy{static_cast<StrategyKind>(seed % AnyStrategy::count)}, clock};
            storm(fleet, seed, clock);
        }
    }
}

}  // namespace
