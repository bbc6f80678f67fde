// Whatever bytes come from a peer: the HTTP parser makes progress, stays in bounds, and pieces do not matter.
//
// A fuzz target, and a test of the same body over what a fixed generator makes of a few seeds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/transport/http_parser.hpp>

#include "fuzz.hpp"

namespace {

using fairlead::test::must;

struct Reading {
    std::error_code error{};
    std::string body{};
    std::string head{};
    bool complete = false;
    bool keep_alive = false;
};

/// Takes one message after the other off the bytes it is fed, as server and client do.
class Reader {
  public:
    Reader(fairlead::HttpParser::Kind kind, std::string_view method)
        : parser_{kind, {.max_head_bytes = 4096, .max_headers = 50, .max_body_bytes = 1 << 16}},
          method_{method} {
        parser_.answer_to(method_);
    }

    void feed(std::string_view piece) {
        while (!piece.empty() && !messages.back().error) {
            auto& reading = messages.back();
            const auto step = parser_.feed(piece);
            must(step.consumed <= piece.size(), "a step stays in its piece");
            must(step.consumed > 0 || step.error || step.message_complete, "a step makes progress");
            must(step.body.empty() || (step.body.data() >= piece.data() &&
                                       step.body.data() + step.body.size() <= piece.data() + piece.size()),
                 "a body is a view into its piece");
            reading.error = step.error;
            reading.body.append(step.body);
            read_bytes_ += step.consumed;
            piece.remove_prefix(step.consumed);
            if (step.message_complete) ended();
        }
    }

    void finish() {
        auto& reading = messages.back();
        if (reading.error) return;
        const auto step = parser_.finish();
        reading.error = step.error;
        note_head(reading);
        reading.complete = step.message_complete;
    }

    std::vector<Reading> messages = std::vector<Reading>(1);
    std::vector<std::size_t> ends{};  ///< of every complete message: how many bytes were read by then

  private:
    void ended() {
        note_head(messages.back());
        messages.back().complete = true;
        messages.back().keep_alive = parser_.keep_alive();
        messages.emplace_back();
        ends.push_back(read_bytes_);
        parser_.next();
        parser_.answer_to(method_);
    }

    void note_head(Reading& reading) const {
        if (!parser_.head_complete()) return;
        reading.head = std::string{parser_.target()} + ' ' + std::to_string(parser_.status()) + ' ' +
                       std::string{parser_.reason()} + '\n';
        for (const auto& header : parser_.headers()) {
            must(header.name.find_first_of("\r\n: ") == std::string::npos &&
                     header.value.find_first_of(std::string_view{"\r\n\0", 3}) == std::string::npos,
                 "a header cannot be split by what it holds");
            reading.head.append(header.name + ": " + header.value + '\n');
        }
    }

    fairlead::HttpParser parser_;
    std::string_view method_;
    std::size_t read_bytes_ = 0;
};

/// Ends the program when a promise of the parser does not hold.
void fuzz_http_parser(std::string_view input) {
    using Kind = fairlead::HttpParser::Kind;
    for (const auto& [kind, method] : {std::pair{Kind::request, ""}, std::pair{Kind::response, "GET"},
                                       std::pair{Kind::response, "HEAD"}}) {
        Reader whole{kind, method};
        whole.feed(input);
        whole.finish();
        for (std::uint64_t way = 0; way < 3; ++way) {
            Reader parts{kind, method};
            if (way == 0) {
                for (std::size_t i = 0; i < input.size(); ++i) parts.feed(input.substr(i, 1));
            } else {
                fairlead::test::in_pieces(input, way, [&](std::string_view piece) { parts.feed(piece); });
            }
            parts.finish();
            // The same messages, ending at the same bytes: where the next begins is what smuggling is about.
            must(parts.ends == whole.ends, "messages end at the same bytes in any pieces");
            must(parts.messages.size() == whole.messages.size(), "there are as many messages in any pieces");
            for (std::size_t i = 0; i < parts.messages.size(); ++i) {
                const auto& a = parts.messages[i];
                const auto& b = whole.messages[i];
                must(a.complete == b.complete && a.head == b.head && a.keep_alive == b.keep_alive,
                     "a message is the same in any pieces");
                must(!a.complete || a.body == b.body, "a body is the same in any pieces");
                must(static_cast<bool>(a.error) == static_cast<bool>(b.error),
                     "what is refused is refused in any pieces");
            }
        }
    }
}

const fairlead::test::FuzzRegistration http_parser_body{"http-parser", fuzz_http_parser};

}  // namespace

#ifndef FAIRLEAD_FUZZING
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
