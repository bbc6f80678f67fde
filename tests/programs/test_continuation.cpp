// A broken stream and its rest, joined: at every byte, for every kind of request that allows it, and only
// for those.
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "gateway/continuation.hpp"
#include "mock_llm/answers.hpp"
#include "programs/chat_stream.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

using gateway::Continuation;
using nlohmann::json;
using test::read_chat_stream;

namespace {

constexpr auto chat_path = "/v1/chat/completions";
constexpr auto text_path = "/v1/completions";

json chat_request() {
    return {{"model", "m"},
            {"stream", true},
            {"max_tokens", 9},
            {"messages", json::array({{{"role", "user"}, {"content", "Hello"}}})}};
}
json text_request() { return {{"model", "m"}, {"stream", true}, {"max_tokens", 9}, {"prompt", "Hello"}}; }

/// What the stand-in streams for a body.
std::string stream_for(const std::string& body, bool is_chat) {
    const auto asked = mock_llm::read_completion(is_chat, body);
    REQUIRE(asked.problem.empty());
    const mock_llm::Answer answer{asked};
    return answer.event(0, asked.tokens) + answer.end(0);
}

std::string feed(Continuation& to, std::string_view bytes, std::size_t piece = 64) {
    std::string passed;
    for (std::size_t at = 0; at < bytes.size(); at += piece) passed += to.feed(bytes.substr(at, piece));
    return passed;
}

Continuation made(const std::string& path, const json& request) {
    auto continuation = Continuation::of(path, request.dump());
    REQUIRE(continuation);
    return std::move(*continuation);
}

bool is_allowed(const std::string& path, const json& request) {
    return Continuation::of(path, request.dump()).has_value();
}

std::string event(const json& delta, const json& more = json::object()) {
    json choice{{"index", 0}, {"delta", delta}};
    choice.update(more);
    return "data: " + json{{"id", "x"}, {"choices", json::array({choice})}}.dump() + "\n\n";
}

}  // namespace

TEST_CASE("what follows the end marker, or misses an event, is not gone on with") {
    const auto done = std::string{"data: [DONE]\n\n"};
    auto ended = made(chat_path, chat_request());
    CHECK(feed(ended, event({{"content", "a"}}) + done) == event({{"content", "a"}}) + done);
    CHECK(ended.is_done());
    CHECK_FALSE(ended.can_go_on());
    CHECK(ended.ending().empty());

    auto holed = made(chat_path, chat_request());
    const auto large = event({{"content", std::string(1'100'000, 'x')}});
    CHECK(feed(holed, large, large.size()) == large);
    CHECK_FALSE(holed.can_go_on());

    auto joined = made(chat_path, chat_request());
    feed(joined, event({{"content", "a"}}));
    REQUIRE(joined.next_body(chat_request().dump()));
    feed(joined, "data: [DONE]\n");
    CHECK(joined.rest() == done);  // where its end was a proper one
    feed(joined, "\n");
    CHECK(joined.rest().empty());
}

TEST_CASE("a stream that breaks at any byte goes on at another engine as one") {
    const bool is_chat = GENERATE(true, false);
    const bool usage = GENERATE(false, true);
    const std::string path = is_chat ? chat_path : text_path;
    auto request = is_chat ? chat_request() : text_request();
    if (usage) request["stream_options"]["include_usage"] = true;
    const auto body = request.dump();
    const auto whole = stream_for(body, is_chat);
    const auto wanted = read_chat_stream(whole);
    REQUIRE(wanted.done == 1);
    REQUIRE(wanted.text == "The quick tide carries every rope through its own ");
    const auto finished = whole.find("\"length\"");
    // Under a sanitizer a part of them: 7 is no divisor of what the stream is made of.
    constexpr std::size_t step = FAIRLEAD_UNDER_SANITIZER ? 7 : 1;
    for (std::size_t cut = 0; cut <= whole.size(); cut += step) {
        INFO("cut at " << cut);
        auto continuation = made(path, request);
        auto passed = feed(continuation, std::string_view{whole}.substr(0, cut), 1 + cut % 6);
        CHECK((passed.empty() || passed.ends_with("\n\n")));
        if (!continuation.ending().empty()) {
            CHECK(cut > finished);
            if (read_chat_stream(passed).done == 0) passed += continuation.ending();
        } else if (cut < finished) {
            // And once more, in the middle of the rest.
            const auto ask = [&] { return continuation.next_body(body); };
            auto rest = ask();
            if (rest) passed += feed(continuation, stream_for(*rest, is_chat).substr(0, 99 + cut % 300));
            if (rest) rest = ask();
            if (rest) passed += feed(continuation, stream_for(*rest, is_chat), 1 + cut % 300);
            if (!rest) {  // all the tokens that it may have are there, and nobody can be asked for the end
                CHECK(read_chat_stream(passed).text == wanted.text);
                continue;
            }
        } else {
            continue;  // finished, but for the usage that was asked for
        }
        CHECK(read_chat_stream(passed) == wanted);
    }
}

