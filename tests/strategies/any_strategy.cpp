// Strategies chosen at run time, and one of a user's own.
#include "support/candidates.hpp"
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"
#include "support/talks.hpp"

#include <fairlead/strategies/any_strategy.hpp>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

struct FirstOne {
    static constexpr std::string_view name = "first_one";
    struct Table {};
    Table build(std::span<const Candidate>) const { return {}; }
    std::size_t pick(const Table&, std::span<const Candidate>, Pick&) const noexcept { return 0; }
};
static_assert(Strategy<FirstOne>);

/// Not even an index of the set.
struct Careless {
    static constexpr std::string_view name = "careless";
    struct Table {};
    Table build(std::span<const Candidate>) const { return {}; }
    std::size_t pick(const Table&, std::span<const Candidate>, Pick&) const noexcept { return 1'000'000; }
};

TEST_CASE("a strategy of ten lines that knows nothing of limits is still right") {
    Balancer<FirstOne> balancer{fleet(3, 2)};
    std::map<std::string, int> held;
    std::vector<Lease> leases;
    for (int i = 0; i < 6; ++i) {
        leases.push_back(balancer.select());
        REQUIRE(leases.back());
        ++held[leases.back()->name];
    }
    CHECK(held.size() == 3);
    CHECK(balancer.select().error() == Errc::all_full);
    CHECK(one(*std::make_unique<Balancer<Careless>>(fleet(2))) != "");
}

TEST_CASE("every name gives its strategy, and an unknown one an error that lists them all") {
    for (const auto name : AnyStrategy::names()) {
        const auto named = AnyStrategy::from_name(name);
        REQUIRE(named);
        CHECK((*named).current_name() == name);
    }
    for (const auto* guide : {"round_robin", "weighted_round_robin", "least_connections", "random",
                              "consistent_hash", "response_time"}) {
        CHECK(AnyStrategy::from_name(guide));
    }
    const auto wrong = AnyStrategy::from_name("round-robin");
    REQUIRE_FALSE(wrong);
    for (const auto name : AnyStrategy::names()) CHECK(wrong.error().find(name) != std::string::npos);
}

TEST_CASE("the strategy changes under traffic, by kind or by value") {
    Balancer<AnyStrategy> balancer{fleet(4)};
    for (std::size_t i = 0; i < AnyStrategy::count; ++i) {
        balancer.set_strategy(AnyStrategy{static_cast<StrategyKind>(i)});
        CHECK(balancer.strategy_name() == AnyStrategy::names()[i]);
        Lease lease = balancer.select({.key = "k"});
        REQUIRE(lease);
        balancer.set_strategy(RoundRobin{});
        balancer.report(std::move(lease), Outcome::success);  // to whatever is then in force
    }
    CHECK(figures(balancer, "b0").in_flight == 0);
}

/// The same generator, the same place, the same picks.
template <class S>
void check_same(const Candidates& candidates) {
    Picks<S> direct{candidates};
    Picks<AnyStrategy> any{candidates, S{}};
    CHECK(any.strategy.current_name() == S::name);
    CHECK(any.strategy.needs().latency == needs_of(S{}).latency);
    CHECK(any.strategy.needs().all_members == needs_of(S{}).all_members);
    CHECK(any.strategy.needs().preference == needs_of(S{}).preference);
    for (int i = 0; i < 100; ++i) {
        const std::string key = "key" + std::to_string(i);
        const auto attempt = static_cast<std::uint32_t>(i % 3);
        REQUIRE(direct({.key = key}, attempt) == any({.key = key}, attempt));
    }
}

