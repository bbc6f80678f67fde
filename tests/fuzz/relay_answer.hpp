// What a relay has to do with, of an input's bytes: a backend's answer, what there is to read of it, and the
// backend that gives it, on the thread of whoever reads.
//
// An input is a plan (`make_answer` and whoever calls it take their numbers from it in turn; what is left out
// is 0), a script of what happens in which order, and the answer's body: between them the ASCII record
// separator.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/socket_base.hpp>

#include <fairlead/transport/http_parser.hpp>
#include <fairlead/transport/transport_error.hpp>

#include "fuzz.hpp"

namespace fairlead::test {

inline constexpr char relay_separator = '\x1e';

/// A loop that is run by whoever waits for something.
struct PolledLoop {
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard{io.get_executor()};

    void poll() { io.poll(); }

    /// Until `condition`. It takes microseconds; after ten seconds it is missed.
    template <class Condition>
    void until(Condition condition, const char* promise) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
        while (!condition()) {
            must(std::chrono::steady_clock::now() < end, promise);
            // A timer, where there is nothing to do but to wait for it.
            if (io.poll() == 0 && !condition()) io.run_one_for(std::chrono::milliseconds{1});
        }
    }
};

/// What a backend says to one request, and how it ends.
struct RelayAnswer {
    enum class End : std::uint8_t { stays, closes, resets };

    std::string method{};
    std::string body{};
    std::string wire{};  ///< head, framing and body
    End end = End::stays;
    bool is_sound = false;  ///< nothing is missing, changed or of the input's own making
};

/// A part of the text in each chunk: of a few bytes, more, or an event.
inline std::string in_chunks(std::string_view text, std::uint32_t salt, bool extras) {
    constexpr std::array<std::uint64_t, 3> masks{7, 63, 1023};
    std::uint64_t state = salt;
    std::string wire;
    while (!text.empty()) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        std::size_t size = text.size();
        if (salt % 4 < masks.size()) {
            size = 1 + (state >> 33U & masks[text.size() > 4096 ? 2 : salt % 4]);
        } else if (const auto event = text.find("\n\n"); event != std::string_view::npos) {
            size = event + 2;
        }
        const auto chunk = text.substr(0, size);
        text.remove_prefix(chunk.size());
        std::array<char, 16> digits;
        std::snprintf(digits.data(), digits.size(), salt % 8 < 4 ? "%zx" : "%zX", chunk.size());
        const bool extended = extras && wire.size() < 2'000;  // a reader has a limit
        wire.append(digits.data()).append(extended ? ";a=\"b\"\r\n" : "\r\n").append(chunk).append("\r\n");
    }
    return wire + (extras ? "00;c\r\nT: u\r\n\r\n" : "0\r\n\r\n");
}

/// Takes ten numbers or so of the plan.
inline RelayAnswer make_answer(ByteChance& plan, std::string_view text) {
    constexpr std::array methods{"POST", "GET", "HEAD"};
    constexpr std::array statuses{"200 OK", "204 No Content", "304 Not Modified",
                                  "500 Internal Server Error"};
    constexpr std::size_t most = std::size_t{96} * 1024;  // more than is read in one go
    enum : std::uint32_t { chunked, by_length, to_end, as_it_is };

    RelayAnswer answer;
    const auto framing = plan.below(4);
    const auto fields = plan.below(256);
    answer.method = methods[plan.below(3)];
    const std::string status = statuses[plan.below(4)];
    const auto end = plan.below(6);
    const auto salt = plan.below(256);
    const auto copies = plan.below(256);

    answer.end = static_cast<RelayAnswer::End>(end % 3);
    answer.body = text;
    for (auto i = copies; i > 240 && answer.body.size() < most; --i) answer.body += std::string{answer.body};
    const bool extras = (fields & 8U) != 0;
    std::string& wire = answer.wire;
    if ((fields & 1U) != 0) wire += "HTTP/1.1 100 Continue\r\n\r\n";
    wire += (fields & 2U) != 0 ? "HTTP/1.0 " : "HTTP/1.1 ";
    wire += status + "\r\n";
    if ((fields & 4U) != 0) wire += "Content-Type: text/event-stream\r\n";
    if ((fields & 16U) != 0) wire += "Connection: close\r\n";
    if ((fields & 32U) != 0) wire += "Connection: keep-alive\r\n";
    if ((fields & 64U) != 0) wire += "Keep-Alive: timeout=1\r\n";
    switch (framing) {
        case chunked:
            wire += "Transfer-Encoding: chunked\r\n\r\n" + in_chunks(answer.body, salt, extras);
            break;
        case by_length:
            wire += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n" + answer.body;
            break;
        case to_end:
            wire += "\r\n" + answer.body;
            break;
        default:
            wire = answer.body;
    }
    if ((fields & 128U) != 0) wire += "HTTP/1.1 200 OK\r\n";  // which nobody asked for
    answer.is_sound = framing != as_it_is && (fields & (2U | 128U)) == 0;
    if (end > 2) {
        wire.resize(plan.below(65536) % (wire.size() + 1));
        answer.is_sound = false;
    }
    if (const auto garbage = plan.byte(); garbage != 0 && !wire.empty()) {
        wire[plan.below(65536) % wire.size()] = static_cast<char>(garbage);
        answer.is_sound = false;
    }
    return answer;
}

