// select + report, against what the machine and the least possible work cost.
#include <benchmark/benchmark.h>

#include <fairlead/fairlead.hpp>

#include "benchmark/floor.hpp"
#include "support/fleet.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

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

/// The CPUs that the process may run on, as it was started.
std::vector<std::size_t> cpus() {
    std::vector<std::size_t> all;
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return all;
    for (std::size_t i = 0; i < CPU_SETSIZE; ++i) {
        if (CPU_ISSET(i, &set)) all.push_back(i);
    }
#endif
    return all;
}

/// Keeps the running thread on one CPU, so that nothing moves while it is measured.
void pin([[maybe_unused]] int thread) {
#ifdef __linux__
    static const std::vector<std::size_t> all = cpus();
    if (all.empty()) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(all[static_cast<std::size_t>(thread) % all.size()], &set);
    sched_setaffinity(0, sizeof set, &set);
#endif
}

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
BENCHMARK(floor_of)->Name("floor")->Arg(1)->Arg(3)->Arg(100)->Arg(1000)->Arg(10'000);

// Two threads: on the same backends, and each on its own. The mark is what the second thread brings, against
// what it brings to the floor; so each stands here for one thread too.
std::unique_ptr<Floor> common_floor;
void floor_threads(benchmark::State& state, std::uint32_t apart) {
    pin(state.thread_index());
    Floor::Lane lane{0, static_cast<std::uint32_t>(state.thread_index()) * apart};
    for (auto _ : state) common_floor->request(lane);
    pin(0);
}

std::vector<std::unique_ptr<Floor>> own_floors;
void floor_own(benchmark::State& state) {
    pin(state.thread_index());
    Floor::Lane lane;
    for (auto _ : state) own_floors[static_cast<std::size_t>(state.thread_index())]->request(lane);
    pin(0);
}

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

std::unique_ptr<Bench<RoundRobin>> common_balancer;
void threads(benchmark::State& state, bool own) {
    pin(state.thread_index());
    const Criteria criteria{.model = !own ? "" : state.thread_index() == 0 ? "even" : "odd"};
    for (auto _ : state) request(*common_balancer, criteria);
    pin(0);
}

void hash_key(benchmark::State& state) {
    std::string_view key = "conversation";
    for (auto _ : state) {
        benchmark::DoNotOptimize(key);
        benchmark::DoNotOptimize(detail::stable_hash(key));
    }
}

/// 64 backends of 31,250 blocks, all full, and prompts of 256 blocks (16 KiB): each fourth one is held by
/// somebody, whole. Many more than any cache of the processor holds.
struct Conversations {
    static constexpr std::size_t backends = 64;
    static constexpr std::size_t blocks = 256;
    static constexpr std::uint64_t talks = backends * 31'250 / blocks;

    detail::BlockCache cache{std::size_t{128} * 1024 * 1024};
    std::vector<std::uint64_t> prompt = std::vector<std::uint64_t>(blocks);
    Rng rng{1};

    Conversations() {
        for (BackendId id = 0; id < backends; ++id) cache.hold(id, 31'250, 31'250);
        for (std::uint64_t talk = 0; talk < talks; ++talk) cache.note(owner(talk), of(talk));
    }
    static BackendId owner(std::uint64_t talk) noexcept { return static_cast<BackendId>(talk % backends); }
    const std::vector<std::uint64_t>& of(std::uint64_t talk) noexcept {
        for (std::size_t i = 0; i < blocks; ++i) prompt[i] = Rng::mix(talk * blocks + i);
        return prompt;
    }
};

/// What making up the prompt costs, to be taken off.
void prefix_prompt(benchmark::State& state) {
    Conversations all;
    for (auto _ : state) benchmark::DoNotOptimize(all.of(all.rng() % Conversations::talks).data());
}

void prefix_look_up(benchmark::State& state) {
    Conversations all;
    std::array<std::uint32_t, 64> held{};
    for (auto _ : state) {
        all.cache.look_up(all.of(all.rng() % Conversations::talks), 0, ~std::uint64_t{0}, held);
        benchmark::DoNotOptimize(held);
    }
}

/// Of `known` in four prompts all blocks are held; the others are new, and take the place of what is oldest.
void prefix_look_up_and_note(benchmark::State& state) {
    Conversations all;
    std::array<std::uint32_t, 64> held{};
    std::uint64_t next = Conversations::talks;
    const auto known = static_cast<std::uint64_t>(state.range(0));
    for (auto _ : state) {
        const std::uint64_t talk = all.rng() % 4 < known ? all.rng() % Conversations::talks : next++;
        const auto& prompt = all.of(talk);
        all.cache.look_up(prompt, 0, ~std::uint64_t{0}, held);
        benchmark::DoNotOptimize(held);
        all.cache.note(Conversations::owner(talk), prompt);
    }
}

/// As `load_settings` makes the balancer of this mode.
void single_backend(benchmark::State& state) {
    Settings settings;
    settings.mode = Mode::single_backend;
    settings.backends = backends(1, true);
    settings.backends.front().max_connections = max_connections_limit;
    not_balanced(settings.options);
    Bench<AnyStrategy> balancer{settings};
    for (auto _ : state) {
        Lease lease = balancer.select();
        balancer.report(std::move(lease), Outcome::success);
    }
}

/// `pending`: while something is to fall due, here one ejected backend's return.
void refused(benchmark::State& state, bool pending) {
    auto all = backends(static_cast<std::size_t>(state.range(0)), true);
    for (auto& each : all) each.max_connections = 1;
    Bench<LeastConnections> balancer{all, seeded()};
    std::vector<Lease> leases;
    for (std::size_t i = 0; i < all.size(); ++i) leases.push_back(balancer.select());
    if (pending) {
        for (int i = 0; i < 3; ++i) {
            balancer.report(std::move(leases.back()), Outcome::server_error);
            leases.back() = balancer.select();
        }
    }
    for (auto _ : state) {
        Lease lease = balancer.select();
        benchmark::DoNotOptimize(lease);
    }
}

/// One change of the fleet after which every table is another: a weight.
template <class S>
void publish(benchmark::State& state, S strategy) {
    Bench<S> balancer{backends(static_cast<std::size_t>(state.range(0)), false), seeded(), NoTransport{},
                      strategy};
    for (auto _ : state) {
        balancer.update("b0", [](BackendConfig& config) { config.weight = 1 + config.weight % 7; });
    }
}

template <class S>
void add(const char* name, S strategy, std::initializer_list<std::int64_t> sizes, bool equal = true) {
    auto* made = benchmark::RegisterBenchmark(
        name, [strategy, equal](benchmark::State& state) { select_report<S>(state, strategy, equal); });
    for (const auto size : sizes) made->Arg(size);
}

template <class S>
void add_publish(const std::string& name, S strategy = {}) {
    benchmark::RegisterBenchmark(("publish_" + name).c_str(),
                                 [strategy](benchmark::State& state) { publish<S>(state, strategy); })
        ->Arg(1000)
        ->Arg(10'000)
        ->Unit(benchmark::kMillisecond);
}

template <class Body>
void add_threads(const char* name, Body body) {
    benchmark::RegisterBenchmark(name, body)
        ->Setup([](const benchmark::State&) {
            common_floor = std::make_unique<Floor>(8);
            for (int i = 0; i < 2; ++i) own_floors.push_back(std::make_unique<Floor>(8));
            auto fleet = backends(8, true);
            for (std::size_t i = 0; i < 8; ++i) fleet[i].model_name = i % 2 == 0 ? "even" : "odd";
            common_balancer = std::make_unique<Bench<RoundRobin>>(std::move(fleet), seeded());
        })
        ->Teardown([](const benchmark::State&) {
            common_floor.reset();
            own_floors.clear();
            common_balancer.reset();
        })
        ->Threads(1)
        ->Threads(2);
}

void register_all() {
    add("round_robin", RoundRobin{}, {3, 100, 1000, 10'000});
    add("weighted_round_robin", WeightedRoundRobin{}, {3, 100, 1000, 10'000}, false);
    add("random", Random{}, {3, 100, 1000, 10'000});
    add("weighted_random", WeightedRandom{}, {3, 100, 1000, 10'000}, false);
    benchmark::RegisterBenchmark("hash_key", hash_key);
    add("consistent_hash", ConsistentHash{}, {3, 100, 1000, 10'000});
    add("least_connections", LeastConnections{}, {16, 64, 100, 1000, 10'000});
    add("least_connections_weighted", LeastConnections{}, {100, 1000, 10'000}, false);
    add("response_time", ResponseTime{}, {16, 64, 100, 1000, 10'000});
    add("response_time_weighted", ResponseTime{}, {100, 1000, 10'000}, false);
    add("least_tokens", LeastTokens{}, {16, 64, 100, 1000, 10'000});
    for (std::size_t i = 0; i < AnyStrategy::count; ++i) {
        const AnyStrategy strategy{static_cast<StrategyKind>(i)};
        add(("any_" + std::string{strategy.current_name()}).c_str(), strategy, {100});
    }
    benchmark::RegisterBenchmark("round_robin_by_model_and_tag", [](benchmark::State& state) {
        by_model<RoundRobin>(state, {});
    })->Arg(100);
    benchmark::RegisterBenchmark("single_backend", single_backend);
    add("prefix_affinity", PrefixAffinity{}, {16, 64, 100, 1000, 10'000});
    benchmark::RegisterBenchmark("prefix_prompt", prefix_prompt);
    benchmark::RegisterBenchmark("prefix_look_up", prefix_look_up);
    benchmark::RegisterBenchmark("prefix_look_up_and_note", prefix_look_up_and_note)->Arg(0)->Arg(3)->Arg(4);
    add_threads("floor_shared", [](benchmark::State& state) { floor_threads(state, 4); });
    add_threads("round_robin_shared", [](benchmark::State& state) { threads(state, false); });
    add_threads("floor_own", floor_own);
    add_threads("round_robin_own", [](benchmark::State& state) { threads(state, true); });
    benchmark::RegisterBenchmark("refused", refused, false)->Arg(10)->Arg(1000)->Arg(10'000);
    benchmark::RegisterBenchmark("refused_pending", refused, true)->Arg(10)->Arg(1000)->Arg(10'000);
    add_publish<RoundRobin>("round_robin");
    add_publish<WeightedRoundRobin>("weighted_round_robin");
    add_publish<WeightedRandom>("weighted_random");
    add_publish<ConsistentHash>("consistent_hash");
    add_publish<LeastConnections>("least_connections");
    add_publish<ResponseTime>("response_time");
}

}  // namespace

int main(int argc, char** argv) {
    pin(0);
    register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
