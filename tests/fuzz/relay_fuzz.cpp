// An answer that comes in fragments and is read as it comes: a reader gets what was said, in order, all of it
// and a proper end where the framing was right, an error else; and the connection serves another request just
// where it may.
//
// The transport and its backend share a thread and real sockets. relay_answer.hpp says what an input is.
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/error.hpp>
#include <asio/strand.hpp>

#include <fairlead/transport/http_transport.hpp>

#include "fuzz.hpp"
#include "relay_answer.hpp"
#include "support/http_exchange.hpp"

namespace {

using fairlead::test::ByteChance;
using fairlead::test::must;
using fairlead::test::RelayAnswer;
using fairlead::test::RelayReading;

/// What all inputs share: a connection is dear enough.
struct RelayLoop : fairlead::test::PolledLoop {
    fairlead::test::RelayPeer peer{};
    fairlead::HttpTransport http{io, {.one_thread = true}};
    const fairlead::BackendConfig backend = fairlead::test::backend_at(peer.url());
};

fairlead::HttpRequest request_by(const std::string& method) {
    return {method, "/v1/chat/completions", method == "POST" ? "{}" : ""};
}

/// Opens a stream, and reads it when it is told to, or by itself; holds what it gets to what there is.
class StreamReader {
  public:
    StreamReader(RelayLoop& loop, const RelayReading& there, std::uint32_t ways)
        : loop_{loop}, there_{there}, ways_{ways}, reads_on_{(ways & 1U) == 0} {}

    void open(const std::string& method) {
        initiating_ = true;
        pending_ = true;
        loop_.http.async_open(
            loop_.backend, request_by(method), {},
            asio::bind_cancellation_slot(
                stop_.slot(), [this](std::error_code error, const fairlead::HttpResponse& head,
                                     fairlead::HttpBody body) { on_head(error, head, std::move(body)); }));
        initiating_ = false;
    }

    void read_piece() {
        if (!may_read()) return;
        pending_ = initiating_ = true;
        room_ = std::string::npos;
        const auto handler = [this](std::error_code error, const fairlead::HttpPiece& piece) {
            on_read(error, piece.view());
        };
        if ((ways_ & 2U) != 0) {  // of another executor: it is not lent
            body_.async_read_piece(asio::bind_executor(asio::make_strand(loop_.io), handler));
        } else {
            body_.async_read_piece(handler);
        }
        initiating_ = false;
    }

    void read_bytes(std::size_t room) {
        if (!may_read()) return;
        pending_ = initiating_ = true;
        room_ = room;
        buffer_.resize(room);
        body_.async_read(asio::buffer(buffer_), [this](std::error_code error, std::size_t size) {
            on_read(error, std::string_view{buffer_.data(), size});
        });
        initiating_ = false;
    }

    /// By itself from now on, or no more.
    void read_on(bool on) {
        reads_on_ = on;
        if (on) read_next();
    }

    void cancel() {
        is_cancelled_ = true;
        is_open_ ? body_.cancel() : stop_.emit(asio::cancellation_type::terminal);
    }

    void drop() {
        if (!is_open_) return cancel();
        is_dropped_ = true;
        body_ = {};
    }

    bool is_open() const noexcept { return is_open_; }
    bool is_cancelled() const noexcept { return is_cancelled_; }
    bool is_dropped() const noexcept { return is_dropped_; }
    const std::string& text() const noexcept { return text_; }

    /// How reading, or opening, ended.
    const std::optional<std::error_code>& end() const noexcept { return end_; }

    /// Nothing more will be told.
    bool is_over() const noexcept { return !pending_ && (end_ || is_dropped_); }

    /// All that there is, and nobody knows of an end.
    bool has_all() const noexcept {
        return is_open_ == there_.has_head && text_.size() == there_.body.size() && !end_;
    }

  private:
    bool may_read() const noexcept { return is_open_ && !is_dropped_ && !pending_; }

