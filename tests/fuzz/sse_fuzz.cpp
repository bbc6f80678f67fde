// Server-sent events in any pieces: what the splitter gives out, and whether the stream has come to its
// proper end, is what a look at the whole text says.
#include <string>

#include <fairlead/transport/sse.hpp>

#include "../../examples/gateway/done_marker.hpp"
#include "fuzz.hpp"

namespace {

using fairlead::SseEvent;
using fairlead::test::must;

/// The lines of `text`, each without its end (LF, CR or both); what follows the last end is not one, unless
/// `open_too`.
std::vector<std::string> lines_of(std::string_view text, bool open_too) {
    std::vector<std::string> lines;
    std::string line;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\r' && text[i] != '\n') {
            line += text[i];
            continue;
        }
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
        lines.push_back(std::exchange(line, {}));
    }
    if (open_too) lines.push_back(line);
    return lines;
}

/// By the standard's words (WHATWG HTML, 9.2.6), without a limit.
std::vector<SseEvent> events_of(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    std::vector<SseEvent> events;
    SseEvent event;
    std::string data;  // with an LF behind every line
    for (const auto& line : lines_of(text, false)) {
        if (line.empty()) {
            if (!data.empty()) {
                data.pop_back();
                event.data = data;
                events.push_back(event);
            }
            event = {};
            data.clear();
            continue;
        }
        const auto colon = line.find(':');
        if (colon == 0) continue;
        const auto name = line.substr(0, colon);
        std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
        if (!value.empty() && value[0] == ' ') value.erase(0, 1);
        if (name == "event") event.event = value;
        if (name == "data") data += value + "\n";
        if (name == "id" && value.find('\0') == std::string::npos) event.id = value;
    }
    return events;
}

void fuzz_sse(std::string_view text) {
    const auto wanted = events_of(text);
    bool done = false;
    for (const auto& line : lines_of(text, true))
        done = done || line == "data: [DONE]" || line == "data:[DONE]";
    for (std::uint64_t way = 0; way < 4; ++way) {
        fairlead::SseSplitter splitter;
        fairlead::SseSplitter limited{64};
        gateway::DoneMarker marker;
        std::vector<SseEvent> events;
        std::vector<SseEvent> small;
        const auto feed = [&](std::string_view piece) {
            splitter.feed(piece, [&](SseEvent&& event) { events.push_back(std::move(event)); });
            limited.feed(piece, [&](SseEvent&& event) { small.push_back(std::move(event)); });
            marker.feed(piece);
        };
        if (way == 0) {
            feed(text);
        } else if (way == 1) {
            for (std::size_t i = 0; i < text.size(); ++i) feed(text.substr(i, 1));
        } else {
            fairlead::test::in_pieces(text, way, feed);
        }
        must(events == wanted, "the events are the same in any pieces");
        must(splitter.dropped() == 0, "nothing is dropped below the limit");
        must(marker.seen() == done, "the end marker is seen when a line is one");
        // What is within the limit comes, in order, and as it is; what is dropped is dropped whole.
        auto next = wanted.begin();
        for (const auto& event : small) {
            must(event.data.size() <= 64, "the limit holds");
            while (next != wanted.end() && !(*next == event)) ++next;
            must(next != wanted.end(), "with a limit there come no other events");
            ++next;
        }
        must(wanted.size() - small.size() <= limited.dropped(), "what is dropped is counted");
    }
}

const fairlead::test::FuzzRegistration sse_body{"sse", fuzz_sse};

}  // namespace
