// The health checker over real sockets: backends taken out and let back, and everything that may happen to
// the fleet, the checker or the loop while a probe is under way.
#include <fairlead/transport/health_checker.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_future.hpp>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/round_robin.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/http_exchange.hpp"

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;
using Http = Balancer<RoundRobin, HttpTransport>;

const std::string failure = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

/// A server whose health is switched. While it hangs, a probe waits; it is answered as the next state says.
class Server {
  public:
    enum State { good, bad, hangs };

    Server() = default;
    ~Server() { set(good); }  // lets the waiting ones go

    State state() const { return state_.load(std::memory_order_acquire); }
    void set(State state) {
        state_.store(state, std::memory_order_release);
        state_.notify_all();
    }
    int probes() const { return probes_.load(std::memory_order_acquire); }
    std::string url() const { return peer_.url(); }
    std::string last() const {
        const std::lock_guard lock{mutex_};
        return last_;
    }

  private:
    std::atomic<State> state_{good};
    std::atomic<int> probes_{0};
    mutable std::mutex mutex_;
    std::string last_;
    RawPeer peer_{[this](RawPeer::Connection& c) {
        for (;;) {
            auto request = c.read_request();
            if (request.empty()) return;
            {
                const std::lock_guard lock{mutex_};
                last_ = std::move(request);
            }
            probes_.fetch_add(1, std::memory_order_acq_rel);
            state_.wait(hangs, std::memory_order_acquire);
            if (!c.send(state() == good ? answer("ok") : failure)) return;
        }
    }};
};

BackendConfig backend(const std::string& name, const std::string& url) {
    BackendConfig config;
    config.name = name;
    config.url = url;
    return config;
}

Options fast() {
    Options options;
    options.seed = 1;
    options.health_check_interval = 5ms;
    return options;
}

Options never() {  // only what is asked for
    Options options = fast();
    options.health_check = false;
    return options;
}

/// Turns the loop until `condition` comes true; the probes' own timer sets the pace.
template <class Condition>
bool eventually(asio::io_context& io, Condition condition) {
    const auto patience = std::chrono::steady_clock::now() + 20s;  // for a hang to be a failure
    while (!condition()) {
        if (std::chrono::steady_clock::now() > patience) return false;
        io.restart();
        io.run_one_for(50ms);
    }
    return true;
}

struct Asked {
    int calls = 0;
    std::error_code error{};
    ProbeReport report{};
};

template <class Checker>
std::shared_ptr<Asked> ask(Checker& health, const std::string& name) {
    auto asked = std::make_shared<Asked>();
    health.probe_now(name, [asked](std::error_code error, const ProbeReport& report) {
        ++asked->calls;
        asked->error = error;
        asked->report = report;
    });
    CHECK(asked->calls == 0);  // never inside the initiating function
    return asked;
}