/// What there is to read of an answer, in whichever pieces it comes.
struct RelayReading {
    HttpResponse head{};
    std::string body{};
    std::error_code error{};
    std::size_t size = 0;  ///< of the answer, on the wire
    bool has_head = false;
    bool is_complete = false;       ///< by its framing, or by the connection's end
    bool needs_end = false;         ///< complete only where the connection ends
    bool keeps_connection = false;  ///< as the answer says
};

inline RelayReading reading_of(const RelayAnswer& answer) {
    RelayReading reading;
    HttpParser parser{HttpParser::Kind::response};
    parser.answer_to(answer.method);
    for (std::string_view rest = answer.wire; !rest.empty() && !reading.error && !reading.is_complete;) {
        const auto step = parser.feed(rest);
        rest.remove_prefix(step.consumed);
        reading.size += step.consumed;
        reading.error = step.error;
        reading.body.append(step.body);
        reading.is_complete = step.message_complete;
        if (step.head_complete && !std::exchange(reading.has_head, true))
            reading.head = parser.take_response();
    }
    if (!reading.is_complete && !reading.error && answer.end == RelayAnswer::End::closes) {
        const auto step = parser.finish();
        reading.error = step.error;
        reading.is_complete = reading.needs_end = step.message_complete;
    }
    reading.keeps_connection = parser.keep_alive();
    if (!answer.is_sound) return reading;

    const int status = reading.head.status;
    const bool has_body = answer.method != "HEAD" && status != 204 && status != 304;
    must(!reading.error && reading.has_head, "what is framed rightly is no error");
    must(reading.body == (has_body ? answer.body : ""), "what is framed rightly is read as it was");
    const bool to_end = !parser.chunked() && !parser.content_length();
    must(reading.is_complete == (!to_end || answer.end == RelayAnswer::End::closes),
         "what is framed rightly ends where it says");
    return reading;
}

/// The backend. It takes a connection, reads a request, and says what it is told to; nothing here waits.
class RelayPeer {
  public:
    RelayPeer() { acceptor_.non_blocking(true); }

    std::string url() const {
        return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
    }

    /// Whether another connection has come; the one before is given up.
    bool accept() {
        std::error_code error;
        auto fresh = acceptor_.accept(error);
        if (error) return false;
        forget();
        socket_ = std::move(fresh);
        socket_.non_blocking(true);
        socket_.set_option(asio::ip::tcp::no_delay{true});
        return true;
    }

    /// Whether the next request has come; the body of one is "{}".
    bool has_request() {
        read();
        const bool has_body = request_.starts_with("POST");
        if (!request_.ends_with(has_body ? "{}" : "\r\n\r\n")) return false;
        request_.clear();
        return true;
    }

    /// Whether the other side is gone. Reads what it says until then.
    bool is_left() {
        read();
        return !socket_.is_open();
    }

