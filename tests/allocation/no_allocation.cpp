// `select` and `report` allocate nothing and take no lock in the steady state: counted by replacing global
// `new` and the system's ways to take a lock.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/sanitizers.hpp"

#include <fairlead/fairlead.hpp>

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

// A sanitizer must see the locks itself: under one they are not counted.
#define FAIRLEAD_COUNTS_LOCKS (1 - FAIRLEAD_UNDER_SANITIZER)

namespace {
std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> freed{0};
std::atomic<std::size_t> locks{0};
std::atomic<std::size_t> bytes{0};  // allocated now, as the system counts them

void* counted(void* memory) noexcept {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (memory != nullptr) bytes.fetch_add(malloc_usable_size(memory), std::memory_order_relaxed);
    return memory;
}
void release(void* memory) noexcept {
    if (memory == nullptr) return;
    freed.fetch_add(1, std::memory_order_relaxed);
    bytes.fetch_sub(malloc_usable_size(memory), std::memory_order_relaxed);
    std::free(memory);
}
}  // namespace

#if FAIRLEAD_COUNTS_LOCKS
namespace {
/// The system's own way to take a lock of one kind, under its name; counted.
template <class Object>
class Counted {
  public:
    constexpr explicit Counted(const char* name) noexcept : name_{name} {}

    int operator()(Object* object) noexcept {
        using Take = int (*)(Object*);
        Take take = take_.load(std::memory_order_relaxed);
        if (take == nullptr) {
            take = reinterpret_cast<Take>(dlsym(RTLD_NEXT, name_));
            take_.store(take, std::memory_order_relaxed);
        }
        locks.fetch_add(1, std::memory_order_relaxed);
        return take(object);
    }

  private:
    const char* name_;
    std::atomic<int (*)(Object*)> take_{nullptr};
};

constinit Counted<pthread_mutex_t> mutex_lock{"pthread_mutex_lock"};
constinit Counted<pthread_mutex_t> mutex_trylock{"pthread_mutex_trylock"};
constinit Counted<pthread_rwlock_t> rwlock_rdlock{"pthread_rwlock_rdlock"};
constinit Counted<pthread_rwlock_t> rwlock_wrlock{"pthread_rwlock_wrlock"};
constinit Counted<pthread_rwlock_t> rwlock_tryrdlock{"pthread_rwlock_tryrdlock"};
constinit Counted<pthread_rwlock_t> rwlock_trywrlock{"pthread_rwlock_trywrlock"};
constinit Counted<pthread_spinlock_t> spin_lock{"pthread_spin_lock"};
constinit Counted<pthread_spinlock_t> spin_trylock{"pthread_spin_trylock"};
}  // namespace

extern "C" {
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept { return mutex_lock(mutex); }
int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept { return mutex_trylock(mutex); }
int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept { return rwlock_rdlock(lock); }
int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept { return rwlock_wrlock(lock); }
int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock) noexcept { return rwlock_tryrdlock(lock); }
int pthread_rwlock_trywrlock(pthread_rwlock_t* lock) noexcept { return rwlock_trywrlock(lock); }
int pthread_spin_lock(pthread_spinlock_t* lock) noexcept { return spin_lock(lock); }
int pthread_spin_trylock(pthread_spinlock_t* lock) noexcept { return spin_trylock(lock); }
}
#endif

