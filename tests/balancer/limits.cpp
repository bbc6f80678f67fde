// `max_connections` is exact, and a refusal is no dead end.
#include "support/catch.hpp"
#include "support/fleet.hpp"

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
    // 2^24 completions: the word's own counter wraps once, its half turns are counted twice.
    Options options;
    options.timing = false;
    Balancer<> balancer{fleet(1), options};
    const std::uint64_t requests = (std::uint64_t{1} << 24) + 5;
    for (std::uint64_t i = 0; i < requests; ++i) balancer.report(balancer.select(), Outcome::success);
    CHECK(figures(balancer, "b0").completed == requests);
    CHECK(figures(balancer, "b0").in_flight == 0);
}

}  // namespace
