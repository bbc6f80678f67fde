// The parser reads what is HTTP in any pieces, and refuses each malformed form with an error of its own.
#include <fairlead/transport/http_parser.hpp>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/transport/transport_error.hpp>

#include "support/catch.hpp"

using fairlead::HttpParser;
using E = fairlead::TransportErrc;
using Kind = fairlead::HttpParser::Kind;
using namespace std::string_literals;

namespace {

struct Message {
    std::error_code error{};
    std::string body{};
    bool complete = false;
    std::size_t used = 0;
};

Message read(HttpParser& parser, std::string_view text, std::size_t piece) {
    Message message;
    while (!text.empty() && !message.complete && !message.error) {
        const auto input = text.substr(0, piece);
        const auto step = parser.feed({input.data(), input.size()});
        message.error = step.error;
        message.body += step.body;
        message.complete = step.message_complete;
        message.used += step.consumed;
        text.remove_prefix(step.consumed);
    }
    return message;
}

struct Case {
    std::string text;
    E error;
};

void check_refused(Kind kind, const std::vector<Case>& cases) {
    for (const auto& each : cases) {
        for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, each.text.size()}) {
            HttpParser parser{kind, {.max_head_bytes = 1000, .max_headers = 5, .max_body_bytes = 100}};
            INFO(each.text << " in pieces of " << piece);
            CHECK(read(parser, each.text, piece).error == each.error);
            CHECK(parser.feed({"GET", 3}).error == each.error);  // stays refused
        }
    }
}

}  // namespace

TEST_CASE("a request is the same in pieces of any size") {
    const auto text =
        "POST /v1/x?a=b HTTP/1.1\r\nHost: h:1\r\nX-A:  one two \t\r\nx-a: 3\r\nEmpty:\r\n"
        "Content-Length: 5\r\n\r\nhelloGET"s;
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        HttpParser parser{Kind::request};
        CHECK_FALSE(parser.began());
        const auto message = read(parser, text, piece);
        REQUIRE_FALSE(message.error);
        REQUIRE(message.complete);
        CHECK(message.used == text.size() - 3);  // the next message is left alone
        CHECK(message.body == "hello");
        CHECK(parser.method() == "POST");
        CHECK(parser.content_length() == 5u);
        CHECK(parser.keep_alive());
        const auto request = parser.take_request();
        CHECK(request.target == "/v1/x?a=b");
        CHECK(request.headers.get("X-a") == "one two");
        CHECK(request.headers.count("X-A") == 2);
        CHECK(request.headers.get("empty") == "");
    }
}

TEST_CASE("chunks are taken apart in pieces of any size, extensions and trailers left out") {
    const auto text =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n009;x=\"y\"\r\n, "
        "world!!\r\n0\r\nX-Sum: 1\r\n\r\n"s;
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        HttpParser parser{Kind::response};
        const auto message = read(parser, text, piece);
        REQUIRE_FALSE(message.error);
        REQUIRE(message.complete);
        CHECK(message.used == text.size());
        CHECK(message.body == "hello, world!!");
        CHECK(parser.chunked());
        CHECK(parser.keep_alive());
        CHECK_FALSE(parser.headers().contains("X-Sum"));
    }
}

TEST_CASE("a parser reads one message after the other") {
    HttpParser parser{Kind::request};
    for (int i = 0; i < 3; ++i) {
        CHECK(read(parser, "\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n", 7).complete);
        parser.next();
    }
    CHECK(parser.finish().error == E::closed);
}

TEST_CASE("an upgrade is ignored: the body is read as the length says, and the next request behind it") {
    const auto text =
        "POST /first HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: "
        "5\r\n\r\n"
        "hello"
        "POST /second HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: "
        "chunked\r\n\r\n2\r\nyo\r\n0\r\n\r\n"
        "GET /third HTTP/1.1\r\nHost: h\r\n\r\n"s;
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        HttpParser parser{Kind::request};
        std::string_view rest{text};
        std::string seen;
        for (int i = 0; i < 3; ++i) {
            const auto message = read(parser, rest, piece);
            REQUIRE(message.complete);
            CHECK(parser.keep_alive());
            seen.append(parser.target()).append(" ").append(message.body).append(";");
            rest.remove_prefix(message.used);
            parser.next();
        }
        CHECK(seen == "/first hello;/second yo;/third ;");
        CHECK(rest.empty());
    }
}

