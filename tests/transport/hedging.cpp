// One more try for an answer that is late, and copies for mirrors.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_future.hpp>

#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/scripted_transport.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

/// A balancer that hedges at the 90th percentile of answers that all came within a millisecond.
struct Hedging {
    explicit Hedging(Options options = with_hedges(), std::size_t backends = 3)
        : balancer{fleet(backends), options, ScriptedTransport<>{io}} {
        for (int i = 0; i < 30; ++i) begin();
        io.run();
        CHECK(statuses == std::vector<int>(30, 200));
        CHECK(script().asked.size() == 30);  // too little was known to hedge
        statuses.clear();
        script().asked.clear();
        script().answer = [](const std::string&) { return std::nullopt; };
    }

    static Options with_hedges() {
        Options options;
        options.seed = 1;
        options.hedge_quantile = 0.9;
        options.latency_to = LatencyTo::last_byte;
        return options;
    }

    ScriptedTransport<>::Script& script() { return balancer.transport().script(); }

    void begin(RequestOptions options = {}, asio::cancellation_slot slot = {}) {
        balancer.async_send(
            "x", Criteria{}, options,
            asio::bind_cancellation_slot(slot, [this](std::error_code error, const Answer& a) {
                errors.push_back(error);
                statuses.push_back(a.status);
            }));
    }

    /// Runs the loop until `calls` were sent: a hedge comes by its timer, a moment later.
    void until(std::size_t calls) {
        io.restart();
        while (script().asked.size() < calls) io.run_one();
        io.poll();
    }
    void finish() {
        io.restart();
        io.run();
    }

    asio::io_context io;
    std::vector<int> statuses;
    std::vector<std::error_code> errors;
    Balancer<RoundRobin, ScriptedTransport<>> balancer;
};

/// Answers after a millisecond or two.
struct TimedTransport {
    using Request = int;
    using Response = int;
    asio::io_context* io;

    asio::io_context::executor_type get_executor() const { return io->get_executor(); }
    template <class Handler>
    void async_send(const BackendConfig&, int request, Deadline, Handler handler) {
        auto timer = std::make_shared<asio::steady_timer>(*io, 1ms + 100us * (request % 8));
        timer->async_wait(
            [timer, on = handler.get_executor(), handler = std::move(handler)](std::error_code) mutable {
                asio::post(on, [handler = std::move(handler)]() mutable { handler(std::error_code{}, 200); });
            });
    }
    static Outcome outcome(std::error_code, int) { return Outcome::success; }
};

std::uint32_t in_flight(const Balancer<RoundRobin, ScriptedTransport<>>& balancer) {
    std::uint32_t sum = 0;
    for (const auto& each : balancer.snapshot()) sum += each.in_flight;
    return sum;
}

}  // namespace

TEST_CASE("a late answer is asked for elsewhere; the first to come wins and the other is cancelled") {
    for (const bool hedge_wins : {true, false}) {
        Hedging h;
        h.begin();
        h.until(2);
        const auto asked = h.script().asked;
        CHECK(asked[0] != asked[1]);
        CHECK(in_flight(h.balancer) == 2);
        h.script().complete(asked[hedge_wins ? 1 : 0], {.status = 201});
        h.finish();
        CHECK(h.statuses == std::vector{201});
        CHECK(h.script().cancelled == 1);
        CHECK(in_flight(h.balancer) == 0);
        CHECK(figures(h.balancer, asked[hedge_wins ? 0 : 1]).outcomes[Outcome::cancelled] == 1);
        CHECK(h.balancer.totals().retries == 1);
    }
}

TEST_CASE("of two tries one may fail; the other's answer is the request's, or both have failed") {
    Hedging h;
    h.begin();
    h.until(2);
    auto asked = h.script().asked;
    h.script().complete(asked[0], {.status = 500});
    h.io.restart();
    h.io.poll();
    CHECK(h.statuses.empty());
    h.script().complete(asked[1], {.status = 202});
    h.finish();
    CHECK(h.statuses == std::vector{202});

    Options options = Hedging::with_hedges();
    options.max_retries = 1;
    Hedging both{options};
    both.begin();
    both.until(2);
    asked = both.script().asked;
    both.script().complete(asked[1], {.status = 500});
    both.io.restart();
    both.io.poll();
    both.script().complete(asked[0], {.status = 502});
    both.finish();
    CHECK(both.statuses == std::vector{502});
    CHECK(both.script().asked.size() == 2);  // the hedge was the one further try
    CHECK(in_flight(both.balancer) == 0);
}

