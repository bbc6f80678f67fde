// Traffic on several threads while another changes everything: run under TSan and ASan.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <fairlead/fairlead.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// Requests of each sender, at least; the changes go on until the last has sent them, so that the machine's
/// scheduling is no part of the test. FAIRLEAD_STRESS makes it longer.
std::uint64_t requests_a_sender() {
    const char* factor = std::getenv("FAIRLEAD_STRESS");
    return 5000 * static_cast<std::uint64_t>(factor != nullptr ? std::max(1, std::atoi(factor)) : 1);
}

TEST_CASE("nothing is lost while four threads send and one changes the fleet and the strategy") {
    constexpr std::uint32_t limit = 3;
    constexpr std::size_t backends = 6;
    auto configs = fleet(backends, limit);
    for (std::size_t i = 0; i < backends; ++i) configs[i].model_name = i % 2 == 0 ? "even" : "odd";
    Options options;
    options.seed = 5;
    Balancer<AnyStrategy> balancer{configs, options};
    std::atomic<std::uint64_t> events{0};
    balancer.on_event([&](const Event&) { events.fetch_add(1, std::memory_order_relaxed); });

    // What the test itself counts as held, by name: must never exceed the limit. `b0`..`b5` keep their
    // limits.
    std::array<std::atomic<std::uint32_t>, backends + 1> held{};
    std::array<std::atomic<std::uint64_t>, backends + 1> sent{};
    std::array<std::atomic<std::uint64_t>, 4> sent_by{};  // each sender
    std::atomic<bool> exceeded{false};
    std::atomic<bool> stop{false};
    // The one that comes and goes has the last place.
    const auto index = [](const std::string& name) {
        return name.size() == 2 ? static_cast<std::size_t>(name[1] - '0') : backends;
    };

    const auto sender = [&](std::uint64_t seed) {
        Rng rng{seed};
        std::vector<Lease> mine;
        while (!stop.load(std::memory_order_relaxed)) {
            const Criteria criteria{.key = rng.below(2) == 0 ? "k1" : "k2",
                                    .model = rng.below(3) == 0 ? "even" : std::string_view{},
                                    .tokens = rng.below(4)};
            if (Lease lease = balancer.select(criteria)) {
                const auto who = index(lease->name);
                sent[who].fetch_add(1, std::memory_order_relaxed);
                sent_by[seed].fetch_add(1, std::memory_order_relaxed);
                if (held[who].fetch_add(1) + 1 > limit && who != backends) exceeded = true;
                if (rng.below(2) == 0) balancer.first_byte(lease);
                mine.push_back(std::move(lease));
            }
            while (!mine.empty() && (mine.size() > 3 || rng.below(2) == 0)) {
                Lease lease = std::move(mine.back());
                mine.pop_back();
                held[index(lease->name)].fetch_sub(1);
                switch (rng.below(8)) {
                    case 0:
                        lease = Lease{};
                        break;
                    case 1:
                        balancer.report(std::move(lease), Outcome::connect_error);
                        break;
                    case 2: {
                        Outcome busy = Outcome::rate_limited;
                        busy.retry_after = std::chrono::microseconds{50};
                        balancer.report(std::move(lease), busy);
                        break;
                    }
                    default:
                        balancer.report(std::move(lease), Outcome::success);
                }
            }
        }
        for (auto& lease : mine) {
            held[index(lease->name)].fetch_sub(1);
            balancer.report(std::move(lease), Outcome::success);
        }
    };

    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) threads.emplace_back(sender, i);

    Rng rng{99};
    const auto all_sent = [&, wanted = requests_a_sender()] {
        return std::all_of(sent_by.begin(), sent_by.end(),
                           [&](const auto& n) { return n.load(std::memory_order_relaxed) >= wanted; });
    };
    while (!all_sent()) {
        const std::string name = "b" + std::to_string(rng.below(backends));
        switch (rng.below(7)) {
            case 0:
                balancer.disable(name);
                balancer.enable(name);
                break;
            case 1:
                balancer.drain(name);
                balancer.enable(name);
                break;
            case 2:
                // Another model, another server, a lower limit (never above the one that is checked).
                balancer.update(name, [&](BackendConfig& config) {
                    config.weight = 1 + rng.below(9);
                    config.model_name = rng.below(2) == 0 ? "even" : "odd";
                    config.url = rng.below(4) == 0 ? "http://other" : config.url;
                    config.max_connections = 1 + rng.below(limit);
                });
                break;
            case 3:
                balancer.set_strategy(AnyStrategy{static_cast<StrategyKind>(rng.below(AnyStrategy::count))});
                break;
            case 4:
                balancer.probed(name, false);
                balancer.probed(name, true);
                break;
            case 5:
                // Another backend comes and goes: its leases outlive it.
                if (!balancer.add(
                        {.name = "b5x", .url = "http://h", .model_name = "odd", .max_connections = 1})) {
                    static_cast<void>(balancer.snapshot());
                    balancer.remove("b5x");
                }
                break;
            default:
                for (const auto& each : balancer.snapshot()) {
                    if (each.in_flight > limit) std::abort();
                }
        }
    }
    stop = true;
    for (auto& thread : threads) thread.join();

    CHECK_FALSE(exceeded.load());
    std::uint64_t all = 0;
    for (const auto& each : balancer.snapshot()) {
        CHECK(each.in_flight == 0);
        CHECK(each.tokens_in_flight == 0);
        CHECK(each.completed == sent[index(each.config.name)].load());
        all += each.completed;
    }
    CHECK(all > 0);
    CHECK(events.load() > 0);
}

