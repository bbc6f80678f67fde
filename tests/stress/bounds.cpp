// What each strategy promises holds on every thread while others pick from the same balancer.
#include "support/candidates.hpp"
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <fairlead/fairlead.hpp>

#include <algorithm>
#include <barrier>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

constexpr std::size_t thread_count = 4;

Options seeded() {
    Options options;
    options.seed = 7;
    return options;
}

std::size_t index_of(const std::string& name) { return static_cast<std::size_t>(std::stoi(name.substr(1))); }

/// Runs `body(thread)` on every thread at once.
template <class Body>
void on_threads(Body&& body) {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < thread_count; ++t) threads.emplace_back([&, t] { body(t); });
    for (auto& thread : threads) thread.join();
}

using Choices = std::vector<std::vector<std::size_t>>;

/// Each thread's choices, one after the other.
template <class S>
Choices picks_of(std::vector<BackendConfig> backends, std::size_t each, S strategy = {}) {
    Balancer<S> balancer{std::move(backends), seeded(), NoTransport{}, strategy};
    Choices picks(thread_count, std::vector<std::size_t>(each));
    on_threads([&](std::size_t t) {
        for (auto& pick : picks[t]) {
            Lease lease = balancer.select();
            pick = index_of(lease->name);
            balancer.report(std::move(lease), Outcome::success);
        }
    });
    return picks;
}

TEST_CASE("round_robin: any n consecutive picks of one thread visit each once, on every thread") {
    constexpr std::size_t n = 6;
    for (const auto& picks : picks_of<RoundRobin>(fleet(n), 3000)) {
        for (std::size_t i = n; i <= picks.size(); ++i) {
            const auto end = picks.begin() + static_cast<std::ptrdiff_t>(i);
            REQUIRE(std::set<std::size_t>(end - n, end).size() == n);
        }
    }
}

TEST_CASE("forty threads that live at once have a rotation each, and all their requests are counted") {
    // The places of the first sixteen stand together; those of others are made when they come.
    constexpr std::size_t n = 5;
    constexpr std::size_t threads = 40;
    Balancer<RoundRobin> balancer{fleet(n), seeded()};
    std::barrier all{static_cast<std::ptrdiff_t>(threads)};
    std::vector<std::set<std::string>> seen(threads);
    std::vector<std::thread> running;
    for (auto& mine : seen) {
        running.emplace_back([&] {
            balancer.report(balancer.select(), Outcome::success);
            all.arrive_and_wait();  // each has its number now, and keeps it
            for (std::size_t i = 0; i < n; ++i) {
                Lease lease = balancer.select();
                mine.insert(lease->name);
                balancer.report(std::move(lease), Outcome::success);
            }
            all.arrive_and_wait();
        });
    }
    for (auto& thread : running) thread.join();
    for (const auto& mine : seen) CHECK(mine.size() == n);
    std::uint64_t completed = 0;
    for (const auto& each : balancer.snapshot()) {
        CHECK(each.in_flight == 0);
        completed += each.completed;
    }
    CHECK(completed == threads * (n + 1));
}

TEST_CASE("weighted_round_robin: over any window a thread is less than 2 turns off, on every thread") {
    const std::vector<std::uint32_t> weights{5, 3, 1, 7};
    auto backends = fleet(weights.size());
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) sum += backends[i].weight = weights[i];
    for (const auto& picks : picks_of<WeightedRoundRobin>(backends, 3000)) {
        for (std::size_t who = 0; who < weights.size(); ++who) {
            // A window's deviation is the difference of two from the start.
            double off = 0;
            double least = 0;
            double most = 0;
            for (const std::size_t pick : picks) {
                off += (pick == who ? 1.0 : 0.0) - weights[who] / sum;
                least = std::min(least, off);
                most = std::max(most, off);
            }
            CHECK(most - least < 2.0);
        }
    }
}

template <class S>
void check_shares(bool by_weight) {
    const std::vector<std::uint32_t> weights{1, 2, 3, 4, 5, 6, 7, 8};
    auto backends = fleet(weights.size());
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        backends[i].weight = weights[i];
        sum += by_weight ? weights[i] : 1;
    }
    constexpr std::size_t each = 25'000;
    std::vector<std::uint64_t> counts(weights.size(), 0);
    for (const auto& picks : picks_of<S>(backends, each)) {
        for (const std::size_t pick : picks) ++counts[pick];
    }
    std::vector<double> expected;
    for (const auto weight : weights)
        expected.push_back(static_cast<double>(thread_count * each) * (by_weight ? weight : 1) / sum);
    CHECK(chi_square(expected, counts) < chi_square_limit(weights.size()));
}

TEST_CASE("random and weighted_random: all threads' picks together have the shares they should") {
    // Threads that do not overlap may share one generator, so the sums are no fixed numbers: the limit is at
    // 5.2 standard deviations, one run in 10^7.
    check_shares<Random>(false);
    check_shares<WeightedRandom>(true);
}

TEST_CASE("consistent_hash: a key has the same owner on every thread") {
    Balancer<ConsistentHash> balancer{fleet(5), seeded()};
    constexpr std::size_t keys = 500;
    std::vector<std::vector<std::string>> owners(thread_count);
    on_threads([&](std::size_t t) {
        for (std::size_t key = 0; key < keys; ++key)
            owners[t].push_back(one(balancer, Outcome::success, {.key = "key" + std::to_string(key)}));
    });
    for (const auto& each : owners) CHECK(each == owners.front());
    CHECK(std::set<std::string>(owners.front().begin(), owners.front().end()).size() == 5);
}

TEST_CASE("least_connections: leases that all threads hold are spread evenly") {
    // A pick that takes a backend from v to v + 1 saw it at no more than the least of all then. Of the
    // increments that lift one above the present least, all but the first were decided before the first was
    // made: by as many threads, each with one decision open. So no backend is ever further above the least
    // than there are threads. Chance alone would spread 800 leases on 8 by about 30.
    Balancer<LeastConnections> balancer{fleet(8, 1000), seeded()};
    std::vector<std::vector<Lease>> held(thread_count);
    on_threads([&](std::size_t t) {
        for (int i = 0; i < 200; ++i) held[t].push_back(balancer.select());
    });
    std::uint32_t least = 1000;
    std::uint32_t most = 0;
    for (const auto& each : balancer.snapshot()) {
        least = std::min(least, each.in_flight);
        most = std::max(most, each.in_flight);
    }
    CHECK(most - least <= thread_count);
}

}  // namespace