TEST_CASE("no hedge without a budget, without an elsewhere, or where the request must not be sent twice") {
    Options poor = Hedging::with_hedges();
    poor.retry_budget_min = 0;
    poor.retry_budget_ratio = 0;
    Hedging h{poor};
    h.begin();
    h.io.restart();
    while (h.balancer.totals().retries_refused == 0) h.io.run_one();
    CHECK(h.script().asked.size() == 1);
    CHECK(in_flight(h.balancer) == 1);
    h.script().complete(h.script().asked[0], {});
    h.finish();
    CHECK(h.statuses == std::vector{200});

    Hedging alone{Hedging::with_hedges(), 1};
    RequestOptions once;
    once.retry = RequestOptions::Retry::never;
    Hedging never;
    for (auto* each : {&alone, &never}) {
        each->begin(each == &never ? once : RequestOptions{});
        // Its timer, if any, is over when one that was armed later is.
        asio::steady_timer later{each->io, 50ms};
        bool is_over = false;
        later.async_wait([&](std::error_code) { is_over = true; });
        each->io.restart();
        while (!is_over) each->io.run_one();
        CHECK(each->script().asked.size() == 1);
        each->script().complete(each->script().asked[0], {});
        each->finish();
    }
}

TEST_CASE("a hedge that finds no place costs the request no further try") {
    Options options = Hedging::with_hedges();
    options.max_retries = 1;
    Hedging h{options, 2};
    REQUIRE_FALSE(h.balancer.update("b0", [](BackendConfig& config) { config.max_connections = 1; }));
    REQUIRE_FALSE(h.balancer.update("b1", [](BackendConfig& config) { config.max_connections = 1; }));
    Lease other = h.balancer.select();
    h.begin();
    asio::steady_timer later{h.io, 100ms};  // the hedge's own is over by then
    bool is_over = false;
    later.async_wait([&](std::error_code) { is_over = true; });
    h.io.restart();
    while (!is_over) h.io.run_one();
    REQUIRE(h.script().asked.size() == 1);
    h.balancer.report(std::move(other), Outcome::success);
    h.script().complete(h.script().asked[0], {.status = 500});
    h.io.restart();
    h.io.poll();
    REQUIRE(h.script().asked.size() == 2);
    h.script().complete(h.script().asked[1], {.status = 200});
    h.finish();
    CHECK(h.statuses == std::vector{200});
}

TEST_CASE("cancelling a hedged request cancels both tries") {
    Hedging h;
    asio::cancellation_signal signal;
    h.begin({}, signal.slot());
    h.until(2);
    signal.emit(asio::cancellation_type::terminal);
    h.finish();
    CHECK(h.errors.back() == Errc::cancelled);
    CHECK(h.script().cancelled == 2);
    CHECK(in_flight(h.balancer) == 0);
}

TEST_CASE("answers that were under way when hedging came on tell nothing of how long answers take") {
    Hedging h;
    Options off = Hedging::with_hedges();
    off.hedge_quantile = 0;
    CHECK_FALSE(h.balancer.set_options(off));
    for (int i = 0; i < 30; ++i) h.begin();
    CHECK_FALSE(h.balancer.set_options(Hedging::with_hedges()));
    for (const auto& backend : std::vector{h.script().asked}) h.script().complete(backend, {});
    h.finish();
    CHECK(h.statuses == std::vector<int>(30, 200));

    h.script().asked.clear();
    h.begin();
    h.io.restart();
    while (h.script().asked.size() < 2 && h.io.run_one_for(10s) != 0) {
    }
    REQUIRE(h.script().asked.size() == 2);  // after a millisecond, by what was known before
    h.script().complete(h.script().asked[0], {});
    h.finish();
}