namespace {
void* aligned(std::size_t size, std::align_val_t alignment) noexcept {
    const auto align = static_cast<std::size_t>(alignment);
    return counted(std::aligned_alloc(align, (size + align - 1) / align * align));
}
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    if (void* memory = counted(std::malloc(size == 0 ? 1 : size))) return memory;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    if (void* memory = aligned(size, alignment)) return memory;
    throw std::bad_alloc{};
}
// Those that do not throw, too: a sanitizer's runtime brings its own, which would not match our `delete`.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return counted(std::malloc(size == 0 ? 1 : size));
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
    return aligned(size, alignment);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { release(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { release(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    release(memory);
}
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
    release(memory);
}

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// What was allocated and locked so far.
class Counts {
  public:
    /// Whether it is still the same.
    bool stand() const { return allocations.load() == allocations_ && locks.load() == locks_; }

  private:
    std::size_t allocations_ = allocations.load();
    std::size_t locks_ = locks.load();
};

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
        const Counts before;
        traffic(balancer, 2000);
        CHECK(before.stand());

        // After a change, the first calls may allocate and lock, and then none.
        REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.weight += 1; }));
        traffic(balancer, 2);
        const Counts after;
        traffic(balancer, 100);
        CHECK(after.stand());
    }
}

TEST_CASE("locks are counted, of whatever kind, had or not") {
    std::size_t taken = 0;
    const std::size_t before = locks.load();
    const auto counts = [&] { return locks.load() == before + ++taken * FAIRLEAD_COUNTS_LOCKS; };
    std::mutex mutex;
    mutex.lock();
    CHECK(counts());
    CHECK_FALSE(mutex.try_lock());
    CHECK(counts());
    mutex.unlock();
    std::shared_mutex shared;
    shared.lock();
    CHECK(counts());
    CHECK_FALSE(shared.try_lock_shared());
    CHECK(counts());
    CHECK_FALSE(shared.try_lock());
    CHECK(counts());
    shared.unlock();
    shared.lock_shared();
    CHECK(counts());
    shared.unlock_shared();
    pthread_spinlock_t spin{};
    REQUIRE(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE) == 0);
    CHECK(pthread_spin_lock(&spin) == 0);
    CHECK(counts());
    CHECK(pthread_spin_trylock(&spin) != 0);
    CHECK(counts());
    pthread_spin_unlock(&spin);
    pthread_spin_destroy(&spin);
}

TEST_CASE("select and report allocate nothing and take no lock, whatever the strategy") {
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

/// What one request allocates.
template <class Balancer>
std::size_t allocated(Balancer& balancer, const Criteria& criteria) {
    const std::size_t before = allocations.load();
    one(balancer, Outcome::success, criteria);
    return allocations.load() - before;
}

template <class S>
void check_exceptions(S strategy = {}) {
    static constexpr std::string_view tags[] = {"gpu"};
    const Criteria subset{.model = "even", .tags = tags};
    // What grows with the backends doubles its room each time: 5 backends and 400 times as many.
    for (const auto& [n, most] : {std::pair{5U, 28U}, std::pair{2000U, 64U}}) {
        INFO(name_of(strategy) << ", " << n << " backends");
        Balancer<S> balancer{varied(n), Options{}, NoTransport{}, strategy};
        one(balancer);
        CHECK(allocated(balancer, subset) <= most);
        CHECK(allocated(balancer, subset) == 0);
        REQUIRE_FALSE(balancer.update("b0", [](BackendConfig& config) { config.weight += 1; }));
        CHECK(allocated(balancer, {}) == 0);
        CHECK(allocated(balancer, subset) <= most);
        CHECK(allocated(balancer, subset) == 0);
    }
}

TEST_CASE("a subset's first use allocates a few times, a thread's first call after a change not at all") {
    check_exceptions<RoundRobin>();
    check_exceptions<ConsistentHash>();
    for (std::size_t i = 0; i < AnyStrategy::count; ++i)
        check_exceptions(AnyStrategy{static_cast<StrategyKind>(i)});
}

TEST_CASE("a thread's first call allocates three times at most, that of the twentieth thread, too") {
    Balancer<RoundRobin> balancer{fleet(200)};
    // All live until the last has called, one after the other: each has a number of its own.
    std::array<std::size_t, 20> first{};
    std::atomic<std::size_t> called{0};
    std::atomic<bool> all_called{false};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < first.size(); ++i) {
        threads.emplace_back([&, i] {
            first[i] = allocated(balancer, {});
            called.store(i + 1);
            called.notify_one();
            all_called.wait(false);
        });
        called.wait(i);
    }
    all_called.store(true);
    all_called.notify_all();
    for (auto& thread : threads) thread.join();
    for (const auto count : first) {
        CHECK(count >= 1);  // room for its places in rotations
        CHECK(count <= 3);
    }
}

