// When a strategy's table is built anew, and when the one before serves on.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/any_strategy.hpp>

namespace {

using namespace fairlead;
using namespace fairlead::test;

template <class S>
struct TableFleet {
    explicit TableFleet(std::size_t n, S strategy = {}, Options options = {})
        : core{options, std::move(strategy), ManualClock{}} {
        core.write([&](detail::Roster& roster, Time now) {
            for (auto& backend : fleet(n)) REQUIRE_FALSE(roster.add(std::move(backend), now, true));
            return 0;
        });
    }

    auto table() const { return core.current()->pool.levels.at(0).table; }

    detail::Core<S, ManualClock> core;
};

TEST_CASE("a strategy of the same name with other parameters gets its own table") {
    TableFleet<ConsistentHash> f{3};
    CHECK(f.table()->owners().size() == 65'536);
    f.core.set_strategy(ConsistentHash{.bits = 18});
    CHECK(f.table()->owners().size() == 262'144);
    f.core.set_strategy(ConsistentHash{.bits = 17});
    CHECK(f.table()->owners().size() == 131'072);
}

TEST_CASE("health, ejection and the operator's word never rebuild the table of consistent_hash") {
    TableFleet<ConsistentHash> f{6};  // of the 5 that serve, 2 may be ejected
    const auto before = f.table();
    const auto change = [&](auto&& how) {
        f.core.write([&](detail::Roster& roster, Time now) {
            how(roster, now);
            return 0;
        });
        return f.table();
    };
    CHECK(change([](auto& roster, Time now) { roster.probed({"b0", 0, false}, now); }) == before);
    CHECK(change([](auto& roster, Time now) { roster.set_duty("b1", detail::Duty::disabled, now); }) ==
          before);
    CHECK(change([](auto& roster, Time now) { roster.eject(*roster.find("b2"), "test", now); }) == before);
    const auto snapshot = f.core.current();
    const auto& candidates = snapshot->pool.levels.at(0).candidates;
    CHECK(std::count_if(candidates.begin(), candidates.end(), [](const auto& c) { return c.limit() == 0; }) ==
          3);
    CHECK(change([](auto& roster, Time now) { roster.probed({"b0", 0, true}, now); }) == before);

    // Membership and weight do.
    const auto reweighted = change([](auto& roster, Time now) {
        BackendConfig config = *roster.find("b3")->config;
        config.weight = 2;
        REQUIRE_FALSE(roster.update(config, now));
    });
    CHECK(reweighted != before);
    CHECK(change([](auto& roster, Time now) { roster.remove("b3", now); }) != reweighted);
}

}  // namespace
