// Waiting for a place, in virtual time where time matters.
#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>

#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

using Waiting = Balancer<RoundRobin, NoTransport, ManualClock>;

/// A balancer, a loop, and what its waiters got, in the order in which they got it.
struct Line {
    explicit Line(std::vector<BackendConfig> backends, Options options = seeded())
        : balancer{std::move(backends), options, NoTransport{}, RoundRobin{}, clock} {
        balancer.on_event([this](const Event& event) { events.push_back(event); });
    }

    /// A balancer outlives its leases: those that are on their way to a handler, too.
    ~Line() {
        do {
            held.clear();
            turn();
        } while (!held.empty());
    }

    static Options seeded() {
        Options options;
        options.seed = 1;
        return options;
    }

    /// Fills every place there is.
    void fill() {
        while (Lease lease = balancer.select()) held.push_back(std::move(lease));
    }

    struct Got {
        int who;
        std::error_code error;
        std::string backend;
    };

    /// Request `who` asks for a place, and keeps the one that it gets.
    void wait(int who, const Criteria& criteria = {}, RequestOptions options = {},
              asio::cancellation_signal* signal = nullptr) {
        const auto handler = [this, who](std::error_code error, Lease lease) {
            got.push_back({who, error, lease ? lease->name : std::string{}});
            if (lease) held.push_back(std::move(lease));
        };
        const auto slot = signal != nullptr ? signal->slot() : asio::cancellation_slot{};
        balancer.async_select(criteria, options,
                              asio::bind_executor(io, asio::bind_cancellation_slot(slot, handler)));
        turn();
    }

    void turn() {
        io.restart();
        io.poll();
    }

    /// One place is given back.
    void free_one() {
        balancer.report(std::move(held.front()), Outcome::success);
        held.erase(held.begin());
        turn();
    }

    std::vector<int> order() const {
        std::vector<int> order;
        for (const auto& each : got) order.push_back(each.who);
        return order;
    }

    ManualClock clock;
    asio::io_context io;
    std::vector<Event> events;
    std::vector<Got> got;
    Waiting balancer;
    std::vector<Lease> held;
};

}  // namespace

TEST_CASE("a freed place goes to the one that waits longest, one place to one waiter") {
    Line line{fleet(2, 2)};
    line.fill();
    CHECK(line.held.size() == 4);
    for (int i = 0; i < 3; ++i) line.wait(i);
    CHECK(line.got.empty());
    CHECK(line.balancer.totals().queue.waiting == 3);
    line.free_one();
    CHECK(line.order() == std::vector{0});
    line.free_one();
    line.free_one();
    CHECK(line.order() == std::vector{0, 1, 2});
    for (const auto& each : line.got) CHECK_FALSE(each.error);
    CHECK(line.balancer.totals().queue.waiting == 0);
    CHECK(line.balancer.totals().queue.served == 3);
}

TEST_CASE("a lower priority number is served first, whoever came first") {
    Line line{fleet(1, 1)};
    line.fill();
    for (const auto& [who, priority] : std::vector<std::pair<int, int>>{{0, 1}, {1, 0}, {2, 1}, {3, -7}}) {
        RequestOptions options;
        options.priority = priority;
        line.wait(who, {}, options);
    }
    for (int i = 0; i < 4; ++i) line.free_one();
    CHECK(line.order() == std::vector{3, 1, 0, 2});
}

TEST_CASE("nobody overtakes those who wait; who wants something else is not held up by them") {
    auto backends = fleet(2, 1);
    backends[0].model_name = "a";
    backends[1].model_name = "b";
    Line line{backends};
    Lease a = line.balancer.select({.model = "a"});
    line.wait(0, {.model = "a"});
    line.wait(1, {.model = "b"});  // free: at once
    CHECK(line.order() == std::vector{1});
    line.wait(2);  // either would do, and neither is free
    line.balancer.report(std::move(a), Outcome::success);
    line.turn();
    CHECK(line.order() == std::vector{1, 0});
    line.wait(3, {.model = "b"});
    line.free_one();  // b's: the one for either came first
    CHECK(line.order() == std::vector{1, 0, 2});
}