TEST_CASE("lines of a stream may end in any way, and its rest is taken up between events") {
    const std::string line_end = GENERATE("\n", "\r\n", "\r");
    const auto request = chat_request();
    const auto whole = stream_for(request.dump(), true);
    std::string stream;
    for (const char c : whole) c == '\n' ? stream.append(line_end) : stream.append(1, c);
    for (std::size_t cut = 0; cut < stream.find("\"length\"") - 300; cut += 3) {
        auto continuation = made(chat_path, request);
        auto passed = feed(continuation, std::string_view{stream}.substr(0, cut), 5);
        const auto rest = continuation.next_body(request.dump());
        REQUIRE(rest);
        passed += feed(continuation, stream_for(*rest, true));
        CHECK(read_chat_stream(passed) == read_chat_stream(whole));
    }
}

TEST_CASE("only a request for one choice of plain text can be continued") {
    CHECK(is_allowed(chat_path, chat_request()));
    CHECK(is_allowed(std::string{chat_path} + "?x=1", chat_request()));
    CHECK(is_allowed(text_path, text_request()));
    CHECK_FALSE(is_allowed("/v1/responses", chat_request()));
    const auto with = [](json request, const char* name, json value) {
        request[name] = std::move(value);
        return request;
    };
    struct Row {
        const char* name;
        json value;
        bool allowed;
    };
    const std::vector<Row> rows{{"stream", false, false},
                                {"stream", nullptr, false},
                                {"n", 1, true},
                                {"n", 2, false},
                                {"tools", json::array(), true},
                                {"tools", json::array({{{"type", "function"}}}), false},
                                {"functions", json::array({json::object()}), false},
                                {"tool_choice", "none", true},
                                {"tool_choice", "auto", false},
                                {"logprobs", false, true},
                                {"logprobs", true, false},
                                {"top_logprobs", 3, false},
                                {"prompt_logprobs", 1, false},
                                {"response_format", {{"type", "text"}}, true},
                                {"response_format", {{"type", "json_object"}}, false},
                                {"guided_regex", "a+", false},
                                {"structured_outputs", {{"choice", {"a"}}}, false},
                                {"ignore_eos", false, true},
                                {"ignore_eos", true, false},
                                {"kv_transfer_params", {{"a", 1}}, false},
                                {"modalities", json::array({"text"}), true},
                                {"modalities", json::array({"text", "audio"}), false},
                                {"seed", 7, true},
                                {"stop", json::array({"x"}), true}};
    for (const auto& row : rows) {
        INFO(row.name << " " << row.value);
        CHECK(is_allowed(chat_path, with(chat_request(), row.name, row.value)) == row.allowed);
        CHECK(is_allowed(text_path, with(text_request(), row.name, row.value)) == row.allowed);
    }
    CHECK_FALSE(is_allowed(text_path, with(text_request(), "echo", true)));
    CHECK_FALSE(is_allowed(text_path, with(text_request(), "suffix", "end")));
    CHECK_FALSE(is_allowed(text_path, with(text_request(), "best_of", 2)));
    CHECK_FALSE(is_allowed(text_path, with(text_request(), "prompt", json::array({"a", "b"}))));
    CHECK_FALSE(is_allowed(text_path, with(text_request(), "prompt", json::array({1, 2, 3}))));
    CHECK_FALSE(is_allowed(text_path, with(text_request(), "max_tokens", nullptr)));
    CHECK(is_allowed(chat_path, with(chat_request(), "max_tokens", nullptr)));
    CHECK_FALSE(is_allowed(chat_path, with(chat_request(), "messages", json::array())));
    CHECK_FALSE(is_allowed(chat_path, with(chat_request(), "messages", "Hello")));
    CHECK_FALSE(is_allowed(chat_path, with(chat_request(), "add_generation_prompt", false)));
    CHECK_FALSE(is_allowed(chat_path, with(chat_request(), "messages",
                                           json::array({{{"role", "assistant"}, {"content", "So"}}}))));
    CHECK_FALSE(Continuation::of(chat_path, "no JSON"));
    const std::string deep(1'000'000, '[');
    CHECK_FALSE(Continuation::of(chat_path, R"({"stream":true,"x":)" + deep));
}

