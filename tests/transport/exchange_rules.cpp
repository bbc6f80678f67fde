// Tries, from outside: how many, where to, after how long, and what the caller gets. Blocking and
// asynchronous calls are driven by the same rules, and both are looked at.
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

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

const std::error_code broken = std::make_error_code(std::errc::connection_reset);

Options rules(std::uint32_t max_retries) {
    Options options;
    options.seed = 1;
    options.max_retries = max_retries;
    options.ejection = false;
    options.back_off_base = 1ms;
    options.back_off_max = 2ms;
    return options;
}

/// What a request came to, by either way.
struct Result {
    std::error_code error{};
    int status = 0;
    std::vector<std::string> asked{};
};

/// The same request over both kinds of transport, which must come to the same.
Result both(std::size_t backends, const Options& options,
            const std::function<Answer(const std::string&)>& answer, const RequestOptions& request = {}) {
    Result blocking;
    {
        Balancer<RoundRobin, ScriptedBlocking> balancer{fleet(backends), options};
        balancer.transport().script().answer = answer;
        try {
            blocking.status = balancer.send("hello", Criteria{}, request).status;
        } catch (const std::system_error& e) {
            blocking.error = e.code();
        }
        blocking.asked = balancer.transport().script().asked;
        for (const auto& each : balancer.snapshot()) CHECK(each.in_flight == 0);
    }
    Result result;
    asio::io_context io;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{fleet(backends), options, ScriptedTransport<>{io}};
    balancer.transport().script().answer = answer;
    int calls = 0;
    balancer.async_send("hello", Criteria{}, request, [&](std::error_code error, const Answer& got) {
        ++calls;
        result.error = error;
        if (!error) result.status = got.status;
    });
    CHECK(calls == 0);  // never inside the initiating function
    io.run();
    CHECK(calls == 1);
    result.asked = balancer.transport().script().asked;
    for (const auto& each : balancer.snapshot()) CHECK(each.in_flight == 0);
    CHECK(result.asked.size() == blocking.asked.size());
    CHECK(result.error == blocking.error);
    CHECK(result.status == blocking.status);
    return result;
}

std::size_t distinct(std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    return static_cast<std::size_t>(std::unique(names.begin(), names.end()) - names.begin());
}

/// Runs what is ready.
void turn(asio::io_context& io) {
    io.restart();
    io.poll();
}

/// Answers at once, on any thread.
struct Instant {
    using Request = std::string;
    using Response = Answer;

    asio::thread_pool* pool;

    asio::any_io_executor get_executor() const { return pool->get_executor(); }
    template <class Handler>
    void async_send(const BackendConfig&, std::string, Deadline, Handler handler) const {
        const auto executor = asio::get_associated_executor(handler, get_executor());
        asio::post(executor,
                   [handler = std::move(handler)]() mutable { handler(std::error_code{}, Answer{}); });
    }
    static Outcome outcome(std::error_code, const Answer& answer) {
        return Outcome::from_status(answer.status);
    }
};

}  // namespace

TEST_CASE("max_retries further tries, each on a backend not tried yet, and then the last answer") {
    for (const std::uint32_t retries : {0U, 1U, 2U, 5U}) {
        const auto failing =
            both(8, rules(retries), [](const std::string&) { return Answer{.status = 500}; });
        CHECK(failing.asked.size() == retries + 1);
        CHECK(distinct(failing.asked) == retries + 1);
        CHECK(failing.status == 500);
        const auto down = both(8, rules(retries), [](const std::string&) { return Answer{0, broken}; });
        CHECK(down.asked.size() == retries + 1);
        CHECK(down.error == broken);
    }
    // An answer of an earlier try is better than no answer of the last.
    int calls = 0;
    const auto mixed = both(8, rules(1), [&](const std::string&) {
        return ++calls % 2 == 1 ? Answer{.status = 503} : Answer{0, broken};
    });
    CHECK(mixed.status == 503);
}