TEST_CASE("a run-time strategy picks what the strategy itself would") {
    Candidates candidates{std::vector<std::uint32_t>{1, 2, 3, 5, 5}};
    for (std::size_t i = 0; i < 5; ++i) {
        candidates.set_in_flight(i, static_cast<std::uint32_t>(i));
        candidates.account(i).tokens.store(static_cast<std::int64_t>(900 - 100 * i),
                                           std::memory_order_relaxed);
        candidates.account(i).slowness.store(i < 3 ? 4.0F : 1.0F, std::memory_order_relaxed);
    }
    check_same<RoundRobin>(candidates);
    check_same<WeightedRoundRobin>(candidates);
    check_same<LeastConnections>(candidates);
    check_same<Random>(candidates);
    check_same<ConsistentHash>(candidates);
    check_same<ResponseTime>(candidates);
    check_same<WeightedRandom>(candidates);
    check_same<LeastTokens>(candidates);
}

/// Conversations that grow, with load, failures and answers that began: what each of them was given, and what
/// is said of the backends before it.
template <class Balancer>
std::vector<std::string> choices_of(Balancer& balancer) {
    std::vector<std::string> all;
    std::vector<Lease> open;
    std::map<std::uint64_t, std::size_t> length;
    Rng rng{5};
    for (int i = 0; i < 400; ++i) {
        const std::uint64_t talk = 1 + rng.below(30);
        const auto blocks = talk_of(talk, length[talk] += 1 + rng.below(20));
        const Criteria criteria{.tokens = blocks.size() * 16, .prefix = blocks};
        for (const auto& each : balancer.explain(criteria))
            all.push_back(each.name + " " + std::to_string(each.cached) + " " + std::to_string(each.waiting));
        open.push_back(balancer.select(criteria));
        all.push_back(open.back()->name);
        std::swap(open[rng.below(static_cast<std::uint32_t>(open.size()))], open.back());
        const auto what = rng.below(4);
        if (what == 0) continue;
        if (what == 1) balancer.first_byte(open.back());
        balancer.report(std::move(open.back()), what == 2 ? Outcome::server_error : Outcome::success);
        open.pop_back();
    }
    return all;
}

TEST_CASE(
    "prefix_affinity that was chosen at run time learns as it does by itself, and what it learned stays") {
    Options options;
    options.seed = 3;
    options.ejection = false;
    const ManualClock clock;
    Balancer<PrefixAffinity, NoTransport, ManualClock> direct{
        fleet(6, 1000), options, NoTransport{}, {}, clock};
    Balancer<AnyStrategy, NoTransport, ManualClock> any{fleet(6, 1000), options, NoTransport{},
                                                        PrefixAffinity{}, clock};
    LoadReport report;
    report.cache_blocks = 40;
    report.block_tokens = 16;
    report.waiting = 3;
    report.at = clock.now();
    REQUIRE_FALSE(direct.report_load("b1", report));
    REQUIRE_FALSE(any.report_load("b1", report));
    CHECK(choices_of(direct) == choices_of(any));

    const auto known = talk_of(77, 50);
    const Criteria criteria{.tokens = 800, .prefix = known};
    const std::string home = one(any, Outcome::success, criteria);
    any.set_strategy(RoundRobin{});
    CHECK(any.explain(criteria).empty());
    any.set_strategy(PrefixAffinity{});
    CHECK(any.explain(criteria).front().name == home);
    CHECK(any.explain(criteria).front().cached == 800);
}

TEST_CASE("consistent_hash that was chosen at run time is bounded as the options say") {
    Options options;
    options.hash_bounded_load = 1.0;
    Balancer<AnyStrategy> balancer{fleet(4), options, NoTransport{}, ConsistentHash{}};
    std::vector<Lease> held;
    for (int i = 0; i < 8; ++i) held.push_back(balancer.select({.key = "one key"}));
    for (const auto& each : balancer.snapshot()) CHECK(each.in_flight == 2);
}

TEST_CASE("a table that another strategy built is no undefined behaviour") {
    const Candidates candidates{std::vector<std::uint32_t>{1, 2}};
    Picks<AnyStrategy> picks{candidates, WeightedRoundRobin{}};
    picks.strategy = ConsistentHash{};
    CHECK(picks() == 0);
}

}  // namespace
