// A stream that breaks and is gone on with elsewhere: in any pieces the client gets the same, all of it, and
// the other backend is asked with all of the text.
//
// An input is a request's body, the answer up to where it broke, and the answer to the rest: between them the
// ASCII record separator. The body alone says whether it is a chat.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fairlead/transport/sse.hpp>

#include "../../examples/gateway/continuation.hpp"
#include "fuzz.hpp"

namespace {

using fairlead::test::must;
using nlohmann::json;

constexpr char separator = '\x1e';

std::vector<std::string> data_of(std::string_view stream) {
    std::vector<std::string> all;
    fairlead::SseSplitter splitter;
    splitter.feed(stream, [&](fairlead::SseEvent&& event) { all.push_back(std::move(event.data)); });
    return all;
}

/// Of an answer whose events are all plain.
std::string text_of(std::string_view answer, bool chat) {
    std::string text;
    for (const auto& data : data_of(answer)) {
        if (data == "[DONE]") continue;
        const auto event = json::parse(data);
        if (event["choices"].empty()) continue;
        const auto& choice = event["choices"][0];
        const auto& holder = chat ? choice["delta"] : choice;
        const auto said = holder.find(chat ? "content" : "text");
        if (said != holder.end() && said->is_string()) text += said->get<std::string>();
    }
    return text;
}

template <class Feed>
void feed_in(std::uint64_t way, std::string_view text, Feed feed) {
    if (way == 0) return feed(text);
    fairlead::test::in_pieces(text, way, feed);
}

void check_next(const json& asked, const json& next, const std::string& text, bool chat) {
    must(next["stream"] == true, "the rest is asked for as a stream");
    if (!chat) {
        must(next["prompt"] == asked["prompt"].get<std::string>() + text, "the prompt goes on with the text");
        return;
    }
    if (text.empty()) {
        must(next["messages"] == asked["messages"], "without a text the messages stay");
        return;
    }
    const auto& last = next["messages"].back();
    must(last["role"] == "assistant", "the text is the assistant's");
    must(last["content"].get<std::string>().ends_with(text), "the message ends with the text");
}

void fuzz_continuation(std::string_view input) {
    fairlead::test::ByteChance parts{input};
    const auto body = parts.until(separator);
    const auto first = parts.until(separator);
    const auto rest = parts.rest();
    const bool chat = body.find("\"messages\"") != std::string_view::npos;
    const std::string_view target = chat ? "/v1/chat/completions" : "/v1/completions?x";

    std::optional<std::string> next_of_whole;
    std::vector<std::string> joined_of_whole;
    for (std::uint64_t way = 0; way < 3; ++way) {
        auto continuation = gateway::Continuation::of(target, body);
        if (!continuation) return;
        std::string passed;
        feed_in(way, first, [&](std::string_view piece) { passed += continuation->feed(piece); });
        must(passed + std::string{continuation->rest()} == first, "an answer passes as it is");

        const bool can = continuation->can_go_on();
        const auto next = continuation->next_body(body);
        must(can || !next, "what cannot go on has no body to ask with");
        if (way == 0) next_of_whole = next;
        must(next == next_of_whole, "what is asked for is the same in any pieces");
        if (!next) continue;
        check_next(json::parse(body), json::parse(*next), text_of(first, chat), chat);

        std::string joined;
        feed_in(way, rest, [&](std::string_view piece) { joined += continuation->feed(piece); });
        // Comments stand for whatever is left out, as often as it came.
        const auto data = data_of(joined);
        if (way == 0) joined_of_whole = data;
        must(data == joined_of_whole, "what is joined is the same in any pieces");
    }
}

const fairlead::test::FuzzRegistration continuation_body{"continuation", fuzz_continuation};

}  // namespace
