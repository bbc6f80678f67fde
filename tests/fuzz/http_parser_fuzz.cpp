// Fuzz target of the HTTP parser: whatever comes, it makes progress, stays in bounds, and pieces do not
// matter.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include <fairlead/transport/http_parser.hpp>

namespace {

struct Reading {
    std::error_code error{};
    std::string body{};
    std::string head{};
    bool complete = false;

    bool operator==(const Reading&) const = default;
};

Reading read(fairlead::HttpParser::Kind kind, std::span<const char> data, std::size_t piece) {
    fairlead::HttpParser parser{kind, {.max_head_bytes = 4096, .max_headers = 50, .max_body_bytes = 1 << 16}};
    Reading reading;
    while (!data.empty() && !reading.complete && !reading.error) {
        const auto input = data.first(data.size() < piece ? data.size() : piece);
        const auto step = parser.feed(input);
        if (step.consumed > input.size()) std::abort();
        if (step.consumed == 0 && !step.error) std::abort();  // no progress would be a loop without end
        if (!step.body.empty() && (step.body.data() < input.data() ||
                                   step.body.data() + step.body.size() > input.data() + input.size())) {
            std::abort();
        }
        reading.error = step.error;
        reading.body.append(step.body);
        reading.complete = step.message_complete;
        data = data.subspan(step.consumed);
    }
    if (!reading.complete && !reading.error) reading.error = parser.finish().error;
    if (parser.head_complete()) {
        reading.head.append(parser.target()).append(std::to_string(parser.status()));
        for (const auto& header : parser.headers())
            reading.head.append(header.name + ":" + header.value + "\n");
    }
    return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const char> input{reinterpret_cast<const char*>(data), size};  // bytes are bytes
    for (const auto kind : {fairlead::HttpParser::Kind::request, fairlead::HttpParser::Kind::response}) {
        const auto whole = read(kind, input, size + 1);
        const auto bytes = read(kind, input, 1);
        // What is a message for one way of feeding is the same message for every other. (Limits may strike in
        // another place of the body.)
        if (whole.complete != bytes.complete || whole.head != bytes.head) std::abort();
        if (whole.complete && whole.body != bytes.body) std::abort();
    }
    return 0;
}
