// The rows of the cold path.
#include "benchmark/cold_path.hpp"

#include "benchmark/pinned.hpp"
#include "benchmark/repetitions.hpp"
#include "benchmark/subject.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
#include <malloc.h>
#define FAIRLEAD_MEMORY 1
#endif

namespace fairlead::benchmarks {
namespace {

std::size_t size_of(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }

/// From nothing to a balancer that serves, and down again.
void build(benchmark::State& state, const std::string& strategy) {
    const auto all = backends(size_of(state), false);
    for (auto _ : state) benchmark::DoNotOptimize(plain(strategy, all));
}

void publish(benchmark::State& state, const std::string& strategy) {
    const auto subject = plain(strategy, backends(size_of(state), false));
    for (auto _ : state) subject->change();
}

/// As many of the next: the change before each is not timed, and takes a thousand times as long.
constexpr std::int64_t changes = 100;

/// A thread's first request after a change of one backend, or of all: it takes the new snapshot, and
/// leaves the old one, which nobody else has, to the next change.
void first_after_change(benchmark::State& state, bool of_all) {
    const auto subject = plain("round_robin", backends(size_of(state), true));
    std::uint32_t weight = 1;
    for (auto _ : state) {
        state.PauseTiming();
        weight = weight % 1000 + 1;
        of_all ? subject->change_all(weight) : subject->change();
        state.ResumeTiming();
        subject->requests(1);
    }
}

#ifdef FAIRLEAD_MEMORY
/// What the strings take that stand outside of the config.
std::size_t taken_by_strings(const BackendConfig& config) {
    std::size_t bytes = 0;
    for (const std::string* text : {&config.name, &config.url, &config.model_name, &config.api_key}) {
        const auto at = reinterpret_cast<std::uintptr_t>(text->data());
        const auto own = reinterpret_cast<std::uintptr_t>(text);
        if (at >= own && at < own + sizeof *text) continue;
        bytes += malloc_usable_size(const_cast<char*>(text->data())) + sizeof(std::size_t);
    }
    return bytes;
}

/// What each further backend adds beside its strings, as the system's allocator counts it: its share of the
/// strategy's table and the allocator's own words included. A table that is mapped by itself
/// (prefix_affinity's) is not.
void memory(benchmark::State& state, const std::string& strategy) {
    const auto taken = [&](std::size_t n) {
        const auto all = backends(n, false);
        std::size_t strings = 0;
        for (const auto& config : all) strings += taken_by_strings(config);
        const std::size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
        const auto subject = plain(strategy, all);
        subject->requests(1);
        return mallinfo2().uordblks + mallinfo2().hblkhd - before - strings;
    };
    for (auto _ : state) {
        const std::size_t n = size_of(state);
        state.counters["bytes_a_backend"] =
            static_cast<double>(taken(n + 1) - taken(1)) / static_cast<double>(n);
    }
}
#endif

/// From the return of a change to the end of the first `select` by it, of the last of the threads that do
/// nothing but select: one for each CPU but this thread's. 0 where all saw it before the change returned.
void seen_by_all(benchmark::State& state) {
    using Clock = std::chrono::steady_clock;
    constexpr std::uint32_t end = 1000;
    struct alignas(128) Reader {
        std::atomic<std::uint32_t> seen{0};
        std::atomic<Clock::rep> at{0};
    };
    const auto subject = plain("round_robin", backends(size_of(state), true));
    std::vector<Reader> readers(std::max<std::size_t>(1, cpus().size() - 1));
    std::atomic<bool> ended{false};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < readers.size(); ++i) {
        threads.emplace_back([&, i] {
            pin(static_cast<int>(i) + 1);
            std::uint32_t last = 0;
            // Relaxed: the end may be seen later.
            while (!ended.load(std::memory_order_relaxed)) {
                Lease lease = subject->select({});
                if (!lease) continue;
                const std::uint32_t weight = lease->weight;
                if (weight != last) {
                    last = weight;
                    readers[i].at.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
                    readers[i].seen.store(weight, std::memory_order_release);  // pairs with the acquire below
                }
                subject->report(std::move(lease), Outcome::success);
            }
        });
    }
    std::uint32_t weight = 1;
    for (auto _ : state) {
        weight = weight % end + 1;
        subject->change_all(weight);
        const auto returned = Clock::now().time_since_epoch().count();
        Clock::rep last = 0;
        for (auto& reader : readers) {
            while (reader.seen.load(std::memory_order_acquire) != weight) {
            }
            last = std::max(last, reader.at.load(std::memory_order_relaxed) - returned);
        }
        state.SetIterationTime(std::chrono::duration<double>(Clock::duration{last}).count());
    }
    ended.store(true, std::memory_order_relaxed);
    for (auto& thread : threads) thread.join();
}

template <class Body, class What>
benchmark::internal::Benchmark* add(const char* name, Body body, const What& what, std::int64_t size) {
    auto* row = benchmark::RegisterBenchmark(name, body, what)->Arg(size);
    return size >= 1000 ? row->Repetitions(repetitions_in_memory) : row;
}

}  // namespace

void register_cold_path() {
    for (const auto& strategy : strategies()) {
        for (const std::int64_t size : {10, 100, 1000, 10'000}) {
            add(("build_" + strategy).c_str(), build, strategy, size)->Unit(benchmark::kMillisecond);
            add(("publish_" + strategy).c_str(), publish, strategy, size)->Unit(benchmark::kMillisecond);
        }
#ifdef FAIRLEAD_MEMORY
        benchmark::RegisterBenchmark(("memory_" + strategy).c_str(), memory, strategy)
            ->Arg(1000)
            ->Iterations(1)
            ->Unit(benchmark::kMillisecond);
#endif
    }
    for (const std::int64_t size : {10, 100, 1000, 10'000}) {
        add("first_after_change", first_after_change, false, size)->Iterations(changes);
        add("first_after_change_of_all", first_after_change, true, size)->Iterations(changes);
    }
    for (const std::int64_t size : {10, 1000}) {
        benchmark::RegisterBenchmark("seen_by_all", seen_by_all)->Arg(size)->Iterations(50)->UseManualTime();
    }
}

}  // namespace fairlead::benchmarks
