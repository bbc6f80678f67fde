// Where urls point, and which of a request's fields are sent.
#include "transport/request_head.hpp"

#include <string>

#include "support/catch.hpp"

using fairlead::HttpRequest;
using fairlead::detail::parse_origin;
using fairlead::detail::write_head;

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

TEST_CASE("names compare in any case, and only letters have one") {
    using fairlead::equal_ignoring_case;
    CHECK(equal_ignoring_case("Transfer-Encoding", "tRANSFER-eNCODING"));
    CHECK(equal_ignoring_case("", ""));
    CHECK_FALSE(equal_ignoring_case("Transfer-Encoding", "Transfer_Encoding"));
    CHECK_FALSE(equal_ignoring_case("Transfer-Encoding", "Transfer-Encodinh"));
    CHECK_FALSE(equal_ignoring_case("Content-Length", "Content-Lengt"));
    // They differ by the bit that makes letters small, and are no letters.
    CHECK_FALSE(equal_ignoring_case("12345678@", "12345678`"));
    CHECK_FALSE(equal_ignoring_case("1234567@", "1234567`"));
    CHECK_FALSE(equal_ignoring_case("[2345678", "{2345678"));
    static_assert(equal_ignoring_case("Content-Length", "content-lengtH"));
    static_assert(!equal_ignoring_case("Content-Length", "content-lengtI"));
}

TEST_CASE("what a head says is refused wherever a control byte stands in it, but for tabs in values") {
    const auto origin = *parse_origin("http://h");
    for (std::size_t at = 0; at < 20; ++at) {
        for (const char byte : {'\0', '\r', '\n', '\t', '\x1F', '\x7F', '\x80', ' '}) {
            std::string value(20, 'v');
            value[at] = byte;
            HttpRequest request{"GET", "/"};
            request.headers.add("X-A", value);
            std::string head;
            const bool refused = bool{write_head(request, origin, {}, head)};
            INFO(int{byte} << " at " << at);
            CHECK(refused == (byte != '\t' && byte != '\x80' && byte != ' '));
            if (!refused) CHECK(head == "GET / HTTP/1.1\r\nHost: h\r\nX-A: " + value + "\r\n\r\n");
        }
    }
}