    void read_next() {
        if (end_) return;
        constexpr std::array<std::size_t, 6> rooms{0, 1, 3, 16, 256, 65536};
        const std::size_t least = there_.body.size() > 4096 ? 256 : 0;  // much in little takes its time
        turn_ = turn_ * 5 + ways_ / 4 + 1;
        const auto way = turn_ / 8 % (rooms.size() * 2);
        way < rooms.size() ? read_bytes(std::max(least, rooms[way])) : read_piece();
    }

    void told() {
        must(pending_ && !initiating_, "a handler is called once, and not by what begins");
        pending_ = false;
    }

    void on_head(std::error_code error, const fairlead::HttpResponse& head, fairlead::HttpBody body) {
        told();
        if (error) {
            end_ = error;
            return;
        }
        must(there_.has_head && head.status == there_.head.status && head.headers == there_.head.headers,
             "a head is as it was said");
        is_open_ = true;
        body_ = std::move(body);
        if ((ways_ & 4U) != 0) {
            const auto ready = body_.take_ready();
            take(ready.data);
            must(!ready.complete || (there_.is_complete && has_all()),
                 "what came with the head is all of it");
        }
        if (reads_on_) read_next();
    }

    void on_read(std::error_code error, std::string_view bytes) {
        told();
        must(!error || bytes.empty(), "an error brings no bytes");
        must(error || !bytes.empty() || room_ == 0, "a read brings something");
        take(bytes);
        must(!end_ || (error == *end_ && bytes.empty()), "an end stays");
        if (error) end_ = error;
        if (reads_on_) read_next();
    }

    void take(std::string_view bytes) {
        must(std::string_view{there_.body}.substr(text_.size(), bytes.size()) == bytes,
             "what is read was said, in this order");
        text_ += bytes;
    }

