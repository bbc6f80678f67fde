// Options that change between two requests and while some wait: retries, budget, mirrors, the queue, probes.
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"
#include "support/scripted_transport.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

Options no_ejection() {
    Options options;
    options.seed = 1;
    options.ejection = false;
    options.back_off_base = 1ms;
    return options;
}

}  // namespace

TEST_CASE("how often, for what and within which budget a request is tried again is asked anew each time") {
    using Trying = Balancer<RoundRobin, ScriptedBlocking, ManualClock>;
    Trying balancer{fleet(8), no_ejection()};
    auto& script = balancer.transport().script();
    script.answer = [](const std::string&) { return Answer{.status = 500}; };
    const auto tries = [&] {
        script.asked.clear();
        static_cast<void>(balancer.send("x"));
        return script.asked.size();
    };
    const auto set = [&](auto edit) { REQUIRE_FALSE(balancer.update_options(edit)); };
    CHECK(tries() == 3);
    set([](Options& o) { o.max_retries = 4; });
    CHECK(tries() == 5);
    set([](Options& o) { o.retry_on.server_error = false; });
    CHECK(tries() == 1);
    set([](Options& o) {
        o.retry_on.server_error = true;
        o.retry_budget_min = 0;
        o.retry_budget_ratio = 0;
    });
    CHECK(tries() == 1);
    // 1,000 requests that needed no retry under the old ratio are not counted as a debt or a hoard.
    for (int i = 0; i < 1000; ++i) static_cast<void>(tries());
    set([](Options& o) {
        o.retry_budget_min = 0.3;
        o.retry_budget_ratio = 0.5;
    });
    CHECK(tries() == 4);  // 3 in 10 s, and half a one
    set([](Options& o) { o.retry_budget_ratio = 0; });
    CHECK(tries() == 4);
    CHECK(tries() == 1);
}

TEST_CASE("a mirror gets copies from when its share is above 0 until it is 0 again") {
    asio::io_context io;
    auto backends = fleet(1);
    backends.push_back({.name = "mirror", .url = "http://m"});
    backends.back().mirror = true;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{backends, no_ejection(), ScriptedTransport<>{io}};
    const auto copies = [&] {
        for (int i = 0; i < 10; ++i) balancer.async_send("x", [](std::error_code, const Answer&) {});
        io.restart();
        io.run();
        return figures(balancer, "mirror").completed;
    };
    CHECK(copies() == 0);
    REQUIRE_FALSE(balancer.update_options([](Options& o) { o.mirror_share = 1; }));
    CHECK(copies() == 10);
    REQUIRE_FALSE(balancer.update_options([](Options& o) { o.mirror_share = 0; }));
    CHECK(copies() == 10);
}

TEST_CASE("who waits stays, with the time it was given; who comes meets the new limit and the new time") {
    asio::io_context io;
    ManualClock clock;
    Options options = no_ejection();
    options.queue_limit = 3;
    options.queue_timeout = 10s;
    Balancer<RoundRobin, NoTransport, ManualClock> balancer{fleet(1, 1), options, {}, {}, clock};
    Lease held = balancer.select();
    struct Got {
        int who;
        std::error_code error;
    };
    std::vector<Got> got;
    const auto turn = [&] {
        io.restart();
        io.poll();
    };
    const auto wait = [&](int who) {
        balancer.async_select(asio::bind_executor(io, [&got, who](std::error_code error, const Lease&) {
            got.push_back({who, error});
        }));
        turn();
    };
    wait(0);
    wait(1);
    REQUIRE_FALSE(balancer.update_options([](Options& o) {
        o.queue_limit = 1;
        o.queue_timeout = 2s;
    }));
    CHECK(balancer.totals().queue.waiting == 2);
    wait(2);
    REQUIRE(got.size() == 1);
    CHECK(got[0].error == Errc::queue_full);
    REQUIRE_FALSE(balancer.update_options([](Options& o) { o.queue_limit = 5; }));
    wait(3);
    CHECK(balancer.totals().queue.waiting == 3);
    clock.advance(2s);
    wait(4);  // whoever comes looks who is late
    REQUIRE(got.size() == 2);
    CHECK(got[1].who == 3);
    CHECK(got[1].error == Errc::queue_timeout);
    REQUIRE_FALSE(balancer.update_options([](Options& o) { o.queue_limit = 0; }));
    wait(5);
    CHECK(got.back().error == Errc::all_full);
    balancer.report(std::move(held), Outcome::success);
    turn();
    // Each that was served gave its place back at once, to the next.
    for (std::size_t i = 3; i < got.size(); ++i) CHECK_FALSE(got[i].error);
    CHECK(got.size() == 6);
    CHECK(balancer.totals().queue.waiting == 0);
}

TEST_CASE("who waits is served when other options make a place of what was none") {
    asio::io_context io;
    Balancer<RoundRobin, NoTransport, ManualClock> balancer{fleet(1), no_ejection()};
    Outcome limited{Outcome::rate_limited};
    limited.retry_after = 50s;
    balancer.report(balancer.select(), limited);
    int served = 0;
    balancer.async_select(
        asio::bind_executor(io, [&](std::error_code error, const Lease&) { served += error ? 0 : 1; }));
    io.poll();
    CHECK(served == 0);
    REQUIRE_FALSE(balancer.update_options([](Options& o) { o.rest_max = 0s; }));
    io.restart();
    io.poll();
    CHECK(served == 1);
}
