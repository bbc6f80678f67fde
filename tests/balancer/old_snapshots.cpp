// When a snapshot that nobody reads any more is freed.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// Tells how many of its tables there are: each lives as long as its snapshot.
struct CountedTables {
    static constexpr std::string_view name = "counted_tables";

    std::shared_ptr<int> count = std::make_shared<int>(0);

    struct Table {
        std::shared_ptr<const void> counted;
    };

    Table build(std::span<const Candidate>) const {
        ++*count;
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

}  // namespace