/// Prompts of 256 blocks: their first half is known after the first round, their second half never.
template <class Balancer>
void prompts(Balancer& balancer, std::uint64_t& next, int rounds) {
    std::array<std::uint64_t, 256> blocks{};
    for (int i = 0; i < rounds; ++i) {
        for (std::size_t k = 0; k < blocks.size(); ++k)
            blocks[k] = Rng::mix((k < 128 ? static_cast<std::uint64_t>(i) % 20 : next) * 1000 + k);
        ++next;
        Lease lease = balancer.select({.tokens = 4096, .prefix = blocks, .owner = blocks[0]});
        if (!lease) std::abort();
        balancer.first_byte(lease);
        balancer.report(std::move(lease), Outcome::success);
    }
}

TEST_CASE("to look up and to note a prompt of 256 blocks allocates nothing and takes no lock") {
    for (const std::uint32_t gateways : {1U, 4U}) {
        Options options;
        options.gateways = gateways;
        options.prefix_cache_blocks = 2000;  // full after some prompts: each new block is another's end
        Balancer<PrefixAffinity> balancer{fleet(70), options};
        std::uint64_t next = 1000;
        prompts(balancer, next, 2);
        const Counts before;
        prompts(balancer, next, 2000);
        CHECK(before.stand());
    }
}

TEST_CASE("to hash a prompt of any kind allocates nothing and takes no lock") {
    // Each longer than what a `std::string` holds in itself.
    const std::string name(100, 'n');
    const std::string text(5000, 't');
    const std::vector<std::uint32_t> ids(1000, 7);
    std::array<std::uint64_t, 512> blocks{};
    const Counts before;
    PromptHasher hasher{blocks, {.model = name, .adapter = name, .cache_salt = name, .tools = text}};
    for (const std::string_view role : {std::string_view{"system"}, std::string_view{name}}) {
        hasher.message(role);
        hasher.text(text);
        hasher.content(text);
        hasher.text(text);
    }
    hasher.token_ids(ids);
    const std::size_t whole = hasher.blocks().size();
    const std::uint64_t tokens = hasher.tokens();
    const std::uint64_t owner = hasher.owner();
    const bool stands = before.stand();
    CHECK(stands);
    CHECK(tokens == 4 * 1250 + 1000);
    CHECK(whole == (4 * 1250 + 1000) / 16);  // the buffer is not full: none was passed over
    CHECK(owner != 0);
}

