// What a lease promises: one place, freed exactly once, and a config that stays as it was.
#include "support/catch.hpp"
#include "support/fleet.hpp"

namespace {

using namespace fairlead;
using namespace fairlead::test;

TEST_CASE("a lease holds one place until it is reported") {
    Balancer<> balancer{fleet(1)};
    Lease lease = balancer.select();
    REQUIRE(lease);
    CHECK_FALSE(lease.error());
    CHECK(lease->name == "b0");
    CHECK(figures(balancer, "b0").in_flight == 1);
    balancer.report(std::move(lease), Outcome::success);
    CHECK_FALSE(lease);
    const auto after = figures(balancer, "b0");
    CHECK(after.in_flight == 0);
    CHECK(after.completed == 1);
    CHECK(after.succeeded == 1);
}

TEST_CASE("a lease dropped without a report frees its place and counts as cancelled") {
    Balancer<> balancer{fleet(1)};
    { const Lease lease = balancer.select(); }
    const auto after = figures(balancer, "b0");
    CHECK(after.in_flight == 0);
    CHECK(after.completed == 1);
    CHECK(after.outcomes[Outcome::cancelled] == 1);
    CHECK(after.failed == 0);
}

TEST_CASE("a moved lease is reported once") {
    Balancer<> balancer{fleet(1)};
    Lease first = balancer.select();
    Lease second = std::move(first);
    CHECK_FALSE(first);
    REQUIRE(second);
    first = balancer.select();
    first = std::move(second);  // the one it held is dropped
    CHECK(figures(balancer, "b0").in_flight == 1);
    balancer.report(std::move(first), Outcome::success);
    balancer.report(std::move(first), Outcome::success);  // nothing there any more
    CHECK(figures(balancer, "b0").in_flight == 0);
    CHECK(figures(balancer, "b0").completed == 2);
}

TEST_CASE("two leases that are swapped are each reported to the backend they now show") {
    Balancer<> balancer{fleet(2)};
    Lease first = balancer.select();
    Lease second = balancer.select();
    const std::string name = first->name;
    first.swap(second);
    CHECK(second->name == name);
    REQUIRE(first->name != name);
    balancer.report(std::move(second), Outcome::server_error);
    CHECK(figures(balancer, name).failed == 1);
    CHECK(figures(balancer, name).in_flight == 0);
    CHECK(figures(balancer, first->name).in_flight == 1);
}

TEST_CASE("a lease shows the config that it was given, whatever happens to the backend") {
    Balancer<> balancer{fleet(1)};
    Lease before = balancer.select();
    REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.url = "http://elsewhere:1"; }));
    Lease after = balancer.select();
    CHECK(before->url == "http://10.0.0.1:8000");
    CHECK(after->url == "http://elsewhere:1");
    REQUIRE_FALSE(balancer.remove("b0"));
    CHECK(before->url == "http://10.0.0.1:8000");
    CHECK(after->url == "http://elsewhere:1");
    balancer.report(std::move(after), Outcome::success);
    CHECK(before->name == "b0");
    balancer.report(std::move(before), Outcome::server_error);
}

TEST_CASE("configs of leases from many generations stay readable in any order of ending") {
    Balancer<> balancer{fleet(1, 1000)};
    std::vector<Lease> leases;
    for (int i = 0; i < 300; ++i) {
        REQUIRE_FALSE(balancer.update(
            "b0", [&](BackendConfig& config) { config.url = "http://host:" + std::to_string(1000 + i); }));
        leases.push_back(balancer.select());
        REQUIRE(leases.back());
    }
    Rng rng{7};
    while (!leases.empty()) {
        const auto i = rng.below(static_cast<std::uint32_t>(leases.size()));
        CHECK(leases[i]->url.starts_with("http://host:"));
        balancer.report(std::move(leases[i]), Outcome::success);
        leases.erase(leases.begin() + i);
    }
    CHECK(figures(balancer, "b0").in_flight == 0);
    CHECK(figures(balancer, "b0").completed == 300);
}

TEST_CASE("more than a thousand configs in use at once are refused with a reason, and work again later") {
    Balancer<> balancer{fleet(1, 5000)};
    std::vector<Lease> leases;
    std::error_code error;
    for (int i = 0; i < 1100 && !error; ++i) {
        leases.push_back(balancer.select());
        REQUIRE(leases.back());
        error = balancer.update("b0",
                                [&](BackendConfig& config) { config.weight = 1U + (config.weight % 100U); });
    }
    CHECK(error == Errc::too_many_changes);
    for (auto& lease : leases) balancer.report(std::move(lease), Outcome::success);
    CHECK_FALSE(balancer.update("b0", [](BackendConfig& config) { config.weight = 777; }));
    CHECK(figures(balancer, "b0").config.weight == 777);
}

TEST_CASE("a refused lease says why and is safe to report") {
    Balancer<> balancer;
    Lease lease = balancer.select();
    CHECK_FALSE(lease);
    CHECK(lease.error() == Errc::no_backends);
    CHECK(lease.error().message() == "no backend is configured");
    balancer.report(std::move(lease), Outcome::success);
}

}  // namespace
