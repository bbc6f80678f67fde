// Traces: what is read, what is refused and in which words, and what the generator makes.
#include "simulator/trace.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "simulator/generator.hpp"
#include "support/catch.hpp"

namespace {

using namespace simulator;
using namespace std::chrono_literals;

Trace read(const std::string& text) {
    std::istringstream from{text};
    return read_trace(from, "t.jsonl", 512);
}

std::string error_of(const std::string& text) {
    try {
        read(text);
        return "none";
    } catch (const TraceError& error) {
        return error.what();
    }
}

TEST_CASE("trace: a line in Mooncake's format is read as it stands") {
    const auto trace =
        read(R"({"timestamp": 27482, "input_length": 1100, "output_length": 52, "hash_ids": [46, 47, 2353]})"
             "\n");
    REQUIRE(trace.size() == 1);
    CHECK(trace[0].at == 27'482ms);
    CHECK(trace[0].prompt_tokens == 1'100);
    CHECK(trace[0].output_tokens == 52);
    CHECK(trace[0].ids == std::vector<std::uint64_t>{46, 47, 2353});
}

TEST_CASE("trace: other fields, empty lines, a missing last newline and the short last block do not matter") {
    const auto trace = read(
        "\n  \r\n"
        R"({"a": {"b": "c"}, "timestamp": 5.0, "input_length": 1100, "output_length": 0, "hash_ids": [1, 2]})");
    REQUIRE(trace.size() == 1);
    CHECK(trace[0].at == 5ms);
    CHECK(trace[0].output_tokens == 0);
}

TEST_CASE("trace: lines that are not in order of time are put in order, equal times left as they were") {
    const auto trace = read(R"({"timestamp": 9, "input_length": 1, "output_length": 1, "hash_ids": []}
{"timestamp": 3, "input_length": 2, "output_length": 1, "hash_ids": []}
{"timestamp": 3, "input_length": 3, "output_length": 1, "hash_ids": []})");
    REQUIRE(trace.size() == 3);
    CHECK(trace[0].prompt_tokens == 2);
    CHECK(trace[1].prompt_tokens == 3);
    CHECK(trace[2].prompt_tokens == 1);
}

TEST_CASE("trace: whatever is wrong is said with the line, and what would be right") {
    const std::string good = R"({"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": [1]})";
    CHECK(error_of("") == "t.jsonl: holds no requests");
    CHECK(error_of(good + "\n{") == "t.jsonl:2: is not JSON");
    CHECK(error_of(good + "\n\n[1]") == "t.jsonl:3: must be an object, as {\"timestamp\": ...}");
    CHECK(error_of(R"({"input_length": 5})") == "t.jsonl:1: has no timestamp");
    CHECK(error_of(R"({"timestamp": -1})") ==
          "t.jsonl:1: timestamp must be a number from 0 to 316224000000, got -1");
    CHECK(error_of(R"({"timestamp": 1700000000000})") ==
          "t.jsonl:1: timestamp must be a number from 0 to 316224000000, got 1700000000000");
    CHECK(error_of(R"({"timestamp": 1, "input_length": 0})") ==
          "t.jsonl:1: input_length must be a number from 1 to 100000000, got 0");
    CHECK(error_of(R"({"timestamp": 1, "input_length": "5"})") ==
          "t.jsonl:1: input_length must be a number from 1 to 100000000, got \"5\"");
    CHECK(error_of(R"({"timestamp": 1, "input_length": 5})") == "t.jsonl:1: has no output_length");
    CHECK(error_of(R"({"timestamp": 1, "input_length": 5, "output_length": 1})") ==
          "t.jsonl:1: has no hash_ids");
    CHECK(error_of(R"({"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": 1})") ==
          "t.jsonl:1: hash_ids must be a list of whole numbers");
    CHECK(error_of(R"({"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": [-1]})") ==
          "t.jsonl:1: hash_ids must be whole numbers, got -1");
    CHECK(error_of(R"({"timestamp": 1, "input_length": 5000, "output_length": 1, "hash_ids": [1]})") ==
          "t.jsonl:1: hash_ids must hold a number for each 512 tokens of the prompt: 10 for 5000, got 1");
    CHECK_THROWS_WITH(read_trace("/nowhere/t.jsonl", 512),
                      "/nowhere/t.jsonl: cannot be opened: No such file or directory");
}

TEST_CASE("trace: a line of deep brackets is refused, not followed down") {
    CHECK(error_of(R"({"timestamp": )" + std::string(1'000'000, '[')).find("t.jsonl:1: ") == 0);
}

TEST_CASE("trace: what is written is read again") {
    Traffic traffic;
    traffic.requests = 100;
    const auto trace = generate(traffic);
    std::stringstream file;
    write_trace(file, trace);
    CHECK(read_trace(file, "t.jsonl", 512) == trace);
}

TEST_CASE("trace: a conversation is told by the first block behind what many prompts begin with") {
    // Two system prompts of two blocks with a first one in common; ten conversations of two turns each.
    Trace trace;
    for (std::uint64_t i = 0; i < 10; ++i) {
        const std::uint64_t system = 10 + i % 2 * 10;
        for (std::uint64_t turn = 0; turn < 2; ++turn) {
            Request request;
            request.ids = {1, system, system + 1, 100 + i, 200 + i};
            if (turn == 1) request.ids.push_back(300 + i);
            trace.push_back(request);
        }
    }
    find_conversations(trace, 5);
    std::set<std::uint64_t> conversations;
    for (std::size_t i = 0; i < trace.size(); i += 2) {
        CHECK(trace[i].conversation == trace[i + 1].conversation);
        conversations.insert(trace[i].conversation);
    }
    CHECK(conversations.size() == 10);
    CHECK_FALSE(conversations.contains(0));
}

TEST_CASE("trace: its figures say how much was seen before") {
    const auto trace = read(
        R"({"timestamp": 0, "input_length": 1024, "output_length": 10, "hash_ids": [1, 2]}
{"timestamp": 2000, "input_length": 2048, "output_length": 30, "hash_ids": [1, 2, 3, 4]})");
    const auto figures = figures_of(trace, 512);
    CHECK(figures.requests == 2);
    CHECK(figures.seconds == Approx(2));
    CHECK(figures.prompt_tokens == Approx(1'536));
    CHECK(figures.output_tokens == Approx(20));
    CHECK(figures.shared == Approx(1.0 / 3));
}

TEST_CASE("generator: the same numbers give the same requests, another seed gives others") {
    Traffic traffic;
    traffic.requests = 500;
    const auto trace = generate(traffic);
    CHECK(generate(traffic) == trace);
    traffic.seed = 2;
    CHECK_FALSE(generate(traffic) == trace);
}

TEST_CASE("generator: requests are as many as asked for, in order of time, with a number for each block") {
    Traffic traffic;
    traffic.requests = 1'000;
    traffic.seed = 3;
    const auto trace = generate(traffic);
    REQUIRE(trace.size() == 1'000);
    CHECK(std::is_sorted(trace.begin(), trace.end(), [](auto& a, auto& b) { return a.at < b.at; }));
    for (const auto& request : trace) {
        REQUIRE(request.prompt_tokens >= 1);
        REQUIRE(request.output_tokens >= 1);
        REQUIRE(request.ids.size() == (request.prompt_tokens + 511) / 512);
        REQUIRE(request.conversation != 0);
    }
}

TEST_CASE("generator: the mean rate is the one asked for, whatever the bursts and the time of day") {
    Traffic traffic;
    traffic.requests = 5'000;
    traffic.rate = 10;
    double seconds = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        traffic.seed = seed;
        seconds += figures_of(generate(traffic), 512).seconds;
    }
    // 500 s each. The first turns come before the further ones, two minutes and more each: by that it is
    // longer.
    CHECK(seconds / 10 > 480);
    CHECK(seconds / 10 < 700);
}

TEST_CASE("generator: a further turn begins with all full blocks of the one before") {
    Traffic traffic;
    traffic.requests = 2'000;
    traffic.turns = 4;
    const auto trace = generate(traffic);
    // A block has one block before it, wherever it occurs.
    std::map<std::uint64_t, std::uint64_t> before;
    std::size_t again = 0;
    for (const auto& request : trace) {
        for (std::size_t i = 1; i < request.ids.size(); ++i) {
            const auto [known, is_new] = before.emplace(request.ids[i], request.ids[i - 1]);
            REQUIRE(known->second == request.ids[i - 1]);
            again += is_new ? 0 : 1;
        }
    }
    CHECK(again > before.size());
    // All share the first block's text as far as it is common, applications their system prompts.
    CHECK(figures_of(trace, 512).shared > 0.5);
}

TEST_CASE("generator: a common system prompt is in every prompt") {
    Traffic traffic;
    traffic.requests = 300;
    traffic.common_tokens = 3 * 512;
    for (const auto& request : generate(traffic)) {
        REQUIRE(request.ids.size() > 3);
        REQUIRE(request.ids[0] == 0);
        REQUIRE(request.ids[2] == 2);
    }
}

}  // namespace
