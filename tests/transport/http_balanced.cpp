// The balancer over HTTP: what one backend cannot answer, another does.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/transport/async.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/http_exchange.hpp"
#include "support/manual_clock.hpp"

using namespace fairlead;
using namespace fairlead::test;

static_assert(AsyncTransport<HttpTransport>);
static_assert(AsyncProbe<HttpTransport>);
static_assert(!std::is_copy_constructible_v<HttpBody> && std::is_default_constructible_v<HttpBody>);

TEST_CASE("requests and streams pass over broken backends, and every place is given back") {
    RawPeer good{always(answer("ok"))};
    RawPeer closing{[](RawPeer::Connection& c) { c.read_request(); }};
    RawPeer failing{always("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")};
    std::vector<BackendConfig> backends;
    for (const auto* peer : {&good, &closing, &failing}) {
        backends.push_back(backend_at(peer->url()));
        backends.back().name = std::to_string(backends.size());
    }
    asio::io_context io;
    using Balanced = Balancer<RoundRobin, HttpTransport>;
    Balanced balancer{backends, {}, HttpTransport{io}};
    int answered = 0;
    for (int i = 0; i < 6; ++i) {
        balancer.async_send(post(), [&](std::error_code error, HttpResponse response) {
            CHECK_FALSE(error);
            CHECK(response.body == "ok");
            ++answered;
        });
        balancer.async_stream(post(), [&](std::error_code error, Stream<Balanced> stream) {
            CHECK_FALSE(error);
            REQUIRE(stream);
            CHECK(stream.head().status == 200);
            ++answered;
        });
        io.restart();
        io.run();
    }
    CHECK(answered == 12);
    for (const auto& each : balancer.snapshot()) CHECK(each.in_flight == 0);
}

TEST_CASE("a request that cannot be sent passes no trial, and its sender hears why") {
    const RawPeer peer{always(answer("ok"))};
    std::vector<BackendConfig> backends{backend_at(peer.url()), backend_at(peer.url())};
    backends[0].name = "other";
    Options options;
    options.success_threshold = 1;
    ManualClock clock;
    asio::io_context io;
    Balancer<RoundRobin, HttpTransport, ManualClock> balancer{
        backends, options, HttpTransport{io}, {}, clock};
    const std::vector<std::string_view> other{"other"};
    const Criteria to_b{.exclude = other};
    for (int i = 0; i < 3; ++i) one(balancer, Outcome::connect_error, to_b);
    REQUIRE(figures(balancer, "b").state == BackendState::unhealthy);
    clock.advance(std::chrono::seconds{11});  // an ejection of ten, and its jitter
    const auto send_to_b = [&](const HttpRequest& request) {
        std::optional<std::error_code> error;
        balancer.async_send(request, to_b, [&](std::error_code e, const HttpResponse&) { error = e; });
        CHECK_FALSE(error);
        io.restart();
        io.run();
        REQUIRE(error);
        return *error;
    };
    auto request = post();
    request.headers.add("X", "a\rb");
    CHECK(send_to_b(request) == TransportErrc::bad_header_to_send);
    CHECK(figures(balancer, "b").state == BackendState::half_open);
    CHECK(figures(balancer, "b").retries == 0);
    CHECK(figures(balancer, "other").completed == 0);
    CHECK_FALSE(send_to_b(post()));
    CHECK(figures(balancer, "b").state == BackendState::healthy);
}
