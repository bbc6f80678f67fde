// One allocation that fails breaks off whatever asked for it, and ends neither health checks nor scrapes.
#include "support/sanitizers.hpp"

// A sanitizer brings operators of its own.
#if !FAIRLEAD_UNDER_SANITIZER

#include <malloc.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/associated_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/transport/health_checker.hpp>
#include <fairlead/transport/load_poller.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"

namespace {

// Of this thread: the allocation that fails, counted from 1; 0: none.
thread_local int failing_allocation = 0;
thread_local int failing_aligned = 0;

bool fails(int& countdown) noexcept { return countdown > 0 && --countdown == 0; }

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    void* const memory = fails(failing_allocation) ? nullptr : std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) throw std::bad_alloc{};
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

// What Asio takes for its own operations.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
    return fails(failing_aligned) ? nullptr : ::memalign(alignment, size);
}

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// What a backend says, in the loop's next turn.
struct Scripted {
    template <class Handler>
    void async_probe(const BackendConfig&, Deadline, Handler handler) {
        later(std::move(handler), good ? Outcome::success : Outcome::connect_error, probes);
    }
    template <class Handler>
    void async_scrape(const BackendConfig&, std::string_view, Deadline, Handler handler) {
        later(std::move(handler), HttpResponse{200, "vllm:num_requests_running 5\n"}, scrapes);
    }
    template <class Handler, class Answer>
    void later(Handler handler, Answer answer, int& count) {
        const auto executor = asio::get_associated_executor(handler, io.get_executor());
        asio::post(executor, [&count, handler = std::move(handler), answer = std::move(answer)]() mutable {
            ++count;
            handler(std::error_code{}, std::move(answer));
        });
    }

    asio::io_context& io;
    bool good = true;
    int probes = 0;
    int scrapes = 0;
};

/// The same for a checker, which wants one that it can move.
struct Asking {
    template <class Handler>
    void async_probe(const BackendConfig& backend, Deadline deadline, Handler handler) {
        script->async_probe(backend, deadline, std::move(handler));
    }
    template <class Handler>
    void async_scrape(const BackendConfig& backend, std::string_view path, Deadline deadline,
                      Handler handler) {
        script->async_scrape(backend, path, deadline, std::move(handler));
    }
    Scripted* script;
};

Options often() {
    Options options;
    options.seed = 1;
    options.health_check_interval = 5ms;
    options.failure_threshold = options.success_threshold = 1;
    options.load_monitor = true;
    options.load_interval = 250ms;
    return options;
}

/// A checker, and a poller, with a loop of their own.
struct Watched {
    using Fleet = Balancer<RoundRobin>;

    bool probe_passes(const std::string& name) {
        bool passed = false;
        health.probe_now(
            name, [&](std::error_code error, const ProbeReport& report) { passed = !error && report.ok; });
        return turn_until([&] { return passed; });
    }

    template <class Condition>
    bool turn_until(Condition condition) {
        const auto patience = std::chrono::steady_clock::now() + 20s;  // for a hang to be a failure
        while (!condition()) {
            if (std::chrono::steady_clock::now() > patience) return false;
            turn(50ms);
        }
        return true;
    }

    void turn(Duration longest) {
        io.restart();
        io.run_one_for(longest);
    }

    bool goes_on() const {
        bool good = script.probes > 6 && script.scrapes > 3;
        for (const auto* name : {"b0", "b1", "b2"}) good = good && figures(balancer, name).probe_ok;
        return good;
    }

    asio::io_context io{1};
    Scripted script{io};
    Fleet balancer{fleet(2), often()};
    HealthChecker<Fleet, Asking> health{balancer, io.get_executor(), Asking{&script}};
    LoadPoller<Fleet, Asking> load{balancer, io.get_executor(), Asking{&script}};
};

/// Does what may throw for want of memory.
template <class Action>
void try_to(Action action) {
    try {
        action();
    } catch (const std::bad_alloc&) {
    }
}

/// One in which the `nth` allocation has failed, of all that a change of the fleet takes, and probes that
/// somebody asks for, and that fail. None when there were not so many.
std::unique_ptr<Watched> broken_off(int nth) {
    auto watched = std::make_unique<Watched>();
    auto& w = *watched;
    REQUIRE(w.probe_passes("b0"));
    auto more = fleet(3);
    REQUIRE_FALSE(w.balancer.add(more.back()));
    w.script.good = false;
    failing_allocation = nth;
    for (const auto* name : {"b0", "b1", "b2"})
        try_to([&] { w.health.probe_now(name, [](std::error_code, const ProbeReport&) {}); });
    for (int i = 0; i < 30; ++i) {
        try_to([&] {
            w.io.restart();
            w.io.poll();
        });
    }
    const bool failed = std::exchange(failing_allocation, 0) == 0;
    w.script.good = true;
    w.script.probes = w.script.scrapes = 0;
    return failed ? std::move(watched) : nullptr;
}

TEST_CASE("whichever allocation fails, a probe that is asked for later is answered") {
    int nth = 1;
    while (const auto w = broken_off(nth)) {
        INFO("allocation " << nth++);
        REQUIRE(w->probe_passes("b1"));
    }
    CHECK(nth > 50);
}

TEST_CASE("whichever allocation fails, checks and scrapes go on by themselves when a second has passed") {
    std::vector<std::unique_ptr<Watched>> all;
    while (auto w = broken_off(static_cast<int>(all.size()) + 1)) all.push_back(std::move(w));
    CHECK(all.size() > 50);
    const auto patience = std::chrono::steady_clock::now() + 20s;
    while (!all.empty() && std::chrono::steady_clock::now() < patience) {
        std::erase_if(all, [](const auto& w) {
            w->turn(1ms);
            return w->goes_on();
        });
    }
    CHECK(all.empty());
}

TEST_CASE("a round that cannot be posted is not taken for one that is") {
    Watched w;
    REQUIRE(w.probe_passes("b0"));
    failing_aligned = 1;  // of the strand
    CHECK_THROWS_AS(w.health.probe_now("b1", [](std::error_code, const ProbeReport&) {}), std::bad_alloc);
    CHECK(failing_aligned == 0);
    CHECK(w.probe_passes("b1"));
}

}  // namespace

#endif
