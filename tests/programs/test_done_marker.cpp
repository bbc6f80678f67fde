// The end of a stream of completions is found however its bytes are cut.
#include <string>

#include "gateway/done_marker.hpp"
#include "support/catch.hpp"

namespace {

bool done_in_pieces(std::string_view text, std::size_t piece) {
    gateway::DoneMarker marker;
    for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
        marker.feed(text.substr(0, piece));
    return marker.seen();
}

}  // namespace

TEST_CASE("the marker is found in pieces of any size, with every end of line and without one") {
    for (const std::string text :
         {"data: {\"a\":1}\n\ndata: [DONE]\n\n", "data: x\r\n\r\ndata: [DONE]\r\n\r\n",
          "data: x\r\rdata: [DONE]\r\r", "data: x\n\ndata:[DONE]\n\n", "data: x\n\ndata: [DONE]",
          "data: [DONE]\n\n: a comment\n\n", "data: [DONE]"}) {
        for (std::size_t piece = 1; piece <= text.size(); ++piece) {
            INFO(text << " in pieces of " << piece);
            CHECK(done_in_pieces(text, piece));
        }
    }
}

TEST_CASE("what only looks like the marker is none") {
    for (const std::string text :
         {"", "\n\n", "data: {\"content\":\"data: [DONE]\"}\n\n", "data: [DONE", "data: [DONE]x\n\n",
          "data:  [DONE]\n\n", " data: [DONE]\n\n", "event: data: [DONE]\n\n",
          "data: \"\\ndata: [DONE]\"\n\n", ": data: [DONE]\n\n", "xdata: [DONE]\r\n\r\n"}) {
        for (std::size_t piece = 1; piece <= text.size(); ++piece) {
            INFO(text << " in pieces of " << piece);
            CHECK_FALSE(done_in_pieces(text, piece));
        }
    }
}

TEST_CASE("events with data are counted, however they are cut") {
    const std::string text = "data: a\n\n: ping\n\nevent: x\ndata:b\r\n\r\ndata: [DONE]\n\n";
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        gateway::DoneMarker marker;
        for (std::string_view left = text; !left.empty(); left.remove_prefix(std::min(piece, left.size())))
            marker.feed(left.substr(0, piece));
        CHECK(marker.events() == 2);
    }
}

TEST_CASE("an unfinished line counts only while nothing follows it") {
    gateway::DoneMarker marker;
    marker.feed("data: [DONE]");
    CHECK(marker.seen());
    marker.feed(" and on");
    CHECK_FALSE(marker.seen());
}