TEST_CASE("whether a request may be hedged is settled when it begins, on any thread") {
    asio::io_context io;
    auto work = asio::make_work_guard(io);
    Options options = Hedging::with_hedges();
    options.hedge_quantile = 0.5;
    options.retry_budget_min = 1e6;
    Balancer<RoundRobin, TimedTransport> balancer{fleet(2, 4), options, TimedTransport{&io}};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { io.run(); });
    std::atomic<int> answers{0};
    for (int i = 0; i < 50; ++i) balancer.async_send(i, asio::use_future).get();  // how long answers take
    const auto flood = [&] {
        for (int i = 0; i < 500; ++i) balancer.async_send(i, [&](std::error_code, int) { ++answers; });
    };
    // Most wait for the 8 places while hedging goes, and while it comes on.
    flood();
    options.hedge_quantile = 0;
    CHECK_FALSE(balancer.set_options(options));
    flood();
    options.hedge_quantile = 0.5;
    CHECK_FALSE(balancer.set_options(options));
    work.reset();
    for (auto& thread : threads) thread.join();
    CHECK(answers == 1000);
    for (const auto& each : balancer.snapshot()) CHECK(each.in_flight == 0);
}

TEST_CASE("a mirror gets its share of copies, never serves, and neither delays nor fails anything") {
    asio::io_context io;
    Options options;
    options.seed = 1;
    options.mirror_share = 0.25;
    auto backends = fleet(2);
    backends.push_back({.name = "mirror", .url = "http://m", .max_connections = 20});
    backends.back().mirror = true;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{backends, options, ScriptedTransport<>{io}};
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    auto& script = balancer.transport().script();
    // It hangs: nobody waits for it, and no more than its limit are sent.
    script.answer = [](const std::string& name) {
        return name == "mirror" ? std::nullopt : std::optional{Answer{}};
    };
    int answered = 0;
    for (int i = 0; i < 400; ++i) {
        balancer.async_send("x", [&](std::error_code error, const Answer&) { answered += error ? 0 : 1; });
    }
    io.poll();
    CHECK(answered == 400);
    CHECK(script.pending.size() == 20);
    while (!script.pending.empty()) script.complete("mirror", {.status = 500});
    io.restart();
    io.run();
    auto shown = figures(balancer, "mirror");
    CHECK(shown.completed == 20);
    CHECK(shown.outcomes[Outcome::server_error] == 20);
    CHECK_FALSE(shown.in_service);
    CHECK(count(events, Event::Kind::ejected) == 0);

    script.answer = [](const std::string&) { return Answer{}; };
    for (int i = 0; i < 4000; ++i) {
        balancer.async_send("x", [](std::error_code, const Answer&) {});
        io.restart();
        io.poll();
    }
    // 1,000 are expected; five standard deviations, sqrt(4000 / 4 * 3 / 4), are 137.
    CHECK(figures(balancer, "mirror").succeeded > 863);
    CHECK(figures(balancer, "mirror").succeeded < 1137);
    for (int i = 0; i < 100; ++i) CHECK(one(balancer) != "mirror");
    REQUIRE_FALSE(balancer.disable("b0"));
    REQUIRE_FALSE(balancer.disable("b1"));
    CHECK(balancer.select().error() == Errc::all_disabled);
}

TEST_CASE("copies do not outlive the balancer, and can be given up") {
    asio::io_context io;
    Options options;
    options.seed = 1;
    options.mirror_share = 1;
    auto backends = fleet(1);
    backends.push_back({.name = "mirror", .url = "http://m"});
    backends.back().mirror = true;
    ScriptedTransport<> transport{io};
    transport.script().answer = [](const std::string& name) {
        return name == "mirror" ? std::nullopt : std::optional{Answer{}};
    };
    auto balancer = std::make_unique<Balancer<RoundRobin, ScriptedTransport<>>>(backends, options, transport);
    const auto begin = [&] {
        balancer->async_send("x", [](std::error_code, const Answer&) {});
        io.restart();
        io.poll();
    };
    begin();
    CHECK(figures(*balancer, "mirror").in_flight == 1);
    balancer->cancel_mirrored();
    CHECK(figures(*balancer, "mirror").outcomes[Outcome::cancelled] == 1);
    io.restart();
    io.poll();
    CHECK(transport.script().cancelled == 1);
    CHECK(figures(*balancer, "mirror").in_flight == 0);

    begin();
    REQUIRE(transport.script().pending.size() == 1);
    balancer.reset();  // the copy's answer then finds nobody: the sanitizers are the judges
    io.restart();
    io.poll();
    CHECK(transport.script().cancelled == 2);
}
