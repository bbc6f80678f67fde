// An answer that the gateway passes on, as it comes in fragments and its client takes it: the client's bytes
// are the backend's, all of them and a proper end where the backend's answer has one, else an end that says
// that something is missing. Who leaves ends the backend's work, and nothing stays in flight.
//
// Backend, gateway and client share a thread and real sockets. relay_answer.hpp says what an input is.
#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/socket_base.hpp>

#include <fairlead/transport/http_parser.hpp>

#include "fuzz.hpp"
#include "gateway/done_marker.hpp"
#include "gateway/gateway.hpp"
#include "gateway/headers.hpp"
#include "relay_answer.hpp"
#include "support/http_exchange.hpp"

namespace {

using fairlead::test::ByteChance;
using fairlead::test::must;
using fairlead::test::RelayAnswer;
using fairlead::test::RelayReading;

constexpr std::string_view relayed_path = "/v1/chat/completions";

/// What all inputs share. Nothing is tried again, and no backend is rested: each input is as the first.
struct GatewayLoop : fairlead::test::PolledLoop {
    GatewayLoop() { gateway.listen("127.0.0.1:0"); }
    GatewayLoop(const GatewayLoop&) = delete;
    GatewayLoop& operator=(const GatewayLoop&) = delete;
    ~GatewayLoop() {
        gateway.close();
        guard.reset();
        io.run();
    }

    static fairlead::Settings settings_for(const std::string& url) {
        fairlead::Settings settings;
        settings.options.seed = 1;
        not_balanced(settings.options);
        settings.backends.push_back(fairlead::test::backend_at(url));
        return settings;
    }

    /// Nobody's request is under way, and nobody is connected.
    bool is_idle() {
        const auto backends = gateway.balancer().snapshot();
        return gateway.connections() == 0 &&
               std::all_of(backends.begin(), backends.end(),
                           [](const auto& each) { return each.in_flight == 0; });
    }

    fairlead::test::RelayPeer peer{};
    gateway::Gateway gateway{io, settings_for(peer.url()), {}};
};

/// Sends a request, and reads the answer when it is told to, or whenever it is looked at.
class RelayClient {
  public:
    RelayClient(const std::string& url, const std::string& method, const RelayReading& there, bool is_narrow)
        : there_{there} {
        const auto port = static_cast<asio::ip::port_type>(std::stoul(url.substr(url.rfind(':') + 1)));
        const asio::ip::tcp::endpoint to{asio::ip::address_v4::loopback(), port};
        socket_.open(to.protocol());
        if (is_narrow) socket_.set_option(asio::socket_base::receive_buffer_size{2048});
        socket_.connect(to);
        socket_.non_blocking(true);
        parser_.answer_to(method);
        std::string request = method + " " + std::string{relayed_path} + " HTTP/1.1\r\nHost: g\r\n";
        request += method == "POST" ? "Content-Length: 2\r\n\r\n{}" : "\r\n";
        socket_.write_some(asio::buffer(request));
    }

    void read_bytes(std::size_t most) {
        std::array<char, 65536> bytes;
        while (most > 0 && socket_.is_open()) {
            std::error_code error;
            const auto got =
                socket_.read_some(asio::buffer(bytes.data(), std::min(most, bytes.size())), error);
            if (error == asio::error::would_block || error == asio::error::try_again) return;
            if (error) return close();
            take({bytes.data(), got});
            most -= got;
        }
    }

    void read_piece() { read_bytes(std::string::npos); }
    void read_on(bool on) { reads_on_ = on; }
    void look() {
        if (reads_on_) read_piece();
    }

    /// The answer's proper end has come, or the connection's.
    bool is_over() const noexcept { return is_complete_ || !socket_.is_open(); }

    /// It was the client that ended it.
    bool has_left() const noexcept { return has_left_; }
    void cancel() {
        has_left_ = has_left_ || !is_over();
        forget();
    }
    void drop() {
        has_left_ = has_left_ || !is_over();
        std::error_code ignored;
        socket_.close(ignored);
    }

    bool is_complete() const noexcept { return is_complete_; }
    bool has_head() const noexcept { return has_head_; }
    bool is_relayed() const noexcept { return is_relayed_; }
    bool has_all() const noexcept {
        return has_head_ == there_.has_head && body_.size() == there_.body.size();
    }
    int status() const noexcept { return status_; }
    const std::string& body() const noexcept { return body_; }

    /// With a reset: else the ports would be kept for a minute each.
    void forget() {
        std::error_code ignored;
        socket_.set_option(asio::socket_base::linger{true, 0}, ignored);
        socket_.close(ignored);
    }

