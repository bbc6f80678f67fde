// select + report, against what the machine and the least possible work cost.
#include <benchmark/benchmark.h>

#include <fairlead/fairlead.hpp>

#include "benchmark/cold_path.hpp"
#include "benchmark/counted.hpp"
#include "benchmark/floor.hpp"
#include "benchmark/pinned.hpp"
#include "benchmark/prefix.hpp"
#include "benchmark/subject.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

using namespace fairlead;
using namespace fairlead::benchmarks;

constexpr std::int64_t sizes[] = {1, 3, 16, 64, 100, 1000, 10'000};
constexpr std::int64_t sizes_of_threads[] = {1, 3, 16, 100, 1000, 10'000};
constexpr std::size_t batch = 64;  // requests to a call: what the call itself costs is then nothing

bool is_equal(std::string_view strategy) { return !strategy.starts_with("weighted_"); }

// --- references --------------------------------------------------------------------------------------------

void fetch_add(benchmark::State& state) {
    std::atomic<std::uint64_t> word{0};
    for (auto _ : state) benchmark::DoNotOptimize(word.fetch_add(1, std::memory_order_relaxed));
}
BENCHMARK(fetch_add);

template <class Clock>
void read_clock(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(Clock::now());
}
BENCHMARK(read_clock<std::chrono::steady_clock>)->Name("steady_clock");
BENCHMARK(read_clock<CoarseClock>)->Name("coarse_clock");
BENCHMARK(read_clock<TscClock>)->Name("tsc_clock");

void version_check(benchmark::State& state) {
    std::atomic<std::uint64_t> version{1};
    static thread_local std::uint64_t seen = 1;
    for (auto _ : state) {
        benchmark::DoNotOptimize(version);
        benchmark::DoNotOptimize(version.load(std::memory_order_acquire) == seen);
    }
}
BENCHMARK(version_check);

void hash_key(benchmark::State& state) {
    std::string_view key = "conversation";
    for (auto _ : state) {
        benchmark::DoNotOptimize(key);
        benchmark::DoNotOptimize(detail::stable_hash(key));
    }
}
BENCHMARK(hash_key);

// --- one thread, and two -----------------------------------------------------------------------------------

/// What one thread does: `n` requests. The argument is its number.
using Run = std::function<void(int thread, std::size_t n)>;

Run floor_of(std::size_t size) {
    struct alignas(128) Lane : Floor::Lane {};  // two threads' lanes share no line
    auto floor = std::make_shared<Floor>(size);
    auto lanes = std::make_shared<std::array<Lane, 2>>();
    (*lanes)[1].turn = static_cast<std::uint32_t>(size / 2);
    return [=](int thread, std::size_t n) {
        auto& lane = (*lanes)[static_cast<std::size_t>(thread)];
        for (std::size_t i = 0; i < n; ++i) floor->request(lane);
    };
}

/// Each thread on a floor of its own.
Run own_floors(std::size_t size) {
    return [all = std::array{floor_of(size), floor_of(size)}](int thread, std::size_t n) {
        all[static_cast<std::size_t>(thread)](0, n);
    };
}

Run requests_of(std::shared_ptr<Subject> subject) {
    return [subject](int, std::size_t n) { subject->requests(n); };
}

/// Each thread asks for a model of its own, which `size` backends have, and for a tag that all have.
Run requests_by_model(std::shared_ptr<Subject> subject) {
    return [subject](int thread, std::size_t n) {
        static constexpr std::string_view tags[] = {"gpu"};
        subject->requests(n, {.key = "conversation", .model = thread == 0 ? "even" : "odd", .tags = tags});
    };
}

Run by_model(const std::string& strategy, std::size_t size) {
    return requests_by_model(plain(strategy, two_models(2 * size, is_equal(strategy))));
}

/// What the threads of one row share: made by the first that comes, gone with the last.
class Common {
  public:
    explicit Common(std::function<Run()> make) : make_{std::move(make)} {}

    const Run& enter() {
        const std::lock_guard lock{mutex_};
        if (users_++ == 0) run_ = make_();
        return run_;
    }
    void leave() {
        const std::lock_guard lock{mutex_};
        if (--users_ == 0) run_ = {};
    }

  private:
    std::function<Run()> make_;
    std::mutex mutex_;
    int users_ = 0;
    Run run_;
};

/// One thread, unless `threads` says up to how many.
void add(const std::string& name, std::size_t size, std::function<Run()> make, int threads = 1) {
    auto common = std::make_shared<Common>(std::move(make));
    auto* made = benchmark::RegisterBenchmark(
        (name + "/" + std::to_string(size)).c_str(), [common](benchmark::State& state) {
            pin(state.thread_index());
            FreeClock::ticks = 0;  // threads' clocks agree, as real ones do
            const Run& run = common->enter();
            run(state.thread_index(), batch);  // a thread's first call, a subset's first use
            while (state.KeepRunningBatch(batch)) run(state.thread_index(), batch);
            common->leave();
            pin(0);
        });
    if (threads > 1) made->ThreadRange(1, threads);
}

void add_strategy(const std::string& strategy) {
    const bool equal = is_equal(strategy);
    for (const auto wanted : sizes) {
        const auto size = static_cast<std::size_t>(wanted);
        add(strategy, size, [=] { return requests_of(plain(strategy, backends(size, equal))); });
        const bool has_weights = strategy.starts_with("least_") || strategy == "response_time";
        if (has_weights && size >= 100) {
            add(strategy + "_weighted", size,
                [=] { return requests_of(plain(strategy, backends(size, false))); });
        }
    }
    for (const auto wanted : sizes_of_threads) {
        const auto size = static_cast<std::size_t>(wanted);
        add(
            strategy + "_shared", size, [=] { return requests_of(plain(strategy, backends(size, equal))); },
            2);
        add(
            strategy + "_own", size, [=] { return by_model(strategy, size); }, 2);
    }
    add(strategy + "_model_answer", 100, [=]() -> Run {
        const auto subject = std::shared_ptr{plain(strategy, backends(100, equal))};
        return [subject](int, std::size_t n) { subject->model_answers(n); };
    });
    add(strategy + "_by_model_and_tag", 100, [=] { return by_model(strategy, 100); });
    add("any_" + strategy, 100, [=] { return requests_of(any(strategy, backends(100, equal))); });
    add(strategy + "_untimed", 100, [=] {
        Options options = seeded();
        options.timing = false;
        return requests_of(plain(strategy, backends(100, equal), options));
    });
    for (const auto& [clock, kind] : clocks) {
        add(strategy + "_with_" + clock, 100,
            [=, kind = kind] { return requests_of(timed(strategy, kind, backends(100, equal))); });
    }
}

// --- the odd ones ------------------------------------------------------------------------------------------

void single_backend_alone(benchmark::State& state) {
    const auto subject = single_backend();
    while (state.KeepRunningBatch(batch)) subject->bare_requests(batch);
}

void refused(benchmark::State& state, bool pending) {
    Full full{static_cast<std::size_t>(state.range(0)), pending};
    while (state.KeepRunningBatch(batch)) full.subject().selects(batch);
}

void register_all() {
    for (const auto wanted : sizes) {
        const auto size = static_cast<std::size_t>(wanted);
        add("floor", size, [=] { return floor_of(size); });
    }
    for (const auto wanted : sizes_of_threads) {
        const auto size = static_cast<std::size_t>(wanted);
        add(
            "floor_shared", size, [=] { return floor_of(size); }, 2);
        add(
            "floor_own", size, [=] { return own_floors(size); }, 2);
    }
    for (const auto& strategy : strategies()) add_strategy(strategy);
    benchmark::RegisterBenchmark("single_backend", single_backend_alone);
    benchmark::RegisterBenchmark("refused", refused, false)->Arg(10)->Arg(1000)->Arg(10'000);
    benchmark::RegisterBenchmark("refused_pending", refused, true)->Arg(10)->Arg(1000)->Arg(10'000);
    register_cold_path();
}

/// glibc learns from the blocks that are freed which ones it maps by themselves. The rows run in shuffled
/// order: what a large snapshot costs depended on those that ran before it. Fixed where a server arrives
/// after its first changes.
void keep_freed_memory() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

}  // namespace

int main(int argc, char** argv) {
    pin(0);
    if (argc == 2 && std::string_view{argv[1]} == "--count-instructions") return count_instructions();
    if (argc == 2 && std::string_view{argv[1]} == "--distinct-prompts")
        return send_distinct_prompts(10'000'000);
    keep_freed_memory();
    register_all();
#ifdef __clang__
    benchmark::AddCustomContext("compiler", "clang++ " + std::to_string(__clang_major__));
#else
    benchmark::AddCustomContext("compiler", "g++ " + std::to_string(__GNUC__));
#endif
    benchmark::AddCustomContext("TscClock",
                                TscClock::is_used() ? "reads the counter" : "is steady_clock here");
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