TEST_CASE("the same backend is asked again only when there is no other, after a pause") {
    const auto sole = both(1, rules(2), [](const std::string&) { return Answer{.status = 502}; });
    CHECK(sole.asked == std::vector<std::string>{"b0", "b0", "b0"});
    const auto two = both(2, rules(3), [](const std::string&) { return Answer{.status = 502}; });
    CHECK(two.asked.size() == 4);
    CHECK(two.asked[0] != two.asked[1]);
}

TEST_CASE("back-pressure is tried elsewhere; where there is none it is the answer, at once") {
    const auto sole = both(1, rules(2), [](const std::string&) { return Answer{.status = 429}; });
    CHECK(sole.status == 429);
    CHECK(sole.asked.size() == 1);
    const auto two = both(2, rules(2), [](const std::string&) { return Answer{.status = 429}; });
    CHECK(two.status == 429);
    CHECK(two.asked.size() == 2);
    CHECK(distinct(two.asked) == 2);
    int calls = 0;
    const auto mended =
        both(2, rules(2), [&](const std::string&) { return Answer{.status = ++calls % 2 == 1 ? 429 : 200}; });
    CHECK(mended.status == 200);
}

TEST_CASE(
    "with back-pressure for an answer nobody's rest is waited for, and no try is paid that is not made") {
    asio::io_context io;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{fleet(2), rules(2), ScriptedTransport<>{io}};
    std::vector<std::string> reasons;
    balancer.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::retry) reasons.emplace_back(event.reason);
    });
    auto& script = balancer.transport().script();
    script.answer = [](const std::string&) { return Answer{.status = 429}; };
    int status = 0;
    const auto send = [&] {
        status = 0;
        balancer.async_send("x", [&](std::error_code, const Answer& answer) { status = answer.status; });
        io.restart();
        io.run_for(2s);
    };
    const std::vector<std::string_view> first{"b0"};
    balancer.report(balancer.select({.exclude = first}), Outcome::rate_limited);  // b1 rests for 5 s
    send();
    CHECK(status == 429);
    CHECK(script.asked == std::vector<std::string>{"b0"});
    CHECK(reasons.empty());
    CHECK(balancer.totals().retries == 0);
}

TEST_CASE(
    "with back-pressure for an answer a request does not stand behind those who wait for the rest to end") {
    asio::io_context io;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{fleet(2), rules(2), ScriptedTransport<>{io}};
    auto& script = balancer.transport().script();
    script.answer = [](const std::string&) { return std::nullopt; };
    std::vector<int> statuses;
    const auto send = [&] {
        balancer.async_send(
            "x", [&](std::error_code, const Answer& answer) { statuses.push_back(answer.status); });
        turn(io);
    };
    const std::vector<std::string_view> first{"b0"};
    balancer.report(balancer.select({.exclude = first}), Outcome::rate_limited);  // b1 rests
    send();
    send();
    REQUIRE(script.asked.size() == 2);
    script.complete("b0", {.status = 429});  // b0 rests, too
    turn(io);
    send();
    CHECK(balancer.totals().queue.waiting == 1);
    script.complete("b0", {.status = 429});
    turn(io);
    CHECK(statuses == std::vector{429, 429});
    CHECK(balancer.totals().queue.waiting == 1);
}

TEST_CASE("what must not be repeated is not: by wish, by outcome, by option") {
    RequestOptions once;
    once.retry = RequestOptions::Retry::never;
    CHECK(both(
              3, rules(2),
              [](const std::string&) {
                  return Answer{0, broken};
              },
              once)
              .asked.size() == 1);
    // What was refused before any of it was sent cannot be done twice.
    CHECK(both(
              3, rules(2),
              [](const std::string&) {
                  return Answer{0, std::make_error_code(std::errc::connection_refused)};
              },
              once)
              .asked.size() == 3);
    for (const int status : {200, 301, 400, 404, 422}) {
        const auto result = both(3, rules(2), [&](const std::string&) { return Answer{.status = status}; });
        CHECK(result.asked.size() == 1);
        CHECK(result.status == status);
    }
    Options no_errors = rules(2);
    no_errors.retry_on.connect_error = false;
    CHECK(both(3, no_errors, [](const std::string&) { return Answer{0, broken}; }).asked.size() == 1);
    CHECK(both(3, no_errors, [](const std::string&) { return Answer{.status = 500}; }).asked.size() == 3);
}