  private:
    void take(std::string_view bytes) {
        while (!bytes.empty()) {
            must(!is_complete_, "nothing follows an answer");
            const auto step = parser_.feed(bytes);
            must(!step.error, "what a client gets is HTTP");
            bytes.remove_prefix(step.consumed);
            is_complete_ = step.message_complete;
            if (step.head_complete && !std::exchange(has_head_, true)) {
                status_ = parser_.status();
                is_relayed_ = parser_.headers().contains("X-Fairlead-Backend");
                must(!is_relayed_ || (there_.has_head && status_ == there_.head.status),
                     "an answer's status is its backend's");
            }
            if (!is_relayed_) continue;
            must(std::string_view{there_.body}.substr(body_.size(), step.body.size()) == step.body,
                 "what a client gets was said, in this order");
            body_ += step.body;
        }
    }

    void close() {
        must(is_complete_ || !parser_.finish().message_complete, "a client can tell what is broken off");
        forget();
    }

    const RelayReading& there_;
    asio::io_context io_{1};  // never run
    asio::ip::tcp::socket socket_{io_};
    fairlead::HttpParser parser_{fairlead::HttpParser::Kind::response};
    std::string body_{};
    int status_ = 0;
    bool reads_on_ = true;
    bool has_head_ = false;
    bool is_relayed_ = false;
    bool is_complete_ = false;
    bool has_left_ = false;
};

/// Whether the gateway is to take the backend's answer for a whole one.
bool is_whole(const RelayAnswer& answer, const RelayReading& there) {
    if (!there.is_complete) return false;
    if (!gateway::ends_with_done(answer.method, relayed_path, there.head)) return true;
    gateway::DoneMarker marker;
    marker.feed(there.body);
    return marker.seen();
}

void check_what_came(const RelayClient& client, const RelayAnswer& answer, const RelayReading& there) {
    if (client.has_left()) return;
    const bool whole = is_whole(answer, there);
    if (!client.is_relayed()) {
        must(!whole || answer.end == RelayAnswer::End::resets, "a whole answer is passed on");
        must(client.is_complete() && client.status() == 502, "who gets nothing of an answer is told");
        return;
    }
    // Where no body or a length was promised, that ends the answer for its client, whatever the gateway
    // misses.
    const bool ends_itself =
        there.head.status == 204 || gateway::content_length(there.head.headers).has_value();
    must(!client.is_complete() || (there.is_complete && (whole || ends_itself) && client.has_all()),
         "a proper end comes behind all of it, and only there");
    if (answer.end == RelayAnswer::End::resets) return;  // of what was on its way any part is lost
    must(client.is_complete() || !whole, "a whole answer gets its end");
    must(client.has_all(), "what came before it broke is passed on");
}

void fuzz_gateway_relay(std::string_view input) {
    static GatewayLoop loop;
    ByteChance parts{input};
    ByteChance plan{parts.until(fairlead::test::relay_separator)};
    const ByteChance script{parts.until(fairlead::test::relay_separator)};
    const auto answer = make_answer(plan, parts.rest());
    const auto there = reading_of(answer);
    RelayClient client{loop.gateway.url(), answer.method, there, plan.below(2) != 0};

    loop.until([] { return loop.peer.accept(); }, "a request opens a connection");
    loop.until([] { return loop.peer.has_request(); }, "a request is sent");
    loop.peer.begin(answer, there.size);
    follow(script, loop, loop.peer, client);
    client.read_on(true);
    const auto is_over = [&] {
        client.look();
        if (client.is_over()) return true;
        loop.peer.say_rest();
        const bool waits = !there.is_complete && !there.error && answer.end == RelayAnswer::End::stays;
        if (waits && loop.peer.has_said_all() && client.has_all()) client.cancel();
        return client.is_over();
    };
    loop.until(is_over, "a client is told the end");
    check_what_came(client, answer, there);
    const bool is_answered =
        there.is_complete && loop.peer.has_said_message() && (!there.needs_end || loop.peer.has_ended());
    if (client.has_left() && !is_answered)
        loop.until([] { return loop.peer.is_left(); }, "who leaves ends the backend's work");
    client.forget();
    loop.peer.forget();
    loop.until([] { return loop.is_idle(); }, "in the end nothing is in flight");
    must(!loop.peer.accept(), "nothing is asked for twice");
}

const fairlead::test::FuzzRegistration gateway_relay_body{"gateway-relay", fuzz_gateway_relay};

}  // namespace
