// Whatever bytes come from a peer: the HTTP parser makes progress, stays in bounds, and pieces do not matter.
//
// Built with FAIRLEAD_FUZZING this is a libFuzzer target; without, a test of the same body over what a fixed
// generator makes of a few seeds.
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

/// Reads one message off the front of `data`.
Reading read(fairlead::HttpParser& parser, std::span<const char>& data, std::size_t piece) {
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

/// Ends the program when a promise of the parser does not hold.
void fuzz_http_parser(std::span<const char> input) {
    constexpr fairlead::HttpLimits limits{
        .max_head_bytes = 4096, .max_headers = 50, .max_body_bytes = 1 << 16};
    for (const auto kind : {fairlead::HttpParser::Kind::request, fairlead::HttpParser::Kind::response}) {
        fairlead::HttpParser parsers[]{fairlead::HttpParser{kind, limits},
                                       fairlead::HttpParser{kind, limits}};
        std::span<const char> rests[]{input, input};
        // One message after the other, as on a connection: where the next begins is what smuggling is about.
        do {
            const auto whole = read(parsers[0], rests[0], input.size() + 1);
            const auto bytes = read(parsers[1], rests[1], 1);
            // What is a message for one way of feeding is the same message for every other, and ends at the
            // same byte.
            if (whole.complete != bytes.complete || whole.head != bytes.head) std::abort();
            if (!whole.complete) break;
            if (whole.body != bytes.body || rests[0].size() != rests[1].size()) std::abort();
            for (auto& parser : parsers) parser.next();
        } while (!rests[0].empty());
    }
}

}  // namespace

#ifdef FAIRLEAD_FUZZING
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_http_parser({reinterpret_cast<const char*>(data), size});  // bytes are bytes
    return 0;
}
#else
#include <vector>

#include "support/catch.hpp"

TEST_CASE("the HTTP parser bears its seeds and what mutation makes of them") {
    std::uint64_t state = 42;  // fixed: the same inputs on every run
    const auto next = [&] {
        return state = state * 6364136223846793005u + 1442695040888963407u, state >> 33;
    };
    const std::vector<std::string> seeds{
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: "
        "1\r\n\r\nx",
        "POST /a HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nokPOST /b HTTP/1.1\r\nHost: "
        "h\r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 "
        "OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n",
    };
    for (int round = 0; round < 5'000; ++round) {
        auto text = seeds[next() % seeds.size()];
        for (auto changes = next() % 4; changes > 0; --changes) {
            const auto at = next() % text.size();
            if (next() % 3 == 0) {
                text.erase(at, next() % 4 + 1);
            } else {
                text[at] = static_cast<char>(next());
            }
            if (text.empty()) text = "x";
        }
        fuzz_http_parser(text);
    }
    SUCCEED("nothing aborted");
}
#endif
