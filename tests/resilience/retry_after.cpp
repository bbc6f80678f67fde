// What is read from a Retry-After header.
#include <fairlead/resilience/retry_after.hpp>

#include "support/catch.hpp"

using fairlead::Duration;
using fairlead::parse_retry_after;
using std::chrono::seconds;

namespace {

// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
constexpr std::chrono::sys_seconds then{seconds{784'111'777}};

}  // namespace

TEST_CASE("Retry-After in seconds is that many, at most 10^9") {
    CHECK(parse_retry_after("0", then) == Duration{0});
    CHECK(parse_retry_after(" 120\t", then) == seconds{120});
    CHECK(parse_retry_after("99999999999999999999999999", then) == seconds{1'000'000'000});
}

TEST_CASE("the three forms of an HTTP date mean the same moment") {
    for (const char* date :
         {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
        CAPTURE(date);
        CHECK(parse_retry_after(date, then - seconds{30}) == seconds{30});
        CHECK(parse_retry_after(date, then + seconds{30}) == Duration{0});
    }
}

TEST_CASE("two digits of a year mean the nearest such year, at most 50 ahead") {
    const std::chrono::sys_seconds now{std::chrono::sys_days{std::chrono::year{2099} / 12 / 31}};
    CHECK(parse_retry_after("Friday, 01-Jan-00 00:00:00 GMT", now) == std::chrono::hours{24});
    CHECK(parse_retry_after("Friday, 01-Jan-99 00:00:00 GMT", now) == Duration{0});
    CHECK(parse_retry_after("Friday, 01-Jan-49 00:00:00 GMT", now) == seconds{1'000'000'000});  // 2149
    CHECK(parse_retry_after("Friday, 01-Jan-50 00:00:00 GMT", now) == Duration{0});
}

TEST_CASE("a Retry-After that is neither seconds nor a date says nothing") {
    for (const char* value :
         {"", " ", "-1", "+1", "1.5", "12s", "1 2", "soon", "Sun, 06 Nov 1994 08:49:37",
          "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "sun, 06 Nov 1994 08:49:37 GMT",
          "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 29 Feb 2100 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
          "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 08:49:37 GMT,", "Sun Nov 6 08:49:37 1994"}) {
        CAPTURE(value);
        CHECK_FALSE(parse_retry_after(value, then));
    }
}