TEST_CASE("nothing is tried past the deadline, and no pause is begun that would end behind it") {
    RequestOptions past;
    past.deadline = Deadline{std::chrono::steady_clock::now() - 1ms};
    const auto late = both(
        3, rules(2), [](const std::string&) { return Answer{}; }, past);
    CHECK(late.asked.empty());
    CHECK(late.error == Errc::deadline_passed);

    Options slow = rules(2);
    slow.back_off_base = slow.back_off_max = 1h;  // of which the jitter takes a random part
    RequestOptions soon;
    soon.deadline = Deadline::in(1s, std::chrono::steady_clock::now());
    const auto cut = both(
        1, slow,
        [](const std::string&) {
            return Answer{0, broken};
        },
        soon);
    CHECK(cut.asked.size() == 1);
    CHECK(cut.error == broken);
}

TEST_CASE("retries stop when the budget is spent, and the host is told") {
    Options options = rules(2);
    options.retry_budget_min = 0.1;  // one in ten seconds
    options.retry_budget_ratio = 0;
    ManualClock clock;
    Balancer<RoundRobin, ScriptedBlocking, ManualClock> balancer{fleet(4), options, {}, {}, clock};
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    auto& script = balancer.transport().script();
    // After back-pressure a retry is paid for when it has found a place.
    const int status = GENERATE(500, 429);
    script.answer = [status](const std::string&) { return Answer{.status = status}; };
    CHECK(balancer.send("x").status == status);
    CHECK(script.asked.size() == 2);  // one retry, then none
    CHECK(count(events, Event::Kind::retry) == 1);
    CHECK(count(events, Event::Kind::retry_budget_exhausted) == 1);
    CHECK(balancer.totals().retries == 1);
    CHECK(balancer.totals().retries_refused == 1);
    for (const auto& each : balancer.snapshot()) CHECK(each.in_flight == 0);
    clock.advance(10s);
    CHECK(balancer.send("x").status == status);
    CHECK(script.asked.size() == 4);
}

TEST_CASE("a backend removed while its request is retried is asked no more, and nothing is lost") {
    asio::io_context io;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{fleet(2), rules(2), ScriptedTransport<>{io}};
    auto& script = balancer.transport().script();
    script.answer = [](const std::string&) { return std::nullopt; };
    int status = 0;
    balancer.async_send("x", [&](std::error_code error, const Answer& answer) {
        CHECK_FALSE(error);
        status = answer.status;
    });
    io.poll();
    const std::string first = script.asked.at(0);
    REQUIRE_FALSE(balancer.remove(first));
    script.complete(first, {.status = 500});
    io.restart();
    io.poll();
    REQUIRE(script.asked.size() == 2);
    CHECK(script.asked[1] != first);
    script.complete(script.asked[1], {.status = 200});
    io.restart();
    io.run();
    CHECK(status == 200);
    CHECK(balancer.snapshot().size() == 1);
}

TEST_CASE(
    "cancelling reaches the transport at once, and a pause, and the queue; the lease reports cancelled") {
    asio::io_context io;
    Options options = rules(2);
    options.back_off_base = options.back_off_max = 1h;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{fleet(1, 1), options, ScriptedTransport<>{io}};
    auto& script = balancer.transport().script();
    std::vector<std::error_code> errors;
    const auto begin = [&](asio::cancellation_signal& signal) {
        balancer.async_send(
            "x", asio::bind_cancellation_slot(
                     signal.slot(), [&](std::error_code error, const Answer&) { errors.push_back(error); }));
        io.restart();
        io.poll();
    };
    const auto cancel = [&](asio::cancellation_signal& signal) {
        signal.emit(asio::cancellation_type::terminal);
        io.restart();
        io.poll();
    };
    asio::cancellation_signal sent;
    asio::cancellation_signal queued;
    script.answer = [](const std::string&) { return std::nullopt; };
    begin(sent);
    begin(queued);  // the only place is taken
    CHECK(balancer.totals().queue.waiting == 1);
    cancel(queued);
    CHECK(errors.size() == 1);
    CHECK(script.asked.size() == 1);
    cancel(sent);
    CHECK(errors.size() == 2);
    CHECK(script.cancelled == 1);
    CHECK(figures(balancer, "b0").outcomes[Outcome::cancelled] == 1);

    asio::cancellation_signal pausing;
    script.answer = [](const std::string&) { return Answer{.status = 500}; };
    begin(pausing);
    CHECK(errors.size() == 2);
    cancel(pausing);
    CHECK(errors == std::vector<std::error_code>(3, make_error_code(Errc::cancelled)));
    CHECK(figures(balancer, "b0").in_flight == 0);
}

