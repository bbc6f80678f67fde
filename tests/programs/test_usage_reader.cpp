// Reading the tokens that an answer tells, while it passes by.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/usage_reader.hpp"
#include "support/catch.hpp"

using gateway::Usage;
using gateway::UsageReader;

namespace {

constexpr std::string_view plain =
    R"({"choices":[{"message":{"content":"the \"usage\":{\"prompt_tokens\":9} of it"}}],"usage":{"prompt_tokens":12,)"
    R"("completion_tokens":34,"prompt_tokens_details":{"cached_tokens":8}},"system_fingerprint":null})";
constexpr Usage of_plain{12, 34, 8};

/// What is read when `text` comes in pieces of `size` bytes.
std::optional<Usage> usage_of(std::string_view text, std::size_t size = std::string_view::npos) {
    UsageReader reader;
    while (!text.empty()) {
        reader.feed(text.substr(0, size));
        text.remove_prefix(std::min(size, text.size()));
    }
    return reader.usage();
}

}  // namespace

TEST_CASE("an answer's usage is read, and no text passes for it") { CHECK(usage_of(plain) == of_plain); }

TEST_CASE("however the answer is cut, its usage is the same") {
    for (std::size_t size = 1; size <= plain.size(); ++size) {
        INFO(size);
        CHECK(usage_of(plain, size) == of_plain);
    }
}

TEST_CASE("the last usage of a stream counts, and null is none") {
    const std::string stream =
        "data: {\"choices\":[{}],\"usage\":null}\n\n"
        "data: {\"choices\":[{}],\"usage\": {\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n"
        "data: {\"choices\":[],\"usage\" :\t{\"prompt_tokens\" : 5, \"completion_tokens\" : 20}}\n\n"
        "data: [DONE]\n\n";
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        INFO(size);
        CHECK(usage_of(stream, size) == Usage{5, 20, 0});
    }
    CHECK_FALSE(usage_of("data: {\"choices\":[{}],\"usage\":null}\n\n").has_value());
}

TEST_CASE("the names of /v1/responses are read, too") {
    CHECK(
        usage_of(R"(data: {"response":{"usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":4},)"
                 R"("output_tokens":3}}})") == Usage{7, 3, 4});
}

TEST_CASE("what is no count of tokens counts for nothing") {
    CHECK(usage_of(R"({"usage":{"prompt_tokens":-1,"completion_tokens":99999999999999999999}})") == Usage{});
    CHECK(usage_of(R"({"usage":{"prompt_tokens":"12","completion_tokens":[3]}})") == Usage{});
}

TEST_CASE("an object without end is given up, and the next one read") {
    const std::string endless = "{\"usage\":{\"x\":\"" + std::string(5000, '{') + "\"}}\n";
    CHECK(usage_of(endless + std::string{plain}) == of_plain);
    CHECK_FALSE(usage_of(endless).has_value());
}

TEST_CASE("an object of that name without a count replaces none that has one") {
    const auto later =
        std::string{plain.substr(0, plain.size() - 1)} + R"(,"x":{"usage":{}},"usage":{"n":1}})";
    for (std::size_t size = 1; size <= later.size(); ++size) {
        INFO(size);
        CHECK(usage_of(later, size) == of_plain);
    }
    UsageReader reader;
    CHECK(reader.feed(plain));
    CHECK_FALSE(reader.feed(R"({"usage":{}})"));
}