TEST_CASE("a hundred thousand prompts later what is remembered takes as many bytes as before") {
    // Of 32 blocks each, all unlike: 3.2 million blocks, and there is room for 18,719.
    constexpr std::size_t memory = 1 << 20;
    const std::size_t before = bytes.load();
    detail::BlockCache cache{memory};
    for (BackendId id = 0; id < 8; ++id) cache.hold(id, 31'250, cache.most_blocks() / 8);
    // The rings, 8 bytes of 56, are allocated, the table of blocks is mapped; and 4 KiB for 64 backends.
    const std::size_t allocated = bytes.load();
    CHECK(allocated - before < memory / 7 + 8 * 1024);
    const std::size_t held = cache.memory();
    CHECK(held <= memory);
    CHECK(held > memory - 8 * 56 - 512);  // what eight equal shares and whole lines leave over
    std::array<std::uint64_t, 32> blocks{};
    for (std::uint64_t next = 0; next < 3'200'000; next += blocks.size()) {
        for (std::size_t k = 0; k < blocks.size(); ++k) blocks[k] = next + k + 1;
        cache.note(static_cast<BackendId>(next / 32 % 8), blocks);
    }
    CHECK(cache.memory() == held);
    CHECK(bytes.load() == allocated);
}

TEST_CASE("a refusal allocates nothing and takes no lock") {
    Balancer<LeastConnections> balancer{fleet(100, 1)};
    std::vector<Lease> leases;
    for (int i = 0; i < 100; ++i) leases.push_back(balancer.select());
    static_cast<void>(balancer.select());
    const Counts before;
    for (int i = 0; i < 1000; ++i) {
        if (balancer.select()) std::abort();
    }
    CHECK(before.stand());
}

/// Failures of every kind, more of them in turn than the threshold.
template <class Balancer>
void failures(Balancer& balancer, int rounds) {
    static constexpr std::array kinds = {Outcome::server_error, Outcome::timeout, Outcome::connect_error,
                                         Outcome::client_error, Outcome::cancelled};
    for (int i = 0; i < rounds; ++i) {
        Lease lease = balancer.select();
        if (!lease) std::abort();
        balancer.report(std::move(lease), kinds[static_cast<std::size_t>(i) % kinds.size()]);
    }
}

TEST_CASE("failures that change no state allocate nothing and take no lock") {
    Options options;
    options.ejection = false;
    Balancer<RoundRobin> balancer{varied(5), options};
    traffic(balancer, 2);
    failures(balancer, 10);
    const Counts before;
    failures(balancer, 1000);
    CHECK(before.stand());
}

TEST_CASE("failures below the threshold take no lock, with ejection and its ratio on") {
    // Never two in a row, and one of ten: below a threshold of 3 and a ratio of 0.5.
    Balancer<RoundRobin> balancer{varied(5)};
    traffic(balancer, 2);
    const Counts before;
    for (int i = 0; i < 5000; ++i) {
        balancer.report(balancer.select(), i % 50 < 5 ? Outcome::server_error : Outcome::success);
    }
    CHECK(before.stand());
}

TEST_CASE("failures of a backend that must stay take no lock") {
    // The only one of its kind is never ejected: it stays, is told of once, and its storm meets no lock.
    Balancer<RoundRobin> balancer{fleet(1)};
    failures(balancer, 200);
    const Counts before;
    failures(balancer, 1000);
    CHECK(before.stand());
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
    // Kept: 4,096 places of rotations at three blocks each, and twice 32 subsets (two snapshots) of some 20.
    // Of 16,382 subsets asked for even three blocks each would be 49,146.
    CHECK(most < 4096 * 3 + 64 * 20 + 500);
}

TEST_CASE("a backend takes at most 1,800 bytes, and a table of consistent_hash 1 MiB in all") {
    // What each adds is the difference to one backend; their strings are short ones, but for the URL.
    const auto taken = [](auto strategy, std::size_t n) {
        const std::size_t before = bytes.load();
        auto backends = fleet(n);
        for (std::size_t i = 0; i < n; ++i) backends[i].weight = static_cast<std::uint32_t>(1 + i % 5);
        Balancer<decltype(strategy)> balancer{std::move(backends), Options{}, NoTransport{}, strategy};
        return bytes.load() - before;
    };
    const std::size_t strings = 1000 * std::string{fleet(1000).back().url}.capacity();
    const std::size_t each = (taken(RoundRobin{}, 1001) - taken(RoundRobin{}, 1) - strings) / 1000;
    INFO(each << " bytes a backend");
    // The mark is 1 KiB. Of what there is, the account, config, member, candidate and findings are the most,
    // two histograms 250, what engines told, the system's own rounding and the tables of names the rest:
    // 1,766 with g++ 12.
    CHECK(each <= 1800);
    // consistent_hash: 1 MiB in all, the times that all tables of a process share included.
    static_cast<void>(taken(ConsistentHash{}, 1));
    CHECK(taken(ConsistentHash{}, 1000) - taken(RoundRobin{}, 1000) + 65'536 * 4 <= std::size_t{1} << 20);
}

}  // namespace