TEST_CASE("an answer that says more than text is not continued, and passes as it is") {
    const std::string begin = event({{"role", "assistant"}, {"content", ""}}) + event({{"content", "So"}});
    for (const std::string& odd :
         {event({{"reasoning_content", "hm"}}), event({{"tool_calls", json::array({{{"index", 0}}})}}),
          event({{"content", 1}}), event({{"content", "a"}}, {{"logprobs", {{"content", {}}}}}),
          event({{"content", "b"}}, {{"index", 1}}),
          std::string{"data: {\"error\": {\"message\": \"out of memory\"}}\n\n"},
          std::string{"data: no JSON\n\n"}, std::string{"data: []\n\n"},
          "data: {\"choices\":" + std::string(100'000, '[') + "\n\n"}) {
        INFO(odd.substr(0, 200));
        auto continuation = made(chat_path, chat_request());
        CHECK(feed(continuation, begin + odd + "data: par") == begin + odd + "data: par");
        CHECK_FALSE(continuation.can_go_on());
        CHECK_FALSE(continuation.next_body(chat_request().dump()));
        CHECK(continuation.ending().empty());
    }
    auto continuation = made(chat_path, chat_request());
    const auto harmless =
        begin + event({{"content", "a"}, {"tool_calls", json::array()}, {"refusal", nullptr}});
    CHECK(feed(continuation, harmless) == harmless);
    CHECK(continuation.can_go_on());
}

TEST_CASE("what is held of an event is bounded, and what passes is complete all the same") {
    auto continuation = made(chat_path, chat_request());
    const std::string endless = "data: " + std::string(3'000'000, 'x');
    CHECK(feed(continuation, endless, 65'536) + std::string{continuation.rest()} == endless);
    CHECK_FALSE(continuation.can_go_on());
}

TEST_CASE("the rest is asked for with the text so far, and less of the limits") {
    auto request = chat_request();
    request["max_tokens"] = 10;
    request["max_completion_tokens"] = 20;
    request["min_tokens"] = 5;
    request["temperature"] = 0.5;
    auto continuation = made(chat_path, request);
    feed(continuation, event({{"role", "assistant"}, {"content", ""}}) + event({{"content", "So"}}) +
                           event({{"content", " it"}}) + "data: {\"choices\": [{\"delta\": {\"con");
    auto rest = json::parse(continuation.next_body(request.dump()).value());
    auto wanted = request;
    wanted["messages"].push_back({{"role", "assistant"}, {"content", "So it"}});
    wanted["continue_final_message"] = true;
    wanted["add_generation_prompt"] = false;
    wanted["max_tokens"] = 8;
    wanted["max_completion_tokens"] = 18;
    wanted["min_tokens"] = 3;
    CHECK(rest == wanted);

    // Usage in each event tells better than the number of events.
    feed(continuation,
         "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \" goes on\"}}], "
         "\"usage\": {\"prompt_tokens\": 9, \"completion_tokens\": 3, \"total_tokens\": 12}}\n\n");
    rest = json::parse(continuation.next_body(request.dump()).value());
    CHECK(rest["messages"].back()["content"] == "So it goes on");
    CHECK(rest["max_tokens"] == 5);
    CHECK(continuation.tokens_before() == 5);

    request["max_tokens"] = 1;
    auto spent = made(chat_path, request);
    feed(spent, event({{"content", "So"}}));
    CHECK_FALSE(spent.next_body(request.dump()));
}

TEST_CASE("an answer of which nothing came is asked for anew, as it was") {
    const auto body = "  " + chat_request().dump();
    auto continuation = made(chat_path, chat_request());
    feed(continuation, ": ping\n\ndata: {\"id\":");
    CHECK(continuation.next_body(body) == body);
    const auto whole = stream_for(body, true);
    CHECK(feed(continuation, whole) == whole);
}

TEST_CASE("a client's own beginning of the answer is gone on with") {
    auto request = chat_request();
    request["messages"].push_back({{"role", "assistant"}, {"content", "The quick "}});
    request["continue_final_message"] = true;
    auto continuation = made(chat_path, request);
    feed(continuation, event({{"role", "assistant"}, {"content", ""}}) + event({{"content", "tide "}}));
    const auto rest = json::parse(continuation.next_body(request.dump()).value());
    CHECK(rest["messages"].size() == 2);
    CHECK(rest["messages"].back()["content"] == "The quick tide ");
}

TEST_CASE("what an engine says of itself in the rest is as the first one said it; comments show life") {
    auto continuation = made(chat_path, chat_request());
    auto passed = feed(
        continuation,
        R"(data: {"id":"a","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"So"}}]})"
        "\n\n");
    REQUIRE(continuation.next_body(chat_request().dump()));
    CHECK(feed(continuation, ": ping\n\n") == ":\n\n");
    CHECK(
        feed(
            continuation,
            R"(data: {"id":"b","created":2,"model":"n","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})"
            "\n\n",
            1'000) == ":\n\n");
    CHECK(
        feed(
            continuation,
            R"(data: {"id":"b","object":"o","created":2,"model":"n","choices":[{"index":0,"delta":{"content":" it"}}]})"
            "\n\n",
            1'000) ==
        R"(data: {"id":"a","object":"o","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" it"}}]})"
        "\n\n");
    // An error in the rest is the client's to see.
    const std::string error = "data: {\"error\":{\"message\":\"no\"}}\n\n";
    CHECK(feed(continuation, error, 1'000) == error);
    CHECK_FALSE(continuation.can_go_on());
    CHECK_FALSE(continuation.is_torn());
    feed(continuation, "data: " + std::string(2'000'000, 'x') + "\n\n", 65'536);
    CHECK(continuation.is_torn());
}
