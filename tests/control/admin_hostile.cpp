// The admin API and those who mean it ill, or mistype.
#include <string>

#include "control/admin_support.hpp"

using admin_test::Admin;
using fairlead::HttpHeaders;

namespace {

/// A body for `POST /backends` with one more member.
std::string with(const std::string& member) {
    return R"({"name": "c", "url": "http://c:3", )" + member + "}";
}

}  // namespace

TEST_CASE("only the key opens, in either header, and whoever lacks it learns nothing else") {
    Admin admin;
    const auto status_of = [&](HttpHeaders headers, std::string_view path = "/status") {
        return admin.call_as("GET", path, std::move(headers)).status;
    };
    CHECK(status_of({{"x-api-key", "right"}}) == 200);
    CHECK(status_of({{"Authorization", "Bearer right"}}) == 200);
    CHECK(status_of({{"Authorization", "bearer  right"}}) == 200);
    for (const char* wrong : {"", "righ", "rightx", "Right", "right ", "rightright"}) {
        INFO(wrong);
        CHECK(status_of({{"X-API-Key", wrong}}) == 401);
        CHECK(status_of({{"Authorization", "Basic " + std::string{wrong}}}) == 401);
    }
    CHECK(status_of({}) == 401);
    CHECK(status_of({{"Authorization", "right"}}) == 401);
    CHECK(status_of({{"X-API-Key", "right"}, {"X-API-Key", "wrong"}}) == 401);
    CHECK(status_of({{"X-API-Key", std::string("right\0x", 7)}}) == 401);
    CHECK(status_of({}, "/nowhere") == 401);

    // From this machine, too: a key that is set counts for all.
    const auto answer = admin.call_as("GET", "/status", {}, "", "127.0.0.1:9");
    CHECK(answer.status == 401);
    CHECK(answer.detail() == "no key: send the admin key in X-API-Key or as Authorization: Bearer");
    CHECK(answer.headers.get("WWW-Authenticate").value_or("") == "Bearer");
    CHECK(admin.api.notice().empty());
}

TEST_CASE("without a key only this machine is answered, and no page or proxy on it") {
    Admin admin{admin_test::two_backends(), ""};
    const auto status_from = [&](std::string_view peer, HttpHeaders headers = {}) {
        return admin.call_as("GET", "/status", std::move(headers), "", peer).status;
    };
    for (const char* peer : {"127.0.0.1:1", "127.0.0.1", "127.8.9.1:5", "[::1]:7", "::1", "::ffff:127.0.0.1",
                             "[::ffff:127.0.0.1]:5"}) {
        INFO(peer);
        CHECK(status_from(peer) == 200);
    }
    for (const char* peer :
         {"", "10.0.0.1:1", "128.0.0.1:1", "[::2]:7", "127.evil.example:1", "[::1", "1270.0.0.1"}) {
        INFO(peer);
        CHECK(status_from(peer) == 403);
    }
    CHECK(status_from("127.0.0.1:1", {{"Host", "localhost:5000"}}) == 200);
    CHECK(status_from("127.0.0.1:1", {{"Host", "rebound.example"}}) == 403);
    CHECK(status_from("127.0.0.1:1", {{"Origin", "http://localhost:5000"}}) == 200);
    CHECK(status_from("127.0.0.1:1", {{"Origin", "https://evil.example"}}) == 403);
    CHECK(status_from("127.0.0.1:1", {{"Origin", "null"}}) == 403);
    CHECK(status_from("127.0.0.1:1", {{"X-Forwarded-For", "10.0.0.1"}}) == 403);
    CHECK(admin.api.notice().find("FAIRLEAD_ADMIN_KEY") != std::string::npos);
}

TEST_CASE("a wrong method is told the right ones") {
    Admin admin;
    const auto allow = [&](std::string_view method, std::string_view path) {
        const auto answer = admin.call(method, path);
        CHECK(answer.status == 405);
        return std::string{answer.headers.get("Allow").value_or("")};
    };
    CHECK(allow("POST", "/status") == "GET");
    CHECK(allow("DELETE", "/backends") == "GET, POST");
    CHECK(allow("GET", "/backends/a") == "PUT, DELETE");
    CHECK(allow("GET", "/backends/a/enable") == "POST");
    CHECK(allow("GET", "/backends/a/health_check") == "POST");
    CHECK(allow("PATCH", "/strategy") == "GET, PUT");
    CHECK(allow("get", "/metrics") == "GET");
    CHECK(allow("", "/metrics") == "GET");
    CHECK(allow("GET, POST", "/backends") == "GET, POST");
}