TEST_CASE("too many waiting, a time-out, the deadline and a cancellation are distinct errors") {
    Options options = Line::seeded();
    options.queue_limit = 3;
    options.queue_timeout = 5s;
    Line line{fleet(1, 1), options};
    line.fill();
    RequestOptions hurried;
    hurried.deadline = Deadline::in(2s, line.clock.now());
    asio::cancellation_signal signal;
    line.wait(0);
    line.wait(1, {}, hurried);
    line.wait(2, {}, {}, &signal);
    line.wait(3);
    REQUIRE(line.order() == std::vector{3});
    CHECK(line.got[0].error == Errc::queue_full);
    line.wait(4);
    CHECK(count(line.events, Event::Kind::queue_overflow) == 1);  // one event for one overflow

    signal.emit(asio::cancellation_type::terminal);
    line.turn();
    CHECK(line.got.back().error == Errc::cancelled);
    line.clock.advance(2s);
    line.wait(5);  // whoever looks finds who is late
    CHECK(line.got.back().who == 1);
    CHECK(line.got.back().error == Errc::deadline_passed);
    line.clock.advance(3s);
    line.wait(6);
    CHECK(line.got.back().who == 0);
    CHECK(line.got.back().error == Errc::queue_timeout);

    // Places come to those who are left.
    line.free_one();
    CHECK(line.got.back().who == 5);
    const auto figures = line.balancer.totals().queue;
    CHECK(figures.overflowed == 2);
    CHECK(figures.timed_out == 2);
    CHECK(figures.cancelled == 1);
    CHECK(figures.served == 1);
    CHECK(figures.waited == 3s);
}

TEST_CASE("every way in which a backend becomes eligible serves those who wait") {
    Options options = Line::seeded();
    options.ejection_jitter = 0;
    options.max_ejected = 1.0;
    Line line{fleet(1, 1), options};
    line.fill();

    line.wait(0);
    REQUIRE_FALSE(line.balancer.add({.name = "more", .url = "http://h", .max_connections = 1}));
    line.turn();
    CHECK(line.got.back().backend == "more");

    line.wait(1);
    REQUIRE_FALSE(line.balancer.update("more", [](BackendConfig& config) { config.max_connections = 2; }));
    line.turn();
    CHECK(line.got.back().who == 1);

    REQUIRE_FALSE(line.balancer.add({.name = "off", .url = "http://h", .max_connections = 1}));
    REQUIRE_FALSE(line.balancer.disable("off"));
    line.wait(2);
    REQUIRE_FALSE(line.balancer.enable("off"));
    line.turn();
    CHECK(line.got.back().backend == "off");

    // A rest: whoever had the place says so, and nobody but time gives it back.
    line.wait(3);
    Outcome busy = Outcome::rate_limited;
    busy.retry_after = 7s;
    line.balancer.report(std::move(line.held.back()), busy);
    line.held.pop_back();
    line.turn();
    CHECK(line.got.back().who == 2);
    line.clock.advance(7s);
    CHECK_FALSE(line.balancer.select());  // looks, settles, and comes after those who wait
    line.turn();
    CHECK(line.got.back().who == 3);

    // An ejection that is over.
    line.wait(4);
    for (int i = 0; i < 3; ++i) {
        line.balancer.report(std::move(line.held.back()), Outcome::connect_error);
        line.held.pop_back();
        line.turn();
        line.wait(5 + i);
    }
    CHECK(count(line.events, Event::Kind::ejected) == 1);
}

TEST_CASE("what can never be served fails at once, also when that is so only while it waits") {
    Line line{fleet(1, 1)};
    line.wait(0, {.model = "unknown", .tags = {}});
    std::vector<std::string_view> tags{"no-such-tag"};
    line.wait(1, {.tags = tags});
    REQUIRE(line.got.size() == 2);
    CHECK_FALSE(line.got[0].error);  // a backend without model_name serves any
    CHECK(line.got[1].error == Errc::unknown_tags);
    line.wait(2);
    CHECK(line.got.size() == 2);
    REQUIRE_FALSE(line.balancer.disable("b0"));
    line.turn();
    CHECK(line.got.back().who == 2);
    CHECK(line.got.back().error == Errc::all_disabled);
    RequestOptions late;
    late.deadline = Deadline{line.clock.now()};
    line.wait(3, {}, late);
    CHECK(line.got.back().error == Errc::deadline_passed);
}

TEST_CASE("without a queue, a full fleet is an error at once") {
    Options options = Line::seeded();
    options.queue_limit = 0;
    Line line{fleet(1, 1), options};
    line.fill();
    line.wait(0);
    REQUIRE(line.got.size() == 1);
    CHECK(line.got[0].error == Errc::all_full);
}

TEST_CASE("a line that is full of one model's requests refuses no other model's") {
    auto backends = fleet(2, 1);
    backends[0].model_name = "a";
    backends[1].model_name = "b";
    Options options = Line::seeded();
    options.queue_limit = 1;
    Line line{backends, options};
    Lease a = line.balancer.select({.model = "a"});
    line.wait(0, {.model = "a"});
    line.wait(1, {.model = "b"});
    REQUIRE(line.order() == std::vector{1});
    CHECK(line.got[0].backend == "b1");
    line.wait(2, {.model = "b"});
    CHECK(line.got.back().error == Errc::queue_full);
    line.wait(3, {.model = "a"});
    CHECK(line.got.back().error == Errc::queue_full);
}

