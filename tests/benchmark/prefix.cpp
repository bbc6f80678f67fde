// What prefix_affinity remembers: to hash a prompt, to look up who holds it, to note where it went.
//
// Look-ups: 64 backends of 31,250 blocks, all full, and prompts of 256 blocks (16 KiB of text). That is 2
// million blocks, of which a look-up finds few in any cache of the processor.
#include <benchmark/benchmark.h>

#include <fairlead/fairlead.hpp>
#include <fairlead/model/prompt_hasher.hpp>

#include "benchmark/prefix.hpp"
#include "benchmark/repetitions.hpp"
#include "support/fleet.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace fairlead;
using benchmarks::repetitions_in_memory;

constexpr std::size_t backends = 64;
constexpr std::size_t capacity = 31'250;
constexpr std::size_t blocks = 256;

/// Conversations of 256 blocks, of which the first `common` are those of all; each is held by one backend,
/// the common ones by all. As many as fit.
class Conversations {
  public:
    explicit Conversations(std::size_t common = 0)
        : common_{common}, count_{(capacity - common) / (blocks - common) * backends} {
        for (BackendId id = 0; id < backends; ++id) cache.hold(id, capacity, capacity);
        for (std::uint64_t talk = 0; talk < count_; ++talk) {
            make(0, talk);
            cache.note(owner(talk), prompt(0));
        }
        next_ = count_;
    }

    static BackendId owner(std::uint64_t talk) noexcept { return static_cast<BackendId>(talk % backends); }

    /// Puts a batch of prompts where the processor has them near, as if they had just been hashed: of four,
    /// `known` are among those held, any of them, the others are new.
    void make_batch(std::uint32_t known) noexcept {
        for (std::size_t i = 0; i < batch; ++i) make(i, rng_.below(4) < known ? rng_() % count_ : next_++);
    }
    std::span<const std::uint64_t> prompt(std::size_t i) const noexcept {
        return {prompts_.data() + i * blocks, blocks};
    }
    BackendId owner_of_prompt(std::size_t i) const noexcept { return owner(talks_[i]); }

    static constexpr std::size_t batch = 64;
    detail::BlockCache cache{Options{}.prefix_memory};

  private:
    void make(std::size_t i, std::uint64_t talk) noexcept {
        talks_[i] = talk;
        for (std::size_t k = 0; k < blocks; ++k)
            prompts_[i * blocks + k] = Rng::mix((k < common_ ? 0 : talk + 1) * blocks + k);
    }

    std::size_t common_;
    std::uint64_t count_;
    std::uint64_t next_ = 0;
    Rng rng_{1};
    std::array<std::uint64_t, batch> talks_{};
    std::vector<std::uint64_t> prompts_ = std::vector<std::uint64_t>(batch * blocks);
};

/// Times `body(i)` for each prompt of a batch, and not what making the prompts up takes.
template <class Body>
void each_prompt(benchmark::State& state, Conversations& all, std::uint32_t known, Body body) {
    while (state.KeepRunningBatch(Conversations::batch)) {
        state.PauseTiming();
        all.make_batch(known);
        state.ResumeTiming();
        for (std::size_t i = 0; i < Conversations::batch; ++i) body(i);
    }
}

/// Made once, and never changed but for who was used lately.
Conversations& all_held() {
    static Conversations all;
    return all;
}

void look_up(benchmark::State& state, Conversations& all) {
    std::array<std::uint32_t, backends> held{};
    each_prompt(state, all, 4, [&](std::size_t i) {
        all.cache.look_up(all.prompt(i), 0, ~std::uint64_t{0}, held);
        benchmark::DoNotOptimize(held);
    });
}

/// Each of the backends holds another length of what is asked for: no block can be left out. As many prompts
/// as fit into the caches, and between two batches other look-ups, so that their lines are in no near cache.
void look_up_stairs(benchmark::State& state) {
    constexpr std::size_t prompts = 192;
    detail::BlockCache cache{Options{}.prefix_memory};
    for (BackendId id = 0; id < backends; ++id) cache.hold(id, capacity, capacity);
    std::vector<std::uint64_t> all(prompts * blocks);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = Rng::mix(i);
    const auto prompt = [&](std::size_t i) { return std::span{all}.subspan(i * blocks, blocks); };
    for (std::size_t i = 0; i < prompts; ++i) {
        for (BackendId id = 0; id < backends; ++id) cache.note(id, prompt(i).first(4 * id + 3));
    }
    Conversations& others = all_held();
    Rng rng{1};
    std::array<std::uint32_t, backends> held{};
    while (state.KeepRunningBatch(Conversations::batch)) {
        state.PauseTiming();
        for (int round = 0; round < 16; ++round) {
            others.make_batch(4);
            for (std::size_t i = 0; i < Conversations::batch; ++i)
                others.cache.look_up(others.prompt(i), 0, ~std::uint64_t{0}, held);
        }
        state.ResumeTiming();
        for (std::size_t i = 0; i < Conversations::batch; ++i) {
            cache.look_up(prompt(rng.below(prompts)), 0, ~std::uint64_t{0}, held);
            benchmark::DoNotOptimize(held);
        }
    }
}

