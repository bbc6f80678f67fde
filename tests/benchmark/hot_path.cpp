// select + report, against what the machine and the least possible work cost.
#include <benchmark/benchmark.h>

#include <fairlead/fairlead.hpp>

#include "benchmark/floor.hpp"
#include "support/fleet.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace {

using namespace fairlead;
using benchmarks::Floor;

/// Time that moves by itself and costs nothing: the clock's own cost is measured apart.
struct FreeClock {
    static Time now() noexcept {
        static thread_local std::int64_t ticks = 0;
        return Time{Duration{ticks += 100}};
    }
};

template <class S>
using Bench = Balancer<S, NoTransport, FreeClock>;

std::vector<BackendConfig> backends(std::size_t n, bool equal) {
    auto all = test::fleet(n, 1000);
    for (std::size_t i = 0; i < n && !equal; ++i) all[i].weight = static_cast<std::uint32_t>(1 + i % 7);
    return all;
}

Options seeded() {
    Options options;
    options.seed = 1;
    return options;
}

void fetch_add(benchmark::State& state) {
    std::atomic<std::uint64_t> word{0};
    for (auto _ : state) benchmark::DoNotOptimize(word.fetch_add(1, std::memory_order_relaxed));
}
BENCHMARK(fetch_add);

void steady_clock(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(std::chrono::steady_clock::now());
}
BENCHMARK(steady_clock);

void version_check(benchmark::State& state) {
    std::atomic<std::uint64_t> version{1};
    static thread_local std::uint64_t seen = 1;
    for (auto _ : state) {
        benchmark::DoNotOptimize(version);
        benchmark::DoNotOptimize(version.load(std::memory_order_acquire) == seen);
    }
}
BENCHMARK(version_check);

void floor_of(benchmark::State& state) {
    Floor floor{static_cast<std::size_t>(state.range(0))};
    Floor::Lane lane;
    for (auto _ : state) floor.request(lane);
}
BENCHMARK(floor_of)->Name("floor")->Arg(3)->Arg(100)->Arg(1000)->Arg(10'000);

std::unique_ptr<Floor> shared_floor;
void floor_threads(benchmark::State& state) {
    Floor::Lane lane{0, static_cast<std::uint32_t>(state.thread_index()) * 4};
    for (auto _ : state) shared_floor->request(lane);
}
BENCHMARK(floor_threads)
    ->Name("floor_shared")
    ->Setup([](const benchmark::State&) { shared_floor = std::make_unique<Floor>(8); })
    ->Teardown([](const benchmark::State&) { shared_floor.reset(); })
    ->Threads(2);

template <class S>
void request(Bench<S>& balancer, const Criteria& criteria) noexcept {
    Lease lease = balancer.select(criteria);
    balancer.report(std::move(lease), Outcome::success);
}

template <class S>
void select_report(benchmark::State& state, S strategy, bool equal) {
    Bench<S> balancer{backends(static_cast<std::size_t>(state.range(0)), equal), seeded(), NoTransport{},
                      strategy};
    const Criteria criteria{.key = "conversation"};
    for (auto _ : state) request(balancer, criteria);
}

template <class S>
void by_model(benchmark::State& state, S strategy) {
    auto all = backends(static_cast<std::size_t>(state.range(0)), true);
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i].model_name = i % 2 == 0 ? "even" : "odd";
        all[i].tags = {"gpu"};
    }
    Bench<S> balancer{all, seeded(), NoTransport{}, strategy};
    const std::string_view tags[] = {"gpu"};
    const Criteria criteria{.model = "even", .tags = tags};
    for (auto _ : state) request(balancer, criteria);
}

std::unique_ptr<Bench<RoundRobin>> shared_balancer;
void threads(benchmark::State& state) {
    for (auto _ : state) request(*shared_balancer, {});
}
BENCHMARK(threads)
    ->Name("round_robin_shared")
    ->Setup([](const benchmark::State&) {
        shared_balancer = std::make_unique<Bench<RoundRobin>>(backends(8, true), seeded());
    })
    ->Teardown([](const benchmark::State&) { shared_balancer.reset(); })
    ->Threads(2);

void single_backend(benchmark::State& state) {
    Options options = seeded();
    options.ejection = false;
    options.health_check = false;
    options.max_retries = 0;
    options.timing = false;
    Bench<RoundRobin> balancer{backends(1, true), options};
    for (auto _ : state) request(balancer, {});
}
BENCHMARK(single_backend);

void refused(benchmark::State& state) {
    auto all = backends(static_cast<std::size_t>(state.range(0)), true);
    for (auto& each : all) each.max_connections = 1;
    Bench<LeastConnections> balancer{all, seeded()};
    std::vector<Lease> leases;
    for (std::size_t i = 0; i < all.size(); ++i) leases.push_back(balancer.select());
    for (auto _ : state) {
        Lease lease = balancer.select();
        benchmark::DoNotOptimize(lease);
    }
}
BENCHMARK(refused)->Arg(10)->Arg(1000)->Arg(10'000);

template <class S>
void publish(benchmark::State& state, S strategy) {
    Bench<S> balancer{backends(static_cast<std::size_t>(state.range(0)), false), seeded(), NoTransport{},
                      strategy};
    bool down = false;
    for (auto _ : state) balancer.probed("b0", down = !down);
    state.SetLabel("one change of the fleet");
}

template <class S>
void add(const char* name, S strategy, std::initializer_list<std::int64_t> sizes, bool equal = true) {
    auto* made = benchmark::RegisterBenchmark(
        name, [strategy, equal](benchmark::State& state) { select_report<S>(state, strategy, equal); });
    for (const auto size : sizes) made->Arg(size);
}

void register_all() {
    add("round_robin", RoundRobin{}, {3, 100, 1000, 10'000});
    add("weighted_round_robin", WeightedRoundRobin{}, {3, 100, 1000, 10'000}, false);
    add("random", Random{}, {3, 100, 1000, 10'000});
    add("weighted_random", WeightedRandom{}, {3, 100, 1000, 10'000}, false);
    add("consistent_hash", ConsistentHash{}, {3, 100, 1000});
    add("least_connections", LeastConnections{}, {16, 64, 100, 1000});
    add("least_connections_weighted", LeastConnections{}, {100, 1000}, false);
    add("response_time", ResponseTime{}, {16, 64, 100, 1000});
    add("response_time_weighted", ResponseTime{}, {100, 1000}, false);
    add("least_tokens", LeastTokens{}, {16, 64, 100, 1000});
    add("any_round_robin", AnyStrategy{RoundRobin{}}, {3, 100, 1000});
    benchmark::RegisterBenchmark("round_robin_by_model_and_tag", [](benchmark::State& state) {
        by_model<RoundRobin>(state, {});
    })->Arg(100);
    benchmark::RegisterBenchmark("publish_round_robin",
                                 [](benchmark::State& s) { publish<RoundRobin>(s, {}); })
        ->Arg(1000)
        ->Arg(10'000)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("publish_weighted_round_robin",
                                 [](benchmark::State& s) { publish<WeightedRoundRobin>(s, {}); })
        ->Arg(1000)
        ->Arg(10'000)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("publish_consistent_hash",
                                 [](benchmark::State& s) { publish<ConsistentHash>(s, {}); })
        ->Arg(1000)
        ->Arg(10'000)
        ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
    register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
