// When writes are put off to the loop's next turn.
#include <fairlead/transport/detail/coalescing.hpp>

#include "support/catch.hpp"

using namespace std::chrono_literals;

TEST_CASE("writes are put off while they follow one another closely, and only then") {
    fairlead::detail::Coalescing coalescing;
    auto now = fairlead::Time{} + 1h;
    CHECK_FALSE(coalescing.pays(now));
    CHECK(coalescing.pays(now += 20us));
    CHECK(coalescing.pays(now += 99us));
    CHECK_FALSE(coalescing.pays(now += 100us));
    CHECK_FALSE(coalescing.pays(now += 500us));
    CHECK(coalescing.pays(now));
}
