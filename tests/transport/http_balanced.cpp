// The balancer over HTTP: what one backend cannot answer, another does.
#include <string>
#include <utility>
#include <vector>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/transport/async.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"

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
