// Where urls point.
#include "transport/request_head.hpp"

#include <string>

#include "support/catch.hpp"

using fairlead::detail::parse_origin;

TEST_CASE("urls are taken apart: scheme, host, port, and a base without /v1") {
    const auto of = [](const char* url) {
        const auto origin = parse_origin(url);
        REQUIRE(origin);
        return (origin->tls ? "tls " : "") + origin->host + " " + origin->port + " " + origin->host_header +
               " '" + origin->base_path + "'";
    };
    CHECK(of("http://h") == "h 80 h ''");
    CHECK(of("HTTP://h:80/") == "h 80 h ''");
    CHECK(of("http://h:8000/v1/") == "h 8000 h:8000 ''");
    CHECK(of("http://h:8000/v1") == "h 8000 h:8000 ''");
    CHECK(of("https://h.example") == "tls h.example 443 h.example ''");
    CHECK(of("https://h:80/base") == "tls h 80 h:80 '/base'");
    CHECK(of("http://h/base/v1//") == "h 80 h '/base'");
    CHECK(of("http://h/v12") == "h 80 h '/v12'");
    CHECK(of("http://[::1]:5000/a/b/v1") == "::1 5000 [::1]:5000 '/a/b'");
    CHECK(of("http://[::1]") == "::1 80 [::1] ''");
    for (const auto* bad :
         {"", "h", "ftp://h", "http://", "http://:80", "http://u@h", "http://h:0", "http://h?x"}) {
        CHECK_FALSE(parse_origin(bad));
    }
}
