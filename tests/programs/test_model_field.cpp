// Finding and replacing the model in a request's JSON.
#include <string>

#include "gateway/model_field.hpp"
#include "support/catch.hpp"

using gateway::find_model;
using gateway::with_model;

namespace {

std::string renamed(const std::string& body, const std::string& name = "own") {
    const auto scan = find_model(body);
    INFO(scan.problem);
    REQUIRE(scan.problem.empty());
    return with_model(body, scan.field, name);
}

}  // namespace

TEST_CASE("the model's value is replaced and every other byte stays") {
    CHECK(renamed(R"({"model":"a","x":1})") == R"({"model":"own","x":1})");
    CHECK(renamed("{ \"x\" : [1.50, -0e3],\n \"model\" :\t\"a\" , \"y\": null }") ==
          "{ \"x\" : [1.50, -0e3],\n \"model\" :\t\"own\" , \"y\": null }");
    CHECK(renamed("{\"model\":\"a\"}\n", "with \"quotes\"") == "{\"model\":\"with \\\"quotes\\\"\"}\n");
}

TEST_CASE("a model is inserted where the request has none") {
    CHECK(renamed("{}") == R"({"model":"own"})");
    CHECK(renamed("{ }") == R"({"model":"own" })");
    CHECK(renamed(R"({"x":1})") == R"({"model":"own","x":1})");
}

TEST_CASE("only the top level's model counts") {
    const auto scan =
        find_model(R"({"tools":[{"model":"inner"}],"o":{"model":"inner"},"s":"\"model\":\"text\""})");
    CHECK(scan.problem.empty());
    CHECK_FALSE(scan.field.value.has_value());
    CHECK(find_model(R"({"o":{"model":"inner"},"model":"outer"})").field.value == "outer");
}

TEST_CASE("a model spelt with escapes is the same model") {
    CHECK(find_model(R"({"mod\u0065l":"\u0061\/b"})").field.value == "a/b");
    CHECK(find_model(R"({"model":"\ud83d\ude00"})").field.value == "\xF0\x9F\x98\x80");
}

TEST_CASE("two models, or one that is no string, are problems of the member") {
    for (const std::string body :
         {R"({"model":"a","model":"b"})", R"({"model":"a","mod\u0065l":"a"})", R"({"model":1})",
          R"({"model":null})", R"({"model":["a"]})", R"({"model":"\ud83d"})", "{\"model\":\"\xFF\"}"}) {
        const auto scan = find_model(body);
        INFO(body);
        CHECK_FALSE(scan.problem.empty());
        CHECK(scan.about_model);
    }
}

TEST_CASE("what is no JSON object is a problem that names the byte") {
    for (const std::string body : {"",
                                   " ",
                                   "[]",
                                   "\"model\"",
                                   "{",
                                   "{\"a\"",
                                   "{\"a\":",
                                   "{\"a\":1",
                                   "{\"a\":1,",
                                   "{\"a\":1,}",
                                   "{\"a\" 1}",
                                   "{a:1}",
                                   "{'a':1}",
                                   "{\"a\":01}",
                                   "{\"a\":1.}",
                                   "{\"a\":.5}",
                                   "{\"a\":+1}",
                                   "{\"a\":1e}",
                                   "{\"a\":-}",
                                   "{\"a\":NaN}",
                                   "{\"a\":tru}",
                                   "{\"a\":\"\\x\"}",
                                   "{\"a\":\"\\u12g4\"}",
                                   "{\"a\":\"\n\"}",
                                   "{\"a\":\"x}",
                                   "{\"a\":[1,]}",
                                   "{\"a\":[1 2]}",
                                   "{\"a\":[}",
                                   "{} {}",
                                   "{}x",
                                   "{\"a\":1}}",
                                   "{\"a\":\"\\"}) {
        const auto scan = find_model(body);
        INFO(body);
        CHECK(scan.problem.find("(at byte ") != std::string::npos);
        CHECK_FALSE(scan.about_model);
    }
}

TEST_CASE("nesting is read to 256 levels and refused beyond") {
    const auto nested = [](std::size_t depth) {
        return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
    };
    CHECK(find_model(nested(255)).problem.empty());
    CHECK_FALSE(find_model(nested(256)).problem.empty());
    CHECK_FALSE(find_model(nested(1'000'000)).problem.empty());
}

TEST_CASE("long strings are read alike wherever something stands in them") {
    for (std::size_t at = 0; at < 70; ++at) {
        INFO(at);
        const auto body = [at](const std::string& inside) {
            return R"({"s":")" + std::string(at, 'x') + inside + std::string(70 - at, 'y') +
                   R"(","model":"m"})";
        };
        for (const std::string good : {"", "\\\"", "\\n", "\xC3\xA9", "\x7F", " "}) {
            CHECK(find_model(body(good)).field.value == "m");
        }
        for (const std::string bad : {"\n", "\x1F", "\\x", "\""})
            CHECK_FALSE(find_model(body(bad)).problem.empty());
    }
}