    /// Begins to answer, with nothing.
    void begin(const RelayAnswer& answer, std::size_t message) {
        answer_ = &answer;
        message_ = message;
        said_ = 0;
        runs_over_ = ended_ = false;
    }

    /// So many bytes more of the answer, or as many as the socket takes.
    void say(std::size_t size) {
        const auto bytes = std::string_view{answer_->wire}.substr(said_, size);
        if (bytes.empty()) return;
        std::error_code error;
        auto sent = socket_.write_some(asio::buffer(bytes), error);
        const bool full = error == asio::error::would_block || error == asio::error::try_again;
        if (error && !full) sent = bytes.size();  // nobody listens
        runs_over_ = runs_over_ || (said_ < message_ && said_ + sent > message_);
        said_ += sent;
    }

    /// Up to the next line's end.
    void say_line() {
        const auto end = answer_->wire.find('\n', said_);
        say(end == std::string::npos ? answer_->wire.size() : end + 1 - said_);
    }

    /// All the rest, and the end. To be called again until that is said.
    void say_rest() {
        say(answer_->wire.size());
        if (!has_said_all() || std::exchange(ended_, true)) return;
        std::error_code ignored;
        if (answer_->end == RelayAnswer::End::closes)
            socket_.shutdown(asio::socket_base::shutdown_send, ignored);
        if (answer_->end == RelayAnswer::End::resets) forget();
    }

    bool has_said_all() const noexcept { return said_ == answer_->wire.size(); }

    /// The answer, and what ends it.
    bool has_said_message() const noexcept { return said_ >= message_; }
    bool has_ended() const noexcept { return ended_; }

    /// Whether the message's end and what stands behind it were said in one go.
    bool runs_over() const noexcept { return runs_over_; }

    void say_at_once(std::string_view text) {
        std::error_code ignored;
        socket_.write_some(asio::buffer(text), ignored);
    }

    /// With a reset: else the ports would be kept for a minute each.
    void forget() {
        std::error_code ignored;
        socket_.set_option(asio::socket_base::linger{true, 0}, ignored);
        socket_.close(ignored);
        request_.clear();
    }

  private:
    /// Closes when the other side has.
    void read() {
        std::array<char, 4096> bytes;
        while (socket_.is_open()) {
            std::error_code error;
            request_.append(bytes.data(), socket_.read_some(asio::buffer(bytes), error));
            if (error == asio::error::would_block || error == asio::error::try_again) break;
            if (error) forget();
        }
    }

    asio::io_context io_{1};  // never run
    asio::ip::tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
    asio::ip::tcp::socket socket_{io_};
    std::string request_{};
    const RelayAnswer* answer_ = nullptr;
    std::size_t message_ = 0;
    std::size_t said_ = 0;
    bool runs_over_ = false;
    bool ended_ = false;
};

/// What happens while the answer comes, an instruction a byte: the backend says some more, the loop runs, or
/// the reader does something.
template <class Reader>
void follow(ByteChance script, PolledLoop& loop, RelayPeer& peer, Reader& reader) {
    constexpr std::array<std::size_t, 8> rooms{0, 1, 2, 5, 30, 300, 4096, 65536};
    while (!script.is_spent()) {
        const auto instruction = script.byte();
        const auto number = instruction / 8;  // below 32
        switch (instruction % 8) {
            case 0:
                peer.say(number + 1);
                break;
            case 1:
                peer.say(number + 1);
                loop.poll();
                break;
            case 2:
                peer.say((number + 1) * 40);
                loop.poll();
                break;
            case 3:
                for (auto i = number; i > 0; --i) peer.say_line();
                loop.poll();
                break;
            case 4:
                reader.read_piece();
                break;
            case 5:
                reader.read_bytes(rooms[number % rooms.size()]);
                break;
            case 6:
                reader.read_on(number % 2 == 0);
                break;
            default:
                if (number == 31) reader.cancel();
                if (number == 30) reader.drop();
                loop.poll();
        }
    }
}

}  // namespace fairlead::test
