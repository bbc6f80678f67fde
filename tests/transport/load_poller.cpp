// The load poller over real sockets: what engines say reaches the balancer, and whatever else may come.
#include <fairlead/transport/load_poller.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/prefix_affinity.hpp>
#include <fairlead/strategies/round_robin.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/http_exchange.hpp"

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;
using Http = Balancer<RoundRobin, HttpTransport>;

/// A server that answers every request with what it is told to; an empty answer hangs until the next.
class Engine {
  public:
    explicit Engine(std::string first) : answer_{std::move(first)} {}
    ~Engine() { set("HTTP/1.1 500 Gone\r\nContent-Length: 0\r\n\r\n"); }

    void set(std::string answer) {
        const std::lock_guard lock{mutex_};
        answer_ = std::move(answer);
        changes_.fetch_add(1, std::memory_order_release);
        changes_.notify_all();
    }
    int scrapes() const { return scrapes_.load(std::memory_order_acquire); }
    std::string url() const { return peer_.url(); }
    std::string last() const {
        const std::lock_guard lock{mutex_};
        return last_;
    }

  private:
    std::string answer_now() const {
        const std::lock_guard lock{mutex_};
        return answer_;
    }

    mutable std::mutex mutex_;
    std::string answer_;
    std::string last_;
    std::atomic<int> changes_{0};
    std::atomic<int> scrapes_{0};
    RawPeer peer_{[this](RawPeer::Connection& c) {
        for (;;) {
            auto request = c.read_request();
            if (request.empty()) return;
            {
                const std::lock_guard lock{mutex_};
                last_ = std::move(request);
            }
            scrapes_.fetch_add(1, std::memory_order_acq_rel);
            const int before = changes_.load(std::memory_order_acquire);
            while (answer_now().empty()) changes_.wait(before, std::memory_order_acquire);
            if (!c.send(answer_now())) return;
        }
    }};
};

BackendConfig engine_at(const std::string& name, const std::string& url) {
    BackendConfig config;
    config.name = name;
    config.url = url;
    return config;
}

Options polling() {
    Options options;
    options.seed = 1;
    options.load_monitor = true;
    options.load_interval = 250ms;
    return options;
}

/// Turns the loop until `condition` comes true; the poller's own timer sets the pace.
template <class Condition>
bool comes_true(asio::io_context& io, Condition condition) {
    const auto patience = std::chrono::steady_clock::now() + 20s;  // for a hang to be a failure
    while (!condition()) {
        if (std::chrono::steady_clock::now() > patience) return false;
        io.restart();
        io.run_one_for(50ms);
    }
    return true;
}

TEST_CASE("what an engine's metrics say reaches the balancer") {
    Engine vllm{answer("vllm:num_requests_running 5\nvllm:kv_cache_usage_perc 0.5\n")};
    Engine other{answer("nothing_of_interest 1\n")};
    asio::io_context io;
    // A base path and /v1 are as for requests.
    Http balancer{
        {engine_at("a", vllm.url() + "/v1"), engine_at("b", other.url())}, polling(), HttpTransport{io}};
    LoadPoller load{balancer, io.get_executor()};
    CHECK(load.running());
    REQUIRE(comes_true(io, [&] { return figures(balancer, "a").load.running.has_value(); }));
    CHECK(figures(balancer, "a").load.running->value == 5);
    CHECK(figures(balancer, "a").load.cache_use->value == 0.5);
    CHECK_FALSE(figures(balancer, "a").load.waiting);
    CHECK(vllm.last().starts_with("GET /metrics HTTP/1.1\r\n"));
    REQUIRE(comes_true(io, [&] { return load.standing("b") && load.standing("b")->failures_in_a_row > 0; }));
    CHECK(load.standing("b")->problem == "the metrics have no gauge of a known engine");
    CHECK_FALSE(figures(balancer, "b").load.running);
    CHECK(figures(balancer, "a").completed == 0);  // a scrape is no request

    vllm.set(answer("vllm:num_requests_running 6\n"));
    REQUIRE(comes_true(io, [&] { return figures(balancer, "a").load.running->value == 6; }));
}

TEST_CASE("an engine that was restarted between two scrapes is believed to hold nothing any more") {
    const std::string running = "vllm:num_requests_running 0\nprocess_start_time_seconds ";
    Engine vllm{answer(running + "1.7645e+09\n")};
    asio::io_context io;
    Balancer<PrefixAffinity, HttpTransport> balancer{
        {engine_at("a", vllm.url())}, polling(), HttpTransport{io}};
    LoadPoller load{balancer, io.get_executor()};
    REQUIRE(comes_true(io, [&] { return figures(balancer, "a").load.running.has_value(); }));
    const std::vector<std::uint64_t> blocks{11, 22, 33};
    const Criteria prompt{.tokens = 48, .prefix = blocks};
    CHECK(one(balancer, Outcome::success, prompt) == "a");
    const auto cached = [&] { return balancer.explain(prompt).front().cached; };
    const int before = vllm.scrapes();
    REQUIRE(comes_true(io, [&] { return vllm.scrapes() >= before + 2; }));  // one was taken in
    CHECK(cached() == 48);
    vllm.set(answer(running + "1.7646e+09\n"));
    REQUIRE(comes_true(io, [&] { return cached() == 0; }));
}

