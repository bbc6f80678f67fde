// Server-sent events come out whole, however their bytes come in.
#include <fairlead/transport/sse.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

using fairlead::SseEvent;
using fairlead::SseSplitter;

namespace {

std::vector<SseEvent> split(std::string_view text, std::size_t piece) {
    SseSplitter splitter;
    std::vector<SseEvent> events;
    while (!text.empty()) {
        const auto part = text.substr(0, piece);
        splitter.feed(part, [&](SseEvent&& event) { events.push_back(std::move(event)); });
        text.remove_prefix(part.size());
    }
    return events;
}

}  // namespace

TEST_CASE("events are the same in pieces of any size and with any end of line") {
    const std::string_view lines[] = {":comment",   "event: a",     "id: 7", "data: one", "data:two", "",
                                      "data:  two", "retry: 5",     "",      "event: x",  "",         "data",
                                      "",           "data: [DONE]", ""};
    for (const std::string end : {"\n", "\r\n", "\r"}) {
        std::string text = "\xEF\xBB\xBF";
        for (const auto line : lines) text.append(line).append(end);
        for (std::size_t piece = 1; piece <= text.size(); ++piece) {
            const auto events = split(text, piece);
            REQUIRE(events == std::vector<SseEvent>{{.event = "a", .data = "one\ntwo", .id = "7"},
                                                    {.data = " two"},
                                                    {.data = ""},
                                                    {.data = "[DONE]"}});
        }
    }
}

TEST_CASE("an event that is cut off is not given out") {
    CHECK(split("data: one\n\ndata: two\n", 4).size() == 1);
}

TEST_CASE("an event beyond the limit is dropped whole, and the next one is right") {
    SseSplitter splitter{100};
    std::vector<SseEvent> events;
    const auto feed = [&](std::string_view text) {
        splitter.feed(text, [&](SseEvent&& event) { events.push_back(std::move(event)); });
    };
    feed("event: big\ndata: ");
    for (int i = 0; i < 1'000; ++i) feed("0123456789");
    feed("\ndata: more\n\ndata: small\n\n");
    CHECK(events == std::vector<SseEvent>{{.data = "small"}});
    CHECK(splitter.dropped() == 1);
}
