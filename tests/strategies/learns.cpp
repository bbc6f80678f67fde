// A strategy of a user's own that learns: the balancer tells it everything, once.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <fairlead/strategies/learns.hpp>

#include <array>
#include <atomic>

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// Sends a request where the last one went well, and counts what it is told.
struct Counting {
    static constexpr std::string_view name = "counting";
    struct State {
        std::array<std::atomic<int>, 16> picked{}, began{}, finished{}, gone{};
        std::atomic<int> good{-1};  // whose answer was good last
        void left(BackendId id) noexcept { ++gone[id]; }
    };
    struct Table {
        const State* state = nullptr;
        void learn_from(State& learned) noexcept { state = &learned; }
    };
    Table build(std::span<const Candidate>) const { return {}; }
    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick&) const noexcept {
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (static_cast<int>(candidates[i].id()) == table.state->good) return i;
        }
        return 0;
    }
    std::uint64_t picked(State& state, BackendId id, const Criteria& criteria) const noexcept {
        ++state.picked[id];
        seen = &state;
        return criteria.tokens / 2;  // half of it is known to be cheap
    }
    void first_byte(State& state, BackendId id) const noexcept { ++state.began[id]; }
    void finished(State& state, BackendId id, const Outcome& outcome) const noexcept {
        ++state.finished[id];
        if (outcome.kind == Outcome::success) state.good = static_cast<int>(id);
    }
    inline static State* seen = nullptr;
};
static_assert(Learns<Counting> && !Learns<RoundRobin>);

TEST_CASE("a strategy that learns is told of each request's way once, dropped ones included") {
    Balancer<Counting> balancer{fleet(3, 2)};
    Lease first = balancer.select({.tokens = 100});
    REQUIRE(first);
    const std::string home = first->name;
    const Counting::State& state = *Counting::seen;
    const BackendId id = figures(balancer, home).id;
    CHECK(state.picked[id] == 1);
    CHECK(figures(balancer, home).waiting_tokens == 50);  // what `picked` said
    balancer.first_byte(first);
    balancer.first_byte(first);
    CHECK(state.began[id] == 1);
    balancer.report(std::move(first), Outcome::success);
    CHECK(state.finished[id] == 1);
    { const Lease dropped = balancer.select(); }
    CHECK(state.picked[id] == 2);
    CHECK(state.finished[id] == 2);
    CHECK(figures(balancer, home).tokens_in_flight == 0);
}

TEST_CASE("a refused pick teaches nothing, and the one that served does") {
    Balancer<Counting> balancer{fleet(2, 1)};
    balancer.report(balancer.select(), Outcome::success);
    const Counting::State& state = *Counting::seen;
    const Lease held = balancer.select();
    const Lease other = balancer.select();  // the pick is the full one; the balancer found another
    REQUIRE(other);
    CHECK(held->name != other->name);
    CHECK(state.picked[figures(balancer, other->name).id] == 1);
    CHECK_FALSE(balancer.select());
    CHECK(state.picked[figures(balancer, held->name).id] == 2);
}

TEST_CASE("what was learned survives changes of the fleet; what is void is said to be so once it is") {
    Balancer<Counting> balancer{fleet(3)};
    balancer.report(balancer.select(), Outcome::success);
    Counting::State& state = *Counting::seen;
    const std::string home = one(balancer);
    const BackendId id = figures(balancer, home).id;
    BackendConfig added = fleet(4).back();
    REQUIRE_FALSE(balancer.add(added));
    CHECK(one(balancer) == home);
    CHECK(Counting::seen == &state);
    CHECK(state.gone[id] == 0);
    REQUIRE_FALSE(balancer.restarted(home));
    CHECK(state.gone[id] == 1);
    REQUIRE_FALSE(balancer.update(home, [](BackendConfig& config) { config.url = "http://new"; }));
    CHECK(state.gone[id] == 2);
    REQUIRE_FALSE(balancer.update(home, [](BackendConfig& config) { config.weight = 3; }));
    CHECK(state.gone[id] == 2);
    Lease last = balancer.select();
    REQUIRE_FALSE(balancer.remove(home));
    CHECK(state.gone[id] == 2);  // its last request is still under way
    balancer.report(std::move(last), Outcome::success);
    CHECK(state.gone[id] == 3);
    CHECK(balancer.restarted("nobody") == Errc::unknown_backend);
}

}  // namespace