TEST_CASE("a place given back while a note says full wakes who began to wait meanwhile") {
    // One place, two threads that take it and wait for it by turns: whoever is refused waits, and the other's
    // release must find it. Lost once, the test would not end.
    constexpr int rounds = 20'000;
    Options options;
    options.seed = 1;
    Balancer<RoundRobin> balancer{fleet(1, 1), options};
    asio::thread_pool pool{2};
    std::atomic<int> served{0};
    const auto run = [&] {
        for (int i = 0; i < rounds; ++i) {
            static_cast<void>(balancer.select());  // leaves the note, and gives back what it got
            auto place = balancer.async_select(asio::use_future);
            Lease lease = place.get();
            served.fetch_add(1, std::memory_order_relaxed);
            balancer.report(std::move(lease), Outcome::success);
        }
    };
    std::thread other{run};
    run();
    other.join();
    CHECK(served == 2 * rounds);
}

TEST_CASE("a wait completes by a timer of its own: when a rest is over, or its time") {
    // With the real clock, because only here a timer is looked at.
    for (const auto& [rest, patience] :
         std::vector<std::pair<Duration, Duration>>{{5ms, 10min}, {10min, 5ms}}) {
        asio::io_context io;
        Options options;
        options.queue_timeout = patience;
        options.rest_max = 1h;
        Balancer<RoundRobin> balancer{fleet(1, 1), options};
        Outcome busy = Outcome::rate_limited;
        busy.retry_after = rest;
        one(balancer, busy);
        std::optional<std::error_code> how;
        balancer.async_select(asio::bind_executor(io, [&](std::error_code error, Lease) { how = error; }));
        io.run();
        CHECK(how == (rest < patience ? std::error_code{} : make_error_code(Errc::queue_timeout)));
    }
}

TEST_CASE("async_select completes a future, from any thread") {
    Balancer<LeastConnections> balancer{fleet(1, 1)};
    auto first = balancer.async_select(asio::use_future);
    Lease held = first.get();
    CHECK(held);
    auto second = balancer.async_select(Criteria{}, asio::use_future);
    CHECK(second.wait_for(0s) == std::future_status::timeout);
    std::thread other{[&] { balancer.report(std::move(held), Outcome::success); }};
    CHECK(second.get());
    other.join();
}

TEST_CASE("no waiter is lost and none is served twice, whatever threads do") {
    constexpr int threads = 4;
    constexpr int each = 400;
    Options options;
    options.seed = 3;
    options.queue_limit = threads * each;
    Balancer<LeastConnections> balancer{fleet(3, 2), options};
    asio::thread_pool pool{threads};
    std::atomic<int> served{0};
    std::atomic<int> cancelled{0};
    std::atomic<int> in_flight{0};
    std::atomic<bool> exceeded{false};
    struct Request {
        explicit Request(asio::thread_pool& p) : strand{p.get_executor()} {}
        asio::strand<asio::thread_pool::executor_type> strand;
        asio::cancellation_signal signal{};
    };
    std::vector<std::unique_ptr<Request>> requests;
    for (int i = 0; i < threads * each; ++i) requests.push_back(std::make_unique<Request>(pool));
    for (int i = 0; i < threads * each; ++i) {
        auto& request = *requests[static_cast<std::size_t>(i)];
        asio::post(request.strand, [&, i] {
            auto done = [&](std::error_code error, Lease lease) {
                if (error) {
                    cancelled.fetch_add(1, std::memory_order_relaxed);
                    return;
                }
                if (in_flight.fetch_add(1) + 1 > 6) exceeded = true;
                served.fetch_add(1, std::memory_order_relaxed);
                in_flight.fetch_sub(1);
                balancer.report(std::move(lease), Outcome::success);
            };
            balancer.async_select(
                Criteria{}, RequestOptions{.priority = i % 3},
                asio::bind_executor(request.strand,
                                    asio::bind_cancellation_slot(request.signal.slot(), std::move(done))));
            if (i % 5 == 0) {
                asio::post(request.strand, [&] { request.signal.emit(asio::cancellation_type::terminal); });
            }
            if (i % 50 == 0) static_cast<void>(balancer.disable("b0"));
            if (i % 50 == 25) static_cast<void>(balancer.enable("b0"));
        });
    }
    pool.join();
    CHECK(served + cancelled == threads * each);
    CHECK(served >= threads * each * 4 / 5);
    CHECK_FALSE(exceeded);
    for (const auto& backend : balancer.snapshot()) CHECK(backend.in_flight == 0);
    CHECK(balancer.totals().queue.waiting == 0);
}