TEST_CASE("responses without a body end with their head") {
    for (const auto* head : {"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
                             "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
        HttpParser parser{Kind::response};
        CHECK(read(parser, head, 1).complete);
    }
    HttpParser parser{Kind::response};
    parser.answer_to("HEAD");
    CHECK(read(parser, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 1).complete);
    parser.next();
    CHECK_FALSE(read(parser, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 1).complete);
}

TEST_CASE("interim responses are skipped") {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}}) {
        HttpParser parser{Kind::response};
        const auto message = read(parser,
                                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "
                                  "x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                                  piece);
        CHECK(message.complete);
        CHECK(message.body == "ok");
        CHECK(parser.status() == 200);
        CHECK_FALSE(parser.headers().contains("Link"));
    }
}

TEST_CASE("interim responses without end are refused, some before each response are not") {
    std::string interim;
    for (int i = 0; i < 16; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
    HttpParser parser{Kind::response};
    for (int i = 0; i < 2; ++i) {
        CHECK(read(parser, interim + "HTTP/1.1 204 No Content\r\n\r\n", 1000).complete);
        parser.next();
    }
    check_refused(Kind::response,
                  {{interim + "HTTP/1.1 103 Early Hints\r\n\r\n", E::too_many_interim_responses}});
}

TEST_CASE("a response without a length runs to the connection's end, and ends keep-alive") {
    HttpParser parser{Kind::response};
    const auto message = read(parser, "HTTP/1.1 200\r\n\r\nsome text", 4);
    CHECK(message.body == "some text");
    CHECK_FALSE(message.complete);
    CHECK_FALSE(parser.keep_alive());
    CHECK(parser.finish().message_complete);
}

TEST_CASE("keep-alive follows version and Connection") {
    const auto kept = [](std::string_view version, std::string_view connection) {
        HttpParser parser{Kind::request};
        REQUIRE(
            read(parser,
                 "GET / HTTP/" + std::string{version} + "\r\nHost: h\r\n" + std::string{connection} + "\r\n",
                 9)
                .complete);
        return parser.keep_alive();
    };
    CHECK(kept("1.1", ""));
    CHECK_FALSE(kept("1.1", "Connection: x, Close\r\n"));
    CHECK_FALSE(kept("1.0", ""));
    CHECK(kept("1.0", "Connection: Keep-Alive\r\n"));
    CHECK(kept("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"));  // an upgrade is ignored
}

TEST_CASE("each malformed request is refused with its own error") {
    const auto h = "Host: h\r\n"s;
    const auto get = "GET / HTTP/1.1\r\n"s;
    const auto chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"s;
    check_refused(
        Kind::request,
        {
            {get + "\r\n", E::missing_host},
            {get + h + h + "\r\n", E::duplicate_host},
            {get + "Host: a b\r\n\r\n", E::bad_host},
            {get + "Host: a,b\r\n\r\n", E::bad_host},
            {get + "Host: a/b\r\n\r\n", E::bad_host},
            {get + "Host: u@b\r\n\r\n", E::bad_host},
            {get + h + "X: a\r\n b\r\n\r\n", E::folded_header},
            {get + " X: a\r\n" + h + "\r\n", E::folded_header},
            {get + h + "X : a\r\n\r\n", E::space_before_colon},
            {get + h + "X\t: a\r\n\r\n", E::space_before_colon},
            {get + h + "X\r\n\r\n", E::bad_header},
            {get + h + ": a\r\n\r\n", E::bad_header_name},
            {get + h + "X(: a\r\n\r\n", E::bad_header_name},
            {get + h + "X\x80: a\r\n\r\n", E::bad_header_name},
            {get + h + "X: a\n\r\n", E::lone_line_feed},
            {"GET / HTTP/1.1\n" + h + "\r\n", E::lone_line_feed},
            {get + h + "\n", E::lone_line_feed},
            {get + h + "X: a\rb\r\n\r\n", E::lone_carriage_return},
            {get + h + "X: a\0b\r\n\r\n"s, E::control_byte},
            {get + h + "X: a\x01\r\n\r\n", E::control_byte},
            {"GET /\0 HTTP/1.1\r\n"s + h + "\r\n", E::control_byte},
            {"GET /\xC3\xA9 HTTP/1.1\r\n" + h + "\r\n", E::bad_target},
            {"GET /a b HTTP/1.1\r\n" + h + "\r\n", E::bad_start_line},
            {"GET / HTTP/2.0\r\n" + h + "\r\n", E::unsupported_version},
            {"GET / HTTP/1.2\r\n" + h + "\r\n", E::unsupported_version},
            {"GET / HTTP/0.9\r\n" + h + "\r\n", E::unsupported_version},
            {"PRI * HTTP/2.0\r\n\r\n", E::bad_start_line},
            {"CONNECT h:1 HTTP/1.1\r\n" + h + "\r\n", E::connect_refused},
            {"BREW / HTTP/1.1\r\n" + h + "\r\n", E::unknown_method},
            {get + h + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", E::duplicate_content_length},
            {get + h + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", E::duplicate_content_length},
            {get + h + "Content-Length: 5, 5\r\n\r\n", E::bad_content_length},
            {get + h + "Content-Length: -5\r\n\r\n", E::bad_content_length},
            {get + h + "Content-Length: +5\r\n\r\n", E::bad_content_length},
            {get + h + "Content-Length: 5x\r\n\r\n", E::bad_content_length},
            {get + h + "Content-Length:\r\n\r\n", E::bad_content_length},
            {get + h + "Content-Length: 99999999999999999999\r\n\r\n", E::bad_content_length},
            {get + h + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
             E::length_with_transfer_encoding},
            {get + h + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
             E::length_with_transfer_encoding},
            {get + h + "Transfer-Encoding: gzip, chunked\r\n\r\n", E::bad_transfer_encoding},
            {get + h + "Transfer-Encoding: chunked, chunked\r\n\r\n", E::bad_transfer_encoding},
            {get + h + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
             E::bad_transfer_encoding},
            {get + h + "Transfer-Encoding: identity\r\n\r\n", E::bad_transfer_encoding},
            {get + h + "Transfer-Encoding: xchunked\r\n\r\n", E::bad_transfer_encoding},
            {"POST / HTTP/1.0\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n",
             E::transfer_encoding_in_http_1_0},
            {chunked + "5\r\nhelloX\r\n0\r\n\r\n", E::bad_chunk_end},
            {chunked + "5\r\nhello\n0\r\n\r\n", E::bad_chunk_end},
            {chunked + "x\r\n", E::bad_chunk_size},
            {chunked + "\r\n", E::bad_chunk_size},
            {chunked + "5 \r\nhello\r\n", E::bad_chunk_size},
            {chunked + "0x5\r\nhello\r\n", E::bad_chunk_size},
            {chunked + "-5\r\n", E::bad_chunk_size},
            {chunked + "5\nhello\r\n", E::bad_chunk_size},
            {chunked + "1234567890123456\r\n", E::bad_chunk_size},
            {chunked + "5;a\nb\r\nhello\r\n", E::bad_chunk_extension},
            {chunked + "5;" + std::string(5000, 'x') + "\r\n", E::bad_chunk_extension},
            {chunked + "0\r\nX : y\r\n\r\n", E::space_before_colon},
            {chunked + "0\r\nX: y\r\n z\r\n\r\n", E::folded_header},
            {chunked + "0\r\nX: " + std::string(1001, 'x'), E::head_too_large},
            {get + h + "X: " + std::string(1000, 'x') + "\r\n\r\n", E::head_too_large},
            {get + h + "A: \r\nB: \r\nC: \r\nD: \r\nE: \r\n\r\n", E::too_many_headers},
            {get + h + "Content-Length: 101\r\n\r\n", E::body_too_large},
            {chunked + "65\r\n" + std::string(101, 'x') + "\r\n0\r\n\r\n", E::body_too_large},
            {"\x16\x03\x01\x02"s, E::control_byte},
        });
}

TEST_CASE("blanks around a length are none of it, inside they are refused") {
    for (const auto* good : {"5", "  5", "5 ", "\t5\t", " \t 5 \t "}) {
        const auto text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:"s + good + "\r\n\r\nhello";
        HttpParser parser{Kind::request};
        CHECK(read(parser, text, text.size()).body == "hello");
        CHECK(parser.headers().get("Content-Length") == "5");
    }
    for (const auto* bad : {"5 5", "5\t5", "0 5", "- 5"}) {
        const auto text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:"s + bad + "\r\n\r\nhello";
        HttpParser parser{Kind::request};
        CHECK(read(parser, text, text.size()).error == E::bad_content_length);
    }
}

TEST_CASE("a control byte is found wherever in a value it stands, and nothing else is taken for one") {
    for (std::size_t at = 0; at < 20; ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            std::string value(20, 'v');
            value[at] = static_cast<char>(byte);
            const auto text = "GET / HTTP/1.1\r\nHost: h\r\nX: " + value + "\r\n\r\n";
            HttpParser parser{Kind::request};
            const auto message = read(parser, text, text.size());
            INFO(byte << " at " << at);
            const bool is_control = (byte < 0x20 && byte != '\t') || byte == 0x7F;
            CHECK(message.complete == !is_control);
        }
    }
}

TEST_CASE("a byte that no target may hold is found wherever in it it stands") {
    for (std::size_t at = 0; at < 20; ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            if (byte >= 0x20 && byte < 0x7F) continue;
            std::string target(20, 't');
            target[at] = static_cast<char>(byte);
            const auto text = "GET /" + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
            HttpParser parser{Kind::request};
            const auto message = read(parser, text, text.size());
            INFO(byte << " at " << at);
            CHECK(message.error);
            // A line that ends too soon is llhttp's to refuse; what else is wrong is found where it stands.
            if (byte != '\r' && byte != '\n') CHECK(message.used == std::string_view{"GET /"}.size() + at);
        }
    }
}

TEST_CASE("each malformed response is refused with its own error") {
    check_refused(
        Kind::response,
        {
            {"SSH-2.0-OpenSSH_9.2\r\n", E::not_http},
            {"\x15\x03\x01", E::not_http},
            {"<html>", E::not_http},
            {"HTTP/2.0 200 OK\r\n\r\n", E::unsupported_version},
            {"HTTP/1.1 099 Low\r\n\r\n", E::bad_status},
            {"HTTP/1.1 999 High\r\n\r\n", E::bad_status},
            {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
             E::unexpected_upgrade},
            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", E::bad_transfer_encoding},
            {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", E::transfer_encoding_in_http_1_0},
            {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
             E::duplicate_content_length},
            {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", E::folded_header},
            {"HTTP/1.1 200 OK\n\r\n", E::lone_line_feed},
        });
}

TEST_CASE("a message cut off says where") {
    const auto cut = [](Kind kind, std::string_view text) {
        HttpParser parser{kind};
        REQUIRE_FALSE(read(parser, text, 5).error);
        return parser.finish().error;
    };
    CHECK(cut(Kind::response, "") == E::closed);
    CHECK(cut(Kind::response, "HTTP/1.1 200 OK\r\nConte") == E::closed_in_head);
    CHECK(cut(Kind::response, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell") == E::truncated_length);
    CHECK(cut(Kind::response, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") ==
          E::truncated_chunks);
    CHECK(cut(Kind::request, "GET / HT") == E::closed_in_head);
}

TEST_CASE("a refused request says which status a server answers") {
    CHECK(fairlead::refusal_status(E::missing_host) == 400);
    CHECK(fairlead::refusal_status(E::head_too_large) == 431);
    CHECK(fairlead::refusal_status(E::body_too_large) == 413);
    CHECK(fairlead::refusal_status(E::unsupported_version) == 505);
    CHECK(fairlead::refusal_status(E::unknown_method) == 501);
    CHECK(fairlead::refusal_status(E::connect_refused) == 501);
    // All that leaves open where a message ends.
    for (const auto error :
         {E::bad_transfer_encoding, E::length_with_transfer_encoding, E::duplicate_content_length,
          E::bad_content_length, E::transfer_encoding_in_http_1_0, E::bad_chunk_size, E::bad_chunk_end,
          E::bad_chunk_extension, E::folded_header, E::space_before_colon, E::lone_line_feed,
          E::duplicate_host, E::bad_start_line}) {
        CHECK(fairlead::refusal_status(error) == 400);
    }
}

TEST_CASE("every error of the transport has a sentence of its own, and those of time say that they are") {
    const int last = static_cast<int>(E::body_too_large);
    std::set<std::string> sentences;
    std::set<E> of_time;
    for (int value = 1; value <= last; ++value) {
        const auto error = static_cast<E>(value);
        sentences.insert(make_error_code(error).message());
        if (fairlead::is_timeout(error)) of_time.insert(error);
    }
    CHECK(sentences.size() == static_cast<std::size_t>(last));
    CHECK_FALSE(sentences.contains(""));
    CHECK(of_time == std::set{E::connect_timeout, E::write_timeout, E::response_timeout,
                              E::first_byte_timeout, E::idle_timeout, E::total_timeout});
    const std::error_code none{last + 1, fairlead::transport_category()};
    CHECK(none.message() == "unknown transport error " + std::to_string(last + 1));
    CHECK(std::string_view{fairlead::transport_category().name()} == "fairlead.transport");
}
