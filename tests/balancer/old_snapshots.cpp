// How many snapshots a change publishes, and when one that nobody reads any more is freed.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// Tells how many of its tables there are, each of which lives as long as its snapshot, and how many there
/// ever were.
struct CountedTables {
    static constexpr std::string_view name = "counted_tables";

    std::shared_ptr<int> count = std::make_shared<int>(0);
    std::shared_ptr<int> built = std::make_shared<int>(0);

    struct Table {
        std::shared_ptr<const void> counted;
    };

    Table build(std::span<const Candidate>) const {
        ++*count;
        ++*built;
        return {std::shared_ptr<const void>{count.get(), [kept = count](const void*) { --*kept; }}};
    }
    std::size_t pick(const Table&, std::span<const Candidate>, Pick&) const noexcept { return 0; }
};

TEST_CASE("no request frees the snapshot that it is the last to leave: the next change does") {
    const CountedTables strategy;
    Balancer<CountedTables> balancer{fleet(3), {}, {}, strategy};
    const auto request = [&] { balancer.report(balancer.select(), Outcome::success); };
    request();
    REQUIRE(*strategy.count == 1);
    for (std::uint32_t weight = 2; weight < 5; ++weight) {
        REQUIRE_FALSE(balancer.update("b0", [&](BackendConfig& config) { config.weight = weight; }));
        CHECK(*strategy.count == 2);  // the one before is still this thread's, older ones are gone
        request();
        CHECK(*strategy.count == 2);
    }
}

TEST_CASE("snapshots that nobody read are freed at once") {
    const CountedTables strategy;
    Balancer<CountedTables> balancer{fleet(3), {}, {}, strategy};
    for (std::uint32_t weight = 2; weight < 5; ++weight) {
        REQUIRE_FALSE(balancer.update("b0", [&](BackendConfig& config) { config.weight = weight; }));
        CHECK(*strategy.count == 1);
    }
}

TEST_CASE("however many changes are made in one go, they become one snapshot") {
    const CountedTables strategy;
    Balancer<CountedTables> balancer{fleet(3), {}, {}, strategy};
    for (const std::uint32_t many : {1U, 2U, 40U}) {
        const int before = *strategy.built;
        balancer.change([&](FleetChange& changes) {
            for (std::uint32_t i = 0; i < many; ++i) {
                const std::string name = "new-" + std::to_string(i);
                CHECK_FALSE(changes.add({.name = name, .url = "http://h:1"}));
                CHECK_FALSE(changes.update(name, [&](BackendConfig& config) { config.weight = 1 + many; }));
                CHECK_FALSE(changes.drain(name));
                CHECK_FALSE(changes.enable(name));
                CHECK_FALSE(
                    changes.update_options([&](Options& options) { options.max_retries = many + i; }));
                CHECK(changes.add({.name = name, .url = "http://h:1"}) == Errc::duplicate_name);
            }
            CHECK(*strategy.built == before);  // none of it yet
        });
        CHECK(*strategy.built == before + 1);
        CHECK(balancer.snapshot().size() == 3 + many);
        balancer.change([&](FleetChange& changes) {
            for (std::uint32_t i = 0; i < many; ++i) CHECK_FALSE(changes.remove("new-" + std::to_string(i)));
        });
        CHECK(*strategy.built == before + 2);
        CHECK(balancer.snapshot().size() == 3);
    }
}

TEST_CASE("a change that changes nothing publishes no snapshot") {
    const CountedTables strategy;
    Balancer<CountedTables> balancer{fleet(3), {}, {}, strategy};
    REQUIRE_FALSE(balancer.drain("b2"));
    const int before = *strategy.built;
    balancer.change([](FleetChange&) {});
    balancer.change([](FleetChange& changes) {
        CHECK_FALSE(changes.update(fleet(1).front()));
        CHECK_FALSE(changes.update("b1", [](BackendConfig&) {}));
        CHECK_FALSE(changes.enable("b0"));
        CHECK_FALSE(changes.drain("b2"));
        CHECK_FALSE(changes.update_options([](Options&) {}));
        CHECK(changes.remove("nobody") == Errc::unknown_backend);
        CHECK(changes.add(fleet(1).front()) == Errc::duplicate_name);
        CHECK(changes.update_options([](Options& options) { options.failure_threshold = 0; }) ==
              Errc::bad_option);
        CHECK(changes.contains("b0"));
        CHECK(changes.is_draining("b2"));
    });
    CHECK(*strategy.built == before);
    REQUIRE_FALSE(balancer.enable("b2"));
    CHECK(*strategy.built == before + 1);
}

}  // namespace