void look_up_common(benchmark::State& state) {
    Conversations all{100};
    look_up(state, all);
}

void look_up_and_note(benchmark::State& state, Conversations& all, std::uint32_t known) {
    std::array<std::uint32_t, backends> held{};
    each_prompt(state, all, known, [&](std::size_t i) {
        all.cache.look_up(all.prompt(i), 0, ~std::uint64_t{0}, held);
        benchmark::DoNotOptimize(held);
        all.cache.note(all.owner_of_prompt(i), all.prompt(i));
    });
}

/// A chat's request of so many bytes of text, as a gateway feeds it.
void hash_prompt(benchmark::State& state, std::size_t bytes) {
    const std::string text(bytes, 'x');
    std::array<std::uint64_t, 1024> hashes{};
    for (auto _ : state) {
        PromptHasher hasher{hashes, {.model = "model"}};
        hasher.message("user");
        hasher.text(text);
        benchmark::DoNotOptimize(hasher.blocks().data());
        benchmark::DoNotOptimize(hasher.owner());
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
}

void look_up_held(benchmark::State& state) { look_up(state, all_held()); }
void look_up_and_note_held(benchmark::State& state) { look_up_and_note(state, all_held(), 4); }
void look_up_and_note_new(benchmark::State& state, std::uint32_t known) {
    static Conversations all;
    look_up_and_note(state, all, known);
}
void hash_16_kib(benchmark::State& state) { hash_prompt(state, 16'384); }

BENCHMARK(look_up_held)->Name("prefix_lookup/64x31250/256")->Repetitions(repetitions_in_memory);
BENCHMARK(look_up_common)->Name("prefix_lookup_common/64x31250/256")->Repetitions(repetitions_in_memory);
BENCHMARK(look_up_stairs)->Name("prefix_lookup_stairs/64x31250/256")->Repetitions(repetitions_in_memory);
BENCHMARK(look_up_and_note_held)
    ->Name("prefix_lookup_and_note_known/64x31250/256")
    ->Repetitions(repetitions_in_memory);
BENCHMARK_CAPTURE(look_up_and_note_new, mixed, 3)
    ->Name("prefix_lookup_and_note/64x31250/256")
    ->Repetitions(repetitions_in_memory);
BENCHMARK_CAPTURE(look_up_and_note_new, all_new, 0)
    ->Name("prefix_lookup_and_note_new/64x31250/256")
    ->Repetitions(repetitions_in_memory);
BENCHMARK(hash_16_kib)->Name("prompt_hasher/16KiB");

/// Bytes of the process that lie in memory; 0 where the system does not say.
std::size_t resident() {
    std::ifstream file{"/proc/self/statm"};
    std::size_t pages = 0;
    file >> pages >> pages;
    return pages * 4096;
}

}  // namespace

int fairlead::benchmarks::send_distinct_prompts(std::uint64_t count) {
    Balancer<PrefixAffinity> balancer{test::fleet(backends)};
    std::array<std::uint64_t, blocks> prompt{};
    std::uint64_t told = 1;
    for (std::uint64_t i = 0;; ++i) {
        if (i == told || i == count) {
            std::printf("%llu prompts of %zu blocks: %.1f MiB in memory\n",
                        static_cast<unsigned long long>(i), blocks,
                        static_cast<double>(resident()) / (1 << 20));
            told *= 10;
            if (i == count) return 0;
        }
        for (std::size_t k = 0; k < blocks; ++k) prompt[k] = Rng::mix(i * blocks + k);
        Lease lease = balancer.select({.tokens = 16 * blocks, .prefix = prompt});
        balancer.first_byte(lease);
        balancer.report(std::move(lease), Outcome::success);
    }
}
