// The index of what lies in whose cache, while threads use it and backends come and go.
#include "support/catch.hpp"
#include "support/talks.hpp"

#include <fairlead/strategies/detail/block_cache.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using namespace fairlead;
using detail::BlockCache;
using test::held;
using test::talk_of;

TEST_CASE("threads note, look up and forget at once, and every bit that is left has its place in a ring") {
    BlockCache cache{std::size_t{8} << 20};
    constexpr BackendId backends = 10;
    for (BackendId id = 0; id < backends; ++id) cache.hold(id, 500, 500);
    std::vector<std::thread> threads;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        threads.emplace_back([&cache, seed] {
            Rng rng{seed};
            std::array<std::uint32_t, BlockCache::group_size> all{};
            for (int i = 0; i < 1500; ++i) {
                const auto prefix = talk_of(rng.below(60), 1 + rng.below(40));
                const auto id = static_cast<BackendId>(rng.below(backends));
                cache.look_up(prefix, 0, (std::uint64_t{1} << backends) - 1, all);
                cache.note(id, prefix);
                if (rng.below(20) == 0) cache.failed(id, rng.below(2) == 0);
                if (rng.below(10) == 0) cache.answered(id);
            }
        });
    }
    // One at a time, beside the others.
    for (std::uint32_t i = 0; i < 30; ++i) {
        cache.forget(static_cast<BackendId>(i % backends));
        cache.hold(static_cast<BackendId>(i % backends), 400 + static_cast<std::size_t>(i) * 10, 1);
        std::this_thread::yield();
    }
    for (auto& thread : threads) thread.join();
    // Whatever was believed goes with its ring: nothing is left behind that nobody can take out.
    for (BackendId id = 0; id < backends; ++id) cache.forget(id);
    for (BackendId id = 0; id < backends; ++id) {
        cache.answered(id);
        for (std::uint64_t talk = 0; talk < 60; ++talk) CHECK(held(cache, id, talk_of(talk, 40)) == 0);
    }
}

}  // namespace