TEST_CASE("a request that cannot be copied is moved, and sent once") {
    asio::io_context io;
    using Movable = ScriptedTransport<std::unique_ptr<std::string>>;
    Balancer<RoundRobin, Movable> balancer{fleet(3), rules(2), Movable{io}};
    auto& script = balancer.transport().script();
    script.answer = [](const std::string&) { return std::nullopt; };
    int status = 0;
    balancer.async_send(std::make_unique<std::string>("hello"),
                        [&](std::error_code, const Answer& answer) { status = answer.status; });
    io.poll();
    REQUIRE(script.pending.size() == 1);
    CHECK(script.pending.front()->request == "hello");
    script.complete(script.asked.at(0), {.status = 500});
    io.restart();
    io.run();
    CHECK(status == 500);
    CHECK(script.asked.size() == 1);
}

TEST_CASE("the balancer's calls complete futures and coroutines") {
    asio::io_context io;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{fleet(2), rules(2), ScriptedTransport<>{io}};
    auto future = balancer.async_send("x", asio::use_future);
    int status = 0;
    asio::co_spawn(
        io,
        [](auto& b, int& result) -> asio::awaitable<void> {
            std::string request = "x";
            const Answer answer = co_await b.async_send(request, asio::use_awaitable);
            result = answer.status;
        }(balancer, status),
        asio::detached);
    io.run();
    CHECK(future.get().status == 200);
    CHECK(status == 200);
}

TEST_CASE("a request that finds all full waits its turn, across a retry too") {
    asio::io_context io;
    Balancer<RoundRobin, ScriptedTransport<>> balancer{fleet(2, 1), rules(2), ScriptedTransport<>{io}};
    auto& script = balancer.transport().script();
    script.answer = [](const std::string&) { return std::nullopt; };
    std::vector<int> statuses;
    for (int i = 0; i < 3; ++i) {
        balancer.async_send("x", [&](std::error_code error, const Answer& answer) {
            CHECK_FALSE(error);
            statuses.push_back(answer.status);
        });
        turn(io);
    }
    REQUIRE(script.asked.size() == 2);  // the third waits
    const std::string first = script.asked[0];
    const std::string second = script.asked[1];
    script.complete(first,
                    {.status = 500});  // to be tried elsewhere, which is taken: it stands behind the third
    turn(io);
    REQUIRE(script.asked.size() == 3);
    CHECK(script.asked[2] == first);
    script.complete(second, {.status = 201});
    turn(io);
    REQUIRE(script.asked.size() == 4);
    CHECK(script.asked[3] == second);
    script.complete(first, {.status = 202});
    script.complete(second, {.status = 203});
    turn(io);
    CHECK(statuses == std::vector{201, 202, 203});
}

TEST_CASE("requests may begin on any thread while others run the loop") {
    asio::thread_pool pool{2};
    Balancer<RoundRobin, Instant> balancer{fleet(2, 3), rules(2), Instant{&pool}};
    std::atomic<int> answered{0};
    for (int i = 0; i < 500; ++i) {
        balancer.async_send("x", [&](std::error_code error, const Answer&) {
            if (!error) answered.fetch_add(1, std::memory_order_relaxed);
        });
    }
    pool.join();
    CHECK(answered == 500);
}
