// `select` and `report` allocate nothing in the steady state: counted by replacing global `new`.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <fairlead/fairlead.hpp>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> freed{0};

void give_back(void* memory) noexcept {
    if (memory != nullptr) freed.fetch_add(1, std::memory_order_relaxed);
    std::free(memory);
}
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const auto align = static_cast<std::size_t>(alignment);
    if (void* memory = std::aligned_alloc(align, (size + align - 1) / align * align)) return memory;
    throw std::bad_alloc{};
}
// Those that do not throw, too: a sanitizer's runtime brings its own, which would not match our `delete`.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    allocations.fetch_add(1, std::memory_order_relaxed);
    return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const auto align = static_cast<std::size_t>(alignment);
    return std::aligned_alloc(align, (size + align - 1) / align * align);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { give_back(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    give_back(memory);
}
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
    give_back(memory);
}

namespace {

using namespace fairlead;
using namespace fairlead::test;

std::vector<BackendConfig> varied(std::size_t n) {
    auto backends = fleet(n);
    for (std::size_t i = 0; i < n; ++i) {
        backends[i].model_name = i % 2 == 0 ? "even" : "odd";
        backends[i].weight = static_cast<std::uint32_t>(1 + i % 5);
        backends[i].tags = {"gpu"};
    }
    return backends;
}

/// Requests of every kind that succeed; with and without key, model, tags, exclusion, tokens and first byte.
template <class Balancer>
void traffic(Balancer& balancer, int rounds) {
    static constexpr std::string_view tags[] = {"gpu"};
    static constexpr std::string_view excluded[] = {"b1", "b2"};
    const Criteria kinds[] = {{},
                              {.key = "a conversation's name"},
                              {.model = "even", .tokens = 100},
                              {.model = "odd", .tags = tags},
                              {.exclude = excluded}};
    for (int i = 0; i < rounds; ++i) {
        for (const auto& criteria : kinds) {
            Lease lease = balancer.select(criteria);
            if (!lease) std::abort();
            balancer.first_byte(lease);
            Outcome outcome = Outcome::success;
            outcome.completion_tokens = 20;
            balancer.report(std::move(lease), outcome);
        }
    }
}

template <class S>
void check(S strategy = {}) {
    for (const std::size_t n : {std::size_t{5}, std::size_t{200}}) {
        Balancer<S> balancer{varied(n), Options{}, NoTransport{}, strategy};
        traffic(balancer, 2);  // the thread's first call, the subsets' first use
        const std::size_t before = allocations.load();
        traffic(balancer, 2000);
        CHECK(allocations.load() == before);

        // The exceptions have a count of their own: after a change, the first calls may allocate, and then
        // none.
        REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.weight += 1; }));
        traffic(balancer, 2);
        const std::size_t after = allocations.load();
        traffic(balancer, 100);
        CHECK(allocations.load() == after);
    }
}

TEST_CASE("select and report allocate nothing, whatever the strategy") {
    check<RoundRobin>();
    check<WeightedRoundRobin>();
    check<LeastConnections>();
    check<LeastTokens>();
    check<Random>();
    check<WeightedRandom>();
    check<ConsistentHash>();
    check<ResponseTime>();
    for (std::size_t i = 0; i < AnyStrategy::count; ++i) check(AnyStrategy{static_cast<StrategyKind>(i)});
}

TEST_CASE("a refusal allocates nothing") {
    Balancer<LeastConnections> balancer{fleet(100, 1)};
    std::vector<Lease> leases;
    for (int i = 0; i < 100; ++i) leases.push_back(balancer.select());
    static_cast<void>(balancer.select());
    const std::size_t before = allocations.load();
    for (int i = 0; i < 1000; ++i) {
        if (balancer.select()) std::abort();
    }
    CHECK(allocations.load() == before);
}

TEST_CASE("failures that change no state allocate nothing") {
    Options options;
    options.ejection = false;
    Balancer<RoundRobin> balancer{varied(5), options};
    traffic(balancer, 2);
    one(balancer, Outcome::server_error);
    const std::size_t before = allocations.load();
    for (int i = 0; i < 1000; ++i) {
        Lease lease = balancer.select();
        balancer.report(std::move(lease), i % 3 == 0 ? Outcome::timeout : Outcome::client_error);
    }
    CHECK(allocations.load() == before);
}

TEST_CASE("what callers ask for does not stay in memory: subsets and unknown models are bounded") {
    auto backends = fleet(2);
    for (int i = 0; i < 13; ++i) backends[0].tags.push_back("tag-" + std::to_string(i));
    backends[1].model_name = "m";
    Options options;
    options.subset_limit = 32;
    Balancer<RoundRobin> balancer{backends, options};
    const auto alive = [] { return allocations.load() - freed.load(); };
    const std::size_t before = alive();
    std::size_t most = 0;
    for (unsigned mask = 1; mask < 1U << 13; ++mask) {
        std::vector<std::string_view> tags;
        for (unsigned i = 0; i < 13; ++i) {
            if ((mask >> i & 1U) != 0) tags.push_back(backends[0].tags[i]);
        }
        one(balancer, Outcome::success, {.tags = tags});
        const std::string model = "nobody's model " + std::to_string(mask);
        one(balancer, Outcome::success, {.model = model});
        most = std::max(most, alive() - before);
    }
    // Kept: 4,096 places of rotations at two blocks each, and twice 32 subsets (two snapshots) of some 20. Of
    // 16,382 subsets asked for even three blocks each would be 49,146.
    CHECK(most < 4096 * 2 + 64 * 20 + 500);
}

}  // namespace
