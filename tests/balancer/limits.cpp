// `max_connections` is exact, and a refusal is no dead end.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/any_strategy.hpp>

namespace {

using namespace fairlead;
using namespace fairlead::test;

TEST_CASE("no more than max_connections are ever in flight, and a freed place is given again") {
    Balancer<> balancer{fleet(3, 4)};
    std::vector<Lease> leases;
    for (int i = 0; i < 12; ++i) {
        leases.push_back(balancer.select());
        REQUIRE(leases.back());
    }
    for (int i = 0; i < 5; ++i) CHECK(balancer.select().error() == Errc::all_full);
    for (const auto& each : balancer.snapshot()) CHECK(each.in_flight == 4);

    const std::string freed = leases[5]->name;
    balancer.report(std::move(leases[5]), Outcome::success);
    Lease again = balancer.select();
    REQUIRE(again);
    CHECK(again->name == freed);
    CHECK(balancer.select().error() == Errc::all_full);
}

TEST_CASE("a limit holds for the one backend of a balancer that balances nothing, too") {
    Settings settings;
    settings.mode = Mode::single_backend;
    not_balanced(settings.options);
    settings.backends = fleet(1, 2);
    Balancer<AnyStrategy> balancer{settings};
    Lease first = balancer.select();
    const Lease second = balancer.select();
    CHECK(first);
    CHECK(second);
    CHECK(balancer.select().error() == Errc::all_full);
    balancer.report(std::move(first), Outcome::server_error);
    CHECK(balancer.select());
}

TEST_CASE("a lowered limit counts what is still in flight under the old one") {
    Balancer<> balancer{fleet(1, 10)};
    std::vector<Lease> leases;
    for (int i = 0; i < 8; ++i) leases.push_back(balancer.select());
    REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.max_connections = 5; }));
    CHECK(balancer.select().error() == Errc::all_full);
    for (int i = 0; i < 3; ++i)
        balancer.report(std::move(leases[static_cast<std::size_t>(i)]), Outcome::success);
    CHECK(balancer.select().error() == Errc::all_full);  // 5 of 5
    balancer.report(std::move(leases[3]), Outcome::success);
    CHECK(balancer.select());
}

TEST_CASE("a raised limit takes effect at once, also after refusals") {
    Balancer<> balancer{fleet(1, 1)};
    const Lease lease = balancer.select();
    CHECK(balancer.select().error() == Errc::all_full);
    CHECK(balancer.select().error() == Errc::all_full);
    REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.max_connections = 2; }));
    CHECK(balancer.select());
}

TEST_CASE("a pick that cannot serve is not lost: it finds the one place left, wherever it is") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Options options;
        options.seed = seed;
        Balancer<> balancer{fleet(50, 1), options};
        std::vector<Lease> leases;
        for (int i = 0; i < 50; ++i) {
            leases.push_back(balancer.select());
            REQUIRE(leases.back());
        }
        CHECK(balancer.select().error() == Errc::all_full);
    }
}

TEST_CASE("full backends of one model do not make another model full") {
    auto backends = fleet(2, 1);
    backends[0].model_name = "small";
    backends[1].model_name = "large";
    Balancer<> balancer{backends};
    const Lease small = balancer.select({.model = "small"});
    REQUIRE(small);
    CHECK(balancer.select({.model = "small"}).error() == Errc::all_full);
    CHECK(balancer.select({.model = "large"}));
}

TEST_CASE("exclusion is no fullness: the next request without it is served") {
    Balancer<> balancer{fleet(1)};
    const std::string_view excluded[] = {"b0"};
    CHECK(balancer.select({.exclude = excluded}).error() == Errc::all_excluded);
    CHECK(balancer.select());
}

TEST_CASE("the count of completed requests goes on past what the word holds") {
    // The word counts modulo 2^24; half turns are counted beside. From just before each crossing.
    for (const std::uint64_t begin : {(std::uint64_t{1} << 23) - 10, (std::uint64_t{1} << 24) - 10}) {
        detail::Core<RoundRobin, ManualClock> core{Options{}, RoundRobin{}, ManualClock{}};
        core.write([&](detail::Roster& roster, Time now) { return roster.add(fleet(1)[0], now, true); });
        {
            auto& backend = *core.current()->members.front().backend;
            backend.word.fetch_add(begin << detail::word::completed_shift, std::memory_order_relaxed);
            backend.half_turns.store(static_cast<std::uint32_t>(begin >> 23), std::memory_order_relaxed);
        }
        for (std::uint64_t n = 0; n <= 20; ++n) {
            CHECK(core.figures().front().completed == begin + n);
            core.report(core.select({}), Outcome::success);
        }
        CHECK(core.figures().front().in_flight == 0);
    }
}

TEST_CASE("counts of failures, and of each outcome, go on past 32 bits") {
    Options options;
    options.ejection = false;
    options.rest_max = Duration::zero();
    detail::Core<RoundRobin, ManualClock> core{options, RoundRobin{}, ManualClock{}};
    core.write([&](detail::Roster& roster, Time now) { return roster.add(fleet(1)[0], now, true); });
    constexpr std::uint64_t begin = 0xffff'ffffU;
    {
        auto& backend = *core.current()->members.front().backend;
        backend.failures.store(begin, std::memory_order_relaxed);
        for (auto& outcome : backend.outcomes) outcome.store(begin, std::memory_order_relaxed);
    }
    for (std::size_t kind = 1; kind < 7; ++kind)
        core.report(core.select({}), static_cast<Outcome::Kind>(kind));
    const BackendFigures shown = core.figures().front();
    CHECK(shown.failed > begin);
    for (std::size_t kind = 1; kind < 7; ++kind) CHECK(shown.outcomes[kind] >= begin + 1);
    CHECK(core.totals().failed == shown.failed);
    CHECK(core.totals().outcomes == shown.outcomes);
}

}  // namespace