TEST_CASE("a backend whose probes fail is taken out, and returns when they pass") {
    Server first;
    Server second;
    asio::io_context io;
    Http balancer{{backend("a", first.url()), backend("b", second.url())}, fast(), HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    CHECK(health.running());
    REQUIRE(eventually(io, [&] { return health.last("a") && health.last("b"); }));
    for (const auto state : {Server::bad, Server::bad}) {
        second.set(state);
        REQUIRE(eventually(io, [&] { return !figures(balancer, "b").probe_ok; }));
        CHECK(one(balancer) == "a");
        CHECK(one(balancer) == "a");
        CHECK(health.last("b")->consecutive_failures >= 3);
        CHECK(health.last("b")->last_error == "HTTP status 500");
        second.set(Server::good);
        REQUIRE(eventually(io, [&] { return figures(balancer, "b").probe_ok; }));
    }
    REQUIRE(eventually(io, [&] { return health.last("b")->consecutive_failures == 0; }));
    CHECK(health.last("b")->last_error.empty());
    // Not one probe counts as a request.
    CHECK(figures(balancer, "b").completed == 0);
    CHECK(figures(balancer, "b").average_response_time == Duration::zero());
    CHECK(figures(balancer, "b").slowness == 1.0);
}

TEST_CASE("a probe that hangs ends at health_check_timeout, and the others go on meanwhile") {
    Server good;
    Server silent;
    silent.set(Server::hangs);
    asio::io_context io;
    auto options = fast();
    options.health_check_timeout = 50ms;
    Http balancer{{backend("a", good.url()), backend("b", silent.url())}, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    REQUIRE(eventually(io, [&] { return !figures(balancer, "b").probe_ok; }));
    CHECK(health.last("b")->outcome.kind == Outcome::timeout);
    CHECK(health.last("b")->latency >= 50ms);
    CHECK_FALSE(health.last("b")->last_error.empty());
    const int before = good.probes();
    REQUIRE(eventually(io, [&] { return good.probes() > before + 3; }));
}

TEST_CASE("what Options say of path, status and text reaches the probe; a backend's own word is stronger") {
    Server server;
    asio::io_context io;
    auto options = never();
    options.health_check_path = "/ping";
    auto first = backend("a", server.url());
    auto second = backend("b", server.url());
    second.health.path = "/own";
    SECTION("path") {}
    SECTION("status") {
        options.health_check_status = 204;
        second.health.expected_status = 200;
    }
    SECTION("text") {
        options.health_check_contains = "never said";
        second.health.body_contains = "ok";
    }
    const bool plain = options.health_check_status == 0 && options.health_check_contains.empty();
    Http balancer{{first, second}, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    CHECK_FALSE(health.running());
    const auto of_first = ask(health, "a");
    REQUIRE(eventually(io, [&] { return of_first->calls == 1; }));
    CHECK(server.last().starts_with("GET /ping HTTP/1.1\r\n"));
    CHECK(of_first->report.ok == plain);
    if (!plain) CHECK(of_first->report.last_error.starts_with("HTTP status 200, but"));
    const auto of_second = ask(health, "b");
    REQUIRE(eventually(io, [&] { return of_second->calls == 1; }));
    CHECK(server.last().starts_with("GET /own HTTP/1.1\r\n"));
    CHECK(of_second->report.ok);
}

TEST_CASE("switched off by the options nothing is probed until it is started") {
    Server server;
    asio::io_context io;
    Http balancer{{backend("a", server.url())}, never(), HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    io.run();  // and the loop has nothing to wait for
    CHECK(server.probes() == 0);
    health.start();
    CHECK(health.running());
    REQUIRE(eventually(io, [&] { return server.probes() >= 2; }));
    health.stop();
    CHECK_FALSE(health.running());
    io.restart();
    io.run();
    const int before = server.probes();
    io.restart();
    io.run();
    CHECK(server.probes() == before);
}

TEST_CASE("a disabled backend stays disabled through passing probes, which go on") {
    Server server;
    asio::io_context io;
    Http balancer{{backend("a", server.url())}, fast(), HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    balancer.disable("a");
    server.set(Server::bad);
    REQUIRE(eventually(io, [&] { return !figures(balancer, "a").probe_ok; }));
    server.set(Server::good);
    REQUIRE(eventually(io, [&] { return figures(balancer, "a").probe_ok; }));
    CHECK(figures(balancer, "a").state == BackendState::disabled);
    CHECK(balancer.select().error() == Errc::all_disabled);
}

TEST_CASE("a backend added later is probed at once, and one failed probe is enough") {
    Server server;
    server.set(Server::bad);
    asio::io_context io;
    auto options = fast();
    options.health_check_interval = 1h;
    options.health_check_unhealthy_interval = 1h;
    Http balancer{{}, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    balancer.add(backend("new", server.url()));
    CHECK(figures(balancer, "new").state == BackendState::healthy);  // serves at once
    REQUIRE(eventually(io, [&] { return !figures(balancer, "new").probe_ok; }));
    CHECK(server.probes() == 1);
}

TEST_CASE("a result for a backend that was removed, replaced or moved during the probe is ignored") {
    Server old;
    old.set(Server::hangs);
    Server next;
    asio::io_context io;
    auto options = fast();
    options.health_check_interval = 1h;
    options.health_check_timeout = 1h;
    Http balancer{{}, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    balancer.add(backend("a", old.url()));
    REQUIRE(eventually(io, [&] { return old.probes() == 1; }));
    SECTION("removed") {
        const auto asked = ask(health, "a");
        balancer.remove("a");
        REQUIRE(eventually(io, [&] { return asked->calls == 1; }));
        CHECK(asked->error == Errc::unknown_backend);
    }
    SECTION("removed and added again") {
        balancer.remove("a");
        balancer.add(backend("a", next.url()));
    }
    SECTION("moved") { balancer.update(backend("a", next.url())); }
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    const bool is_there = !balancer.snapshot().empty();
    if (is_there) {
        REQUIRE(eventually(io, [&] { return health.last("a").has_value(); }));
        CHECK(next.probes() == 1);  // the new server's first probe is due at once
        CHECK(health.last("a")->ok);
    }
    // Now the old one fails. Its answer has come when its connection is idle, and is dealt with when whatever
    // is asked after that is answered.
    const auto idle = balancer.transport().idle_connections();
    old.set(Server::bad);
    REQUIRE(eventually(io, [&] { return balancer.transport().idle_connections() == idle + 1; }));
    const auto after = ask(health, is_there ? "a" : "nobody");
    REQUIRE(eventually(io, [&] { return after->calls == 1; }));
    CHECK(events.empty());
    if (is_there) CHECK(figures(balancer, "a").probe_ok);
}

TEST_CASE("never more than health_check_concurrency probes are under way") {
    Server server;
    server.set(Server::hangs);
    asio::io_context io;
    auto options = fast();
    options.health_check_concurrency = 3;
    options.health_check_timeout = 1h;
    std::vector<BackendConfig> fleet;
    for (int i = 0; i < 8; ++i) fleet.push_back(backend("b" + std::to_string(i), server.url()));
    Http balancer{fleet, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    REQUIRE(eventually(io, [&] { return server.probes() == 3; }));
    io.restart();
    io.run_for(50ms);  // ten intervals
    CHECK(server.probes() == 3);
}

TEST_CASE("probe_now answers with the result, for any token, and says which names it does not know") {
    Server server;
    asio::io_context io;
    Http balancer{{backend("a", server.url())}, never(), HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    CHECK_FALSE(health.last("a"));
    const auto asked = ask(health, "a");
    const auto stranger = ask(health, "nobody");
    io.run();
    REQUIRE(asked->calls == 1);
    CHECK_FALSE(asked->error);
    CHECK(asked->report.ok);
    CHECK(asked->report.healthy);
    CHECK(asked->report.outcome.status == 200);
    CHECK(asked->report.latency > Duration::zero());
    const auto age = std::chrono::system_clock::now() - health.last("a")->last_check_time;
    CHECK(age < 60s);
    CHECK(stranger->error == Errc::unknown_backend);
    CHECK_FALSE(health.last("nobody"));

    server.set(Server::bad);
    auto future = health.probe_now("a", asio::use_future);
    io.restart();
    io.run();
    const auto report = future.get();
    CHECK_FALSE(report.ok);
    CHECK(report.healthy);  // one of three
    CHECK(report.consecutive_failures == 1);
    CHECK(report.last_error == "HTTP status 500");
}

TEST_CASE("who asks while a probe is under way shares it, and each gets an answer") {
    Server server;
    asio::io_context io;
    Http balancer{{backend("a", server.url())}, never(), HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    const auto first = ask(health, "a");
    const auto second = ask(health, "a");
    io.run();
    CHECK(first->calls == 1);
    CHECK(second->calls == 1);
    CHECK(server.probes() == 1);
}

TEST_CASE("a changed threshold and a changed interval hold while it runs") {
    Server server;
    asio::io_context io;
    auto options = never();
    options.health_check_interval = 1h;
    options.health_check_unhealthy_interval = 1h;
    Http balancer{{backend("a", server.url())}, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    ask(health, "a");
    io.run();
    REQUIRE_FALSE(balancer.set_failure_threshold(1));
    server.set(Server::bad);
    const auto asked = ask(health, "a");
    io.restart();
    io.run();
    CHECK_FALSE(asked->report.healthy);
    CHECK_FALSE(figures(balancer, "a").probe_ok);

    CHECK(health.set_interval(Duration::zero()) == Errc::bad_option);
    CHECK(health.interval() == Duration{1h});
    REQUIRE_FALSE(health.set_interval(5ms));
    health.start();
    const int before = server.probes();
    REQUIRE(eventually(io, [&] { return server.probes() > before + 3; }));
}

TEST_CASE("the balancer's options reach the checker; what was set on it stands until they say otherwise") {
    Server server;
    asio::io_context io;
    Http balancer{{backend("a", server.url())}, fast(), HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    const auto set = [&](auto edit) { REQUIRE_FALSE(balancer.update_options(edit)); };
    REQUIRE_FALSE(health.set_interval(4ms));
    set([](Options& o) { o.health_check_path = "/alive"; });
    REQUIRE(eventually(io, [&] { return server.last().starts_with("GET /alive "); }));
    CHECK(health.interval() == Duration{4ms});
    set([](Options& o) { o.health_check_interval = 6ms; });
    CHECK(health.interval() == Duration{6ms});
    health.stop();
    set([](Options& o) { o.health_check_path = "/well"; });
    CHECK_FALSE(health.running());
}

TEST_CASE("checks turned off by the options take their findings with them, those that are coming too") {
    Server server;
    asio::io_context io;
    auto options = fast();
    options.health_check_interval = 1ms;
    options.health_check_unhealthy_interval = 1ms;
    options.failure_threshold = 1;
    Http balancer{{backend("a", server.url())}, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    server.set(Server::bad);
    for (int i = 0; i < 20; ++i) {
        REQUIRE(eventually(io, [&] { return !figures(balancer, "a").probe_ok; }));
        REQUIRE_FALSE(balancer.update_options([](Options& o) { o.health_check = false; }));
        CHECK_FALSE(health.running());
        io.restart();
        io.run();  // dry: nothing is probed
        CHECK(figures(balancer, "a").probe_ok);
        REQUIRE_FALSE(balancer.update_options([](Options& o) { o.health_check = true; }));
    }
}

TEST_CASE("stop cancels the probes under way, tells who asked, and lets the loop run dry") {
    Server server;
    server.set(Server::hangs);
    asio::io_context io;
    auto options = fast();
    options.health_check_timeout = 1h;
    Http balancer{{backend("a", server.url())}, options, HttpTransport{io}};
    HealthChecker health{balancer, io.get_executor()};
    REQUIRE(eventually(io, [&] { return server.probes() == 1; }));
    const auto asked = ask(health, "a");
    health.stop();
    io.restart();
    io.run();
    CHECK(asked->calls == 1);
    CHECK(asked->error == Errc::cancelled);
    CHECK(figures(balancer, "a").probe_ok);  // a probe that we cancelled says nothing
}

TEST_CASE("the checker and then the balancer may go while probes are under way") {
    Server server;
    server.set(Server::hangs);
    asio::io_context io;
    auto options = fast();
    options.health_check_timeout = 1h;
    auto balancer = std::make_unique<Http>(
        std::vector{backend("a", server.url()), backend("b", server.url())}, options, HttpTransport{io});
    std::optional<HealthChecker<Http>> health;
    health.emplace(*balancer, io.get_executor());
    REQUIRE(eventually(io, [&] { return server.probes() == 2; }));
    const auto asked = ask(*health, "a");
    SECTION("with a loop that goes on") {
        health.reset();
        balancer.reset();
        io.restart();
        io.run();  // runs dry: the probes were cancelled
        CHECK(asked->calls == 1);
        CHECK(asked->error == Errc::cancelled);
    }
    SECTION("with a loop that never runs again") {
        health.reset();
        balancer.reset();
    }
}

TEST_CASE("the checker may go in a callback of its own round") {
    Server server;
    server.set(Server::bad);
    asio::io_context io;
    Http balancer{{backend("a", server.url())}, fast(), HttpTransport{io}};
    std::optional<HealthChecker<Http>> health;
    balancer.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::state_changed) health.reset();
    });
    health.emplace(balancer, io.get_executor());
    io.run();
    CHECK_FALSE(health);
    CHECK_FALSE(figures(balancer, "a").probe_ok);
}

TEST_CASE("checkers come and go on one balancer while several threads run the loop and the fleet changes") {
    Server server;
    asio::io_context io;
    auto guard = asio::make_work_guard(io);
    Http balancer{{backend("a", server.url()), backend("b", server.url())}, fast(), HttpTransport{io}};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { io.run(); });
    std::thread changes{[&] {
        for (int i = 0; i < 50; ++i) {
            server.set(i % 2 == 0 ? Server::bad : Server::good);
            balancer.add(backend("c", server.url()));
            balancer.update("a", [&](BackendConfig& config) { config.api_key = std::to_string(i); });
            balancer.remove("c");
        }
    }};
    std::atomic<int> answered{0};
    for (int i = 0; i < 50; ++i) {
        HealthChecker health{balancer, io.get_executor()};
        for (const auto* name : {"a", "c"})
            health.probe_now(name, [&](std::error_code, const ProbeReport&) { ++answered; });
        health.stop();
        health.start();
        health.probe_now("b", asio::use_future).wait();
    }
    changes.join();
    guard.reset();
    for (auto& thread : threads) thread.join();
    CHECK(answered == 100);
}

/// A transport that is no HTTP: probes it by itself, and answers within the initiating function.
struct Immediate {
    using Request = int;
    using Response = int;
    static Outcome outcome(std::error_code, int) { return {}; }
    template <class Handler>
    void async_probe(const BackendConfig& backend, Deadline, Handler handler) {
        handler(std::error_code{}, backend.name == "a" ? Outcome::success : Outcome::server_error);
    }
};

TEST_CASE("results that come together make one snapshot, also of a transport that answers at once") {
    asio::io_context io;
    Options options = never();
    options.failure_threshold = 1;
    Balancer<RoundRobin, Immediate> balancer{fleet(8), options};
    balancer.add(backend("a", "http://a"));
    std::vector<Event> events;
    balancer.on_event([&](const Event& event) { events.push_back(event); });
    HealthChecker health{balancer, io.get_executor()};
    for (int i = 0; i < 8; ++i) ask(health, "b" + std::to_string(i));
    ask(health, "a");
    io.run();
    CHECK(count(events, Event::Kind::state_changed) == 8);
    CHECK(figures(balancer, "a").probe_ok);
    // All 8 in a row, at one moment of the balancer's clock: one change under one lock.
    for (const auto& event : events) CHECK(event.at == events.front().at);
}

struct NoProbe {
    using Request = int;
    using Response = int;
    static Outcome outcome(std::error_code, int) { return {}; }
};

TEST_CASE("a transport without a probe, and none at all, are probed over HTTP") {
    Server server;
    asio::io_context io;
    SECTION("by one made for it") {
        Balancer<RoundRobin, NoProbe> balancer{{backend("a", server.url())}, never()};
        HealthChecker health{balancer, io.get_executor()};
        const auto asked = ask(health, "a");
        io.run();
        CHECK(asked->report.ok);
    }
    SECTION("by one that is given") {
        Balancer<> balancer{{backend("a", server.url())}, never()};
        HealthChecker health{balancer, io.get_executor(), HttpTransport{io}};
        const auto asked = ask(health, "a");
        io.run();
        CHECK(asked->report.ok);
    }
    CHECK(server.probes() == 1);
}

}  // namespace