    RelayLoop& loop_;
    const RelayReading& there_;
    const std::uint32_t ways_;
    std::uint32_t turn_ = 0;
    asio::cancellation_signal stop_{};
    fairlead::HttpBody body_{};
    std::vector<char> buffer_{};
    std::size_t room_ = 0;
    std::string text_{};
    std::optional<std::error_code> end_{};
    bool reads_on_;
    bool pending_ = false;
    bool initiating_ = false;
    bool is_open_ = false;
    bool is_cancelled_ = false;
    bool is_dropped_ = false;
};

void check_end(const StreamReader& reader, const RelayAnswer& answer, const RelayReading& there) {
    using fairlead::TransportErrc;
    if (reader.is_dropped()) return;
    const auto end = reader.end().value_or(std::error_code{});
    if (reader.is_cancelled() && end == fairlead::Errc::cancelled) return;
    must(end != fairlead::Errc::cancelled, "nobody else cancels");
    if (end == asio::error::eof) {
        must(reader.is_open() && there.is_complete && reader.text() == there.body,
             "a proper end comes behind all of it, and only there");
        return;
    }
    if (answer.end == RelayAnswer::End::resets) return;  // of what was on its way any part is lost
    const auto wanted =
        there.error == TransportErrc::closed ? TransportErrc::closed_before_response : there.error;
    must(end == wanted, "an end is told as what it is");
    must(!reader.is_open() || reader.text() == there.body, "what came before it broke is read");
}

/// The next request goes over the same connection, or over another; its answer is its own.
void check_next_request(RelayLoop& loop, bool same, bool breaks, const std::string& method) {
    constexpr std::string_view ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    int calls = 0;
    std::error_code error;
    fairlead::HttpResponse response;
    loop.http.async_send(loop.backend, request_by(method), {},
                         [&](std::error_code e, fairlead::HttpResponse r) {
                             ++calls;
                             error = e;
                             response = std::move(r);
                         });
    bool is_same = false;
    const auto arrives = [&] { return (is_same = loop.peer.has_request()) || loop.peer.accept(); };
    loop.until(arrives, "another request arrives");
    must(is_same == same, "a connection is used again where it may");
    if (!same) loop.until([&] { return loop.peer.has_request(); }, "a request is sent");
    // It broke before a byte of the answer: what may be sent twice is sent over another.
    const bool again = same && breaks && method != "POST";
    if (breaks) loop.peer.forget();
    if (again) {
        loop.until([&] { return loop.peer.accept(); }, "a request is sent once more");
        loop.until([&] { return loop.peer.has_request(); }, "a request is sent as before");
    }
    const bool answers = again || !breaks;
    if (answers) loop.peer.say_at_once(method == "HEAD" ? ok.substr(0, ok.size() - 2) : ok);
    loop.until([&] { return calls > 0; }, "the next answer comes");
    must(static_cast<bool>(error) != answers, "a request is answered, or broken off");
    must(!answers || response.body == (method == "HEAD" ? "" : "ok"), "an answer is its own request's");
    loop.peer.forget();
    loop.poll();
    must(calls == 1, "an answer comes once");
}

void fuzz_relay(std::string_view input) {
    static RelayLoop loop;
    ByteChance parts{input};
    ByteChance plan{parts.until(fairlead::test::relay_separator)};
    const ByteChance script{parts.until(fairlead::test::relay_separator)};
    const auto answer = make_answer(plan, parts.rest());
    const auto there = reading_of(answer);
    StreamReader reader{loop, there, plan.below(256)};
    const auto next = plan.below(4);

    reader.open(answer.method);
    loop.until([] { return loop.peer.accept(); }, "a request opens a connection");
    loop.until([] { return loop.peer.has_request(); }, "a request is sent");
    loop.peer.begin(answer, there.size);
    follow(script, loop, loop.peer, reader);
    reader.read_on(true);
    const auto is_over = [&] {
        loop.peer.say_rest();
        const bool waits = !there.is_complete && !there.error && answer.end == RelayAnswer::End::stays;
        if (waits && loop.peer.has_said_all() && reader.has_all() && !reader.is_cancelled()) reader.cancel();
        return reader.is_over();
    };
    loop.until(is_over, "a reader is told the end");
    check_end(reader, answer, there);
    const bool had_end = reader.end() == asio::error::eof;
    if (reader.is_open() && !reader.is_dropped()) {
        reader.read_on(false);
        reader.read_piece();
        loop.until([&] { return reader.is_over(); }, "an end is told again");
        reader.read_bytes(16);
        loop.until([&] { return reader.is_over(); }, "an end is told again");
    }

    // Where it ended while more was on its way, nobody can tell which came first.
    const bool stays = answer.end == RelayAnswer::End::stays && loop.peer.has_said_all();
    const bool is_alone = stays && there.size == answer.wire.size();
    const bool keeps = had_end && there.keeps_connection && !there.head.headers.contains("Keep-Alive");
    if (next == 0 || reader.is_dropped()) {
        // Dropped: what had come whole with its head had ended before that.
    } else if (keeps && is_alone) {
        check_next_request(loop, true, next == 1, answer.method);
    } else if (!had_end || !there.keeps_connection || loop.peer.runs_over()) {
        check_next_request(loop, false, next == 1, answer.method);
    }
    reader.drop();
    loop.peer.forget();
    loop.poll();
}

const fairlead::test::FuzzRegistration relay_body{"relay", fuzz_relay};

}  // namespace

#ifndef FAIRLEAD_FUZZING

#include "support/catch.hpp"

TEST_CASE("a stream is read as it was said, cut anywhere, in any of its framings and ends") {
    const std::string body = "data: {\"a\":1}\n\ndata: {\"b\":[2,3]}\n\n: ping\n\ndata: [DONE]\n\n";
    for (char framing = 0; framing < 3; ++framing) {
        for (char end = 0; end < 3; ++end) {
            for (char ways = 0; ways < 8; ++ways) {
                std::string input{framing, 4, 0, 0, end};
                input += {3, 0, 0, ways, 2};
                input += fairlead::test::relay_separator;
                input += std::string(40, '\x09');  // two bytes, then the loop's turn
                fuzz_relay(input + fairlead::test::relay_separator + body);
            }
        }
    }
    SUCCEED("nothing aborted");
}

#endif