TEST_CASE("what is no metrics page, or no page at all, leaves the load unknown") {
    const std::string huge(max_metrics_bytes + 1, '\n');
    const auto [reply, problem] = GENERATE_COPY(table<std::string, std::string>({
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"},
        {answer("<html>Sign in</html>\n"), "line 1 of the metrics is broken"},
        {answer(huge), "larger"},
        {"garbage\r\n\r\n", ""},
    }));
    Engine engine{reply};
    asio::io_context io;
    Options options = polling();
    // A scrape may take an interval: so many bytes take longer than that on a busy machine.
    if (reply.size() > max_metrics_bytes) options.load_interval = 5s;
    Http balancer{{engine_at("a", engine.url())}, options, HttpTransport{io}};
    LoadPoller load{balancer, io.get_executor()};
    REQUIRE(comes_true(io, [&, &wanted = problem] {
        const auto standing = load.standing("a");
        return standing && standing->failures_in_a_row > (options.load_interval == 5s ? 0U : 1U) &&
               standing->problem.find(wanted) != std::string::npos;
    }));
    CHECK_FALSE(figures(balancer, "a").load.running);
    CHECK(one(balancer) == "a");  // it serves all the same
}

TEST_CASE("a scrape that gets no answer ends with its interval, and another follows") {
    Engine engine{""};
    asio::io_context io;
    Http balancer{{engine_at("a", engine.url())}, polling(), HttpTransport{io}};
    LoadPoller load{balancer, io.get_executor()};
    REQUIRE(comes_true(io, [&] { return engine.scrapes() >= 2; }));
    CHECK(load.standing("a")->failures_in_a_row >= 1);
    engine.set(answer("tgi_queue_size 3\n"));
    REQUIRE(comes_true(io, [&] { return figures(balancer, "a").load.waiting.has_value(); }));
}

TEST_CASE("it follows the fleet, and stops and starts") {
    Engine engine{answer("sglang:num_queue_reqs 2\n")};
    Engine added{answer("sglang:num_queue_reqs 4\n")};
    asio::io_context io;
    auto options = polling();
    options.load_monitor = false;
    Http balancer{{engine_at("a", engine.url())}, options, HttpTransport{io}};
    LoadPoller load{balancer, io.get_executor()};
    CHECK_FALSE(load.running());
    io.run();  // without scrapes there is nothing to wait for
    CHECK(engine.scrapes() == 0);
    load.start();
    CHECK_FALSE(balancer.add(engine_at("b", added.url())));
    REQUIRE(comes_true(
        io, [&] { return figures(balancer, "b").load.waiting && figures(balancer, "a").load.waiting; }));
    CHECK(load.interval() == 250ms);
    options.load_interval = 1s;
    options.load_monitor = true;  // it runs already
    CHECK_FALSE(balancer.set_options(options));
    CHECK(load.interval() == 1s);
    CHECK(load.running());
    CHECK(load.set_interval(100ms) == make_error_code(Errc::bad_option));
    CHECK_FALSE(load.set_interval(500ms));
    CHECK(load.interval() == 500ms);
    CHECK_FALSE(balancer.remove("b"));
    REQUIRE(comes_true(io, [&] { return !load.standing("b"); }));
    load.stop();
    io.restart();
    io.run();  // its timer is gone
}

/// Never answers; ends what is cancelled.
class Hanging {
  public:
    struct Calls {
        int begun = 0;
        int cancelled = 0;
    };

    explicit Hanging(asio::io_context& io) : io_{&io} {}

    const Calls& calls() const { return *calls_; }

    template <class Handler>
    void async_scrape(const BackendConfig&, std::string_view, Deadline, Handler handler) {
        ++calls_->begun;
        auto slot = asio::get_associated_cancellation_slot(handler);
        // Moved on: what stays here would hold the poller, which holds this.
        slot.assign(
            [calls = calls_, io = io_, handler = std::move(handler)](asio::cancellation_type) mutable {
                ++calls->cancelled;
                asio::post(*io, [handler = std::move(handler)]() mutable {
                    handler(make_error_code(Errc::cancelled), HttpResponse{});
                });
            });
    }

  private:
    asio::io_context* io_;
    std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
};

TEST_CASE("to stop cancels what is being asked at that moment, and to start asks again") {
    asio::io_context io;
    Balancer<RoundRobin> balancer{{engine_at("a", "http://a"), engine_at("b", "http://b")}, polling()};
    const Hanging engines{io};
    LoadPoller<Balancer<RoundRobin>, Hanging> load{balancer, io.get_executor(), engines};
    REQUIRE(comes_true(io, [&] { return engines.calls().begun == 2; }));
    SECTION("by itself") { load.stop(); }
    SECTION("by the options") {
        REQUIRE_FALSE(balancer.update_options([](Options& options) { options.load_monitor = false; }));
    }
    io.restart();
    io.run();  // nothing is left to wait for
    CHECK(engines.calls().cancelled == 2);
    CHECK(engines.calls().begun == 2);
    CHECK_FALSE(load.running());
    load.start();
    REQUIRE(comes_true(io, [&] { return engines.calls().begun == 4; }));
    CHECK(engines.calls().cancelled == 2);
    load.stop();  // or they would hold the poller, which holds them
    io.restart();
    io.run();
    CHECK(engines.calls().cancelled == 4);
}

TEST_CASE("a poller goes at any moment, with scrapes under way and the loop on other threads") {
    Engine engine{""};
    asio::io_context io;
    auto guard = asio::make_work_guard(io);
    std::thread first{[&] { io.run(); }};
    std::thread second{[&] { io.run(); }};
    for (int i = 0; i < 20; ++i) {
        Http balancer{
            {engine_at("a", engine.url()), engine_at("b", engine.url())}, polling(), HttpTransport{io}};
        LoadPoller load{balancer, io.get_executor()};
        load.set_interval(250ms);
        if (i % 2 == 0) std::this_thread::yield();
        balancer.remove("b");
    }
    guard.reset();
    engine.set(answer("tgi_queue_size 3\n"));
    first.join();
    second.join();
    SUCCEED("nothing hung, nothing was touched after its end");
}

}  // namespace