TEST_CASE("every request is counted, and the limit holds at every instant, under contention for few places") {
    constexpr std::uint32_t limit = 2;
    Balancer<LeastConnections> balancer{fleet(2, limit)};
    std::array<std::atomic<std::uint32_t>, 2> held{};
    std::atomic<bool> exceeded{false};
    std::atomic<std::uint64_t> sent{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 20'000; ++i) {
                Lease lease = balancer.select();
                if (!lease) continue;
                const auto who = static_cast<std::size_t>(lease->name[1] - '0');
                if (held[who].fetch_add(1) + 1 > limit) exceeded = true;
                sent.fetch_add(1);
                held[who].fetch_sub(1);
                balancer.report(std::move(lease), Outcome::success);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK_FALSE(exceeded.load());
    std::uint64_t completed = 0;
    for (const auto& each : balancer.snapshot()) {
        CHECK(each.in_flight == 0);
        completed += each.completed;
    }
    CHECK(completed == sent.load());
}

TEST_CASE(
    "one backend without a limit is taken and given back exactly, while it is drained, enabled and changed") {
    Settings settings;
    settings.mode = Mode::single_backend;
    settings.backends = fleet(1, max_connections_limit);
    not_balanced(settings.options);
    Balancer<AnyStrategy> balancer{settings};
    std::array<std::atomic<std::uint64_t>, 3> sent{};
    std::atomic<std::int64_t> held{0};
    std::atomic<bool> stop{false};
    const auto sender = [&](std::size_t self) {
        while (!stop.load(std::memory_order_relaxed)) {
            Lease lease = balancer.select();
            if (!lease) continue;
            held.fetch_add(1);
            sent[self].fetch_add(1, std::memory_order_relaxed);
            held.fetch_sub(1);
            balancer.report(std::move(lease), Outcome::success);
        }
    };
    std::vector<std::thread> senders;
    for (std::size_t i = 0; i < sent.size(); ++i) senders.emplace_back(sender, i);
    const auto enough = [&] {
        return std::all_of(sent.begin(), sent.end(), [](const auto& n) { return n >= requests_a_sender(); });
    };
    std::uint32_t changes = 0;
    std::uint64_t picks = 0;
    while (!enough() || changes < 200) {
        std::atomic<bool> drained{false};
        REQUIRE_FALSE(balancer.drain("b0", [&](std::error_code) { drained = true; }));
        while (!drained) std::this_thread::yield();  // a place taken in vain must not keep it for ever
        CHECK(held == 0);
        REQUIRE_FALSE(balancer.enable("b0"));
        REQUIRE_FALSE(
            balancer.update("b0", [&](BackendConfig& config) { config.weight = 1 + ++changes % 7; }));
        const std::uint64_t now = balancer.totals().picks.at("round_robin");
        CHECK(now >= picks);
        picks = now;
    }
    stop = true;
    for (auto& thread : senders) thread.join();
    const auto figures = balancer.snapshot().front();
    CHECK(figures.in_flight == 0);
    CHECK(figures.completed == sent[0] + sent[1] + sent[2]);
    CHECK(balancer.totals().picks.at("round_robin") == figures.completed);
}

TEST_CASE("requests for more subsets than are kept are all served, on every thread") {
    auto backends = fleet(3);
    constexpr std::size_t n_tags = 8;
    for (std::size_t i = 0; i < n_tags; ++i) {
        for (auto& backend : backends) backend.tags.push_back("t" + std::to_string(i));
    }
    Options options;
    options.subset_limit = 16;  // of 255 that are asked for
    Balancer<> balancer{backends, options};
    std::atomic<std::uint64_t> refused{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            Rng rng{t};
            for (int i = 0; i < 2000; ++i) {
                std::vector<std::string_view> tags;
                const auto mask = 1 + rng.below(rng.below(2) == 0 ? 4 : 255);
                for (std::size_t k = 0; k < n_tags; ++k) {
                    if ((mask >> k & 1U) != 0) tags.push_back(backends[0].tags[k]);
                }
                if (one(balancer, Outcome::success, {.tags = tags}).empty()) refused.fetch_add(1);
                if (t == 0 && i % 50 == 0)
                    balancer.update("b0", [](BackendConfig& config) { config.weight = 3 - config.weight; });
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(refused.load() == 0);
}

TEST_CASE("a refusal is never final while places come free: no thread starves for ever") {
    // One place, four threads, each must get it 500 times. A lost "a place came free" would hang this test.
    Balancer<> balancer{fleet(1, 1)};
    std::vector<std::thread> threads;
    std::atomic<int> done{0};
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int got = 0; got < 500;) {
                if (Lease lease = balancer.select()) {
                    ++got;
                    balancer.report(std::move(lease), Outcome::success);
                } else {
                    std::this_thread::yield();
                }
            }
            done.fetch_add(1);
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(done.load() == 4);
}

TEST_CASE("threads that come and go, and balancers that die before them, need no care") {
    for (int round = 0; round < 20; ++round) {
        auto balancer = std::make_unique<Balancer<Random>>(fleet(3));
        std::vector<std::thread> threads;
        for (int t = 0; t < 12; ++t) threads.emplace_back([&] { one(*balancer); });
        for (auto& thread : threads) thread.join();
        std::uint64_t completed = 0;
        for (const auto& each : balancer->snapshot()) completed += each.completed;
        CHECK(completed == 12);
    }
}

}  // namespace