TEST_CASE("names are decoded once, and strange ones are simply not there") {
    Admin admin;
    REQUIRE(admin.call("POST", "/backends", R"({"name": "漢 字%2F", "url": "http://c:3"})").status == 200);
    CHECK(admin.call("POST", "/backends/%E6%BC%A2%20%E5%AD%97%252F/disable").status == 200);
    CHECK(admin.metrics("漢 字%2F")["status"] == "disabled");
    for (const char* name : {"..", ".", "%2e%2e", "a%2Fb", "%00", "a%00", "%ff", "%C0%AF", "A", "a%20", "*",
                             "..%2f..%2fetc%2fpasswd", "%0d%0aX-Evil:%201"}) {
        INFO(name);
        for (const char* call : {"/enable", "/disable", "/drain", "/health_check"})
            CHECK(admin.call("POST", std::string{"/backends/"} + name + call).status == 404);
        CHECK(admin.call("DELETE", std::string{"/backends/"} + name).status == 404);
        CHECK(admin.call("PUT", std::string{"/backends/"} + name, R"({"weight": 2})").status == 404);
    }
    for (const char* name : {"%", "%2", "%zz", "a%", "%-1"}) {
        INFO(name);
        const auto answer = admin.call("DELETE", std::string{"/backends/"} + name);
        CHECK(answer.status == 422);
        CHECK(answer.detail() == "the path holds a '%' that is not followed by two hexadecimal digits");
    }
    CHECK(admin.call("DELETE", "/backends/" + std::string(100'000, 'x')).status == 404);
}

TEST_CASE("a body of 1 MiB is read, one byte more is refused") {
    Admin admin;
    const std::size_t rest = with(R"("tags": [""])").size();
    const std::string tag(fairlead::AdminApi::max_body_bytes - rest, 't');
    const std::string body = with(R"("tags": [")" + tag + "\"]");
    REQUIRE(body.size() == fairlead::AdminApi::max_body_bytes);
    CHECK(admin.call("POST", "/backends", body + ' ').status == 413);
    CHECK(admin.call("PUT", "/strategy", std::string(fairlead::AdminApi::max_body_bytes + 1, ' ')).status ==
          413);
    CHECK(admin.call("POST", "/backends", body).status == 200);
}

TEST_CASE("what is no JSON is refused with its place") {
    Admin admin;
    const auto detail_of = [&](const std::string& body) {
        const auto answer = admin.call("POST", "/backends", body);
        CHECK(answer.status == 422);
        return answer.detail();
    };
    CHECK(detail_of("") == "body: invalid JSON at line 1, column 1: there is nothing here");
    CHECK(detail_of("{\n  \"name\": }") == "body: invalid JSON at line 2, column 11: unexpected \"}\"");
    CHECK(detail_of("[]") == "body: must be an object in braces, got an array");
    CHECK(detail_of("null") == "body: must be an object in braces, got null");
    CHECK(admin.call("PUT", "/strategy", "[]").detail() == "body: must be an object in braces, got an array");
    CHECK(detail_of(std::string(10'000, '[')) == "body: nested deeper than 32 levels");
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += "{\"a\":";
    CHECK(detail_of(deep).find("nested deeper than 32 levels") != std::string::npos);
    CHECK(detail_of("{\"name\": \"\xff\xfe\"}").find("not UTF-8") != std::string::npos);
    CHECK(detail_of(with(R"("weight": 1e999)")).find("a number that cannot be read or is too large") !=
          std::string::npos);
    CHECK(detail_of(with(R"("weight": 1)") + '\0' + "and more").find("unexpected text") != std::string::npos);
    CHECK(detail_of(with(R"("weight": 1, "weight": 2)")) ==
          "body.weight: stands twice in its object; keep one");
}

TEST_CASE("every problem of a body is named, with what would be right") {
    Admin admin;
    const auto answer =
        admin.call("POST", "/backends",
                   R"({"name": "a/b", "url": "ftp://x", "weight": 0, "max_connections": 1.5, "timeout": -1,
            "priority": 99999999999, "tags": [1], "wieght": 1, "api_key": "x\ny"})");
    CHECK(answer.status == 422);
    for (const char* part :
         {"body.name: must be 1 to 128 bytes", "body.url: must be http://",
          "body.weight: must be 1..65535, got 0", "body.max_connections: must be a whole number",
          "body.timeout: must be > 0 (seconds), got -1", "body.priority: must be",
          "body.tags[0]: must be a text", "body.wieght: unknown field",
          "body.api_key: must not hold control characters"}) {
        INFO(part << " in " << answer.detail());
        CHECK(answer.detail().find(part) != std::string::npos);
    }
    CHECK(admin.status()["total_backends"] == 2);
}

TEST_CASE("numbers out of range and of the wrong kind are refused, whatever they are") {
    Admin admin;
    for (const char* weight : {"0", "-1", "65536", "1e300", "-1e300", "1.5", "\"3\"", "true", "[]", "{}",
                               "18446744073709551616", "9223372036854775808"}) {
        INFO(weight);
        CHECK(admin.call("PUT", "/backends/a", std::string{R"({"weight": )"} + weight + "}").status == 422);
        CHECK(admin.call("PUT", "/strategy", std::string{R"({"failure_threshold": -)"} + "1}").status == 422);
    }
    for (const char* interval : {"0", "-0.0", "-5", "1e10", "1e308", "\"30\""}) {
        INFO(interval);
        CHECK(admin.call("PUT", "/strategy", std::string{R"({"health_check_interval": )"} + interval + "}")
                  .status == 422);
    }
    CHECK(admin.call("PUT", "/strategy", R"({"max_retries": 4294967296})").status == 422);
    CHECK(admin.call("PUT", "/strategy", R"({"strategy": 3})").status == 422);
    CHECK(admin.config("a")["weight"] == 3);
}

TEST_CASE("thousands of unknown fields make no answer of megabytes") {
    Admin admin;
    std::string body = "{";
    for (int i = 0; i < 5'000; ++i) body += "\"f" + std::to_string(i) + "\": 1, ";
    const auto answer = admin.call("PUT", "/strategy", body + "\"x\": 1}");
    CHECK(answer.status == 422);
    CHECK(answer.text.size() < 5'000);  // 20 problems of about 80 bytes
}

TEST_CASE("a Chinese operator is answered in Chinese") {
    Admin admin{admin_test::two_backends(), "right", fairlead::Language::chinese};
    CHECK(admin.call("DELETE", "/backends/x").detail() == "没有名为 \"x\" 的后端");
    CHECK(admin.call("PUT", "/backends/a", R"({"weight": 0})").detail() ==
          "body.weight: 必须为 1..65535，实际为 0");
    CHECK(admin.call("POST", "/backends/a/disable").body["message"] == "已停用后端 \"a\"");
}
