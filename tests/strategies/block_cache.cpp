// The index of what lies in whose cache, against a slow and obvious one; bounded in blocks and bytes.
#include "support/catch.hpp"
#include "support/talks.hpp"

#include <fairlead/strategies/detail/block_cache.hpp>

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <vector>

namespace {

using namespace fairlead;
using detail::BlockCache;
using test::held;
using test::talk_of;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

TEST_CASE("as long as nothing must go, the index holds what was noted and nothing else") {
    // 150 backends, so three groups; the model is a set of pairs.
    BlockCache cache{64 * mebibyte};
    std::set<std::pair<BackendId, std::uint64_t>> model;
    for (BackendId id = 0; id < 150; ++id) cache.hold(id, 4000, 4000);
    Rng rng{1};
    for (int step = 0; step < 3000; ++step) {
        const auto id = static_cast<BackendId>(rng.below(150));
        const auto prefix = talk_of(rng.below(100), 1 + rng.below(40));
        std::uint32_t expected = 0;
        while (expected < prefix.size() && model.contains({id, prefix[expected]})) ++expected;
        REQUIRE(held(cache, id, prefix) == expected);
        if (rng.below(3) == 0) continue;
        if (rng.below(200) == 0) {
            cache.forget(id);
            std::erase_if(model, [&](const auto& pair) { return pair.first == id; });
            continue;
        }
        REQUIRE(cache.note(id, prefix) == expected);
        for (const auto hash : prefix) model.insert({id, hash});
    }
}

TEST_CASE("chains that part are each found as far as they go, however many part at the same block") {
    // 600 of each, parted after so many blocks: at each place of a row of four, and far on.
    BlockCache cache{64 * mebibyte};
    for (BackendId id = 0; id < 100; ++id) cache.hold(id, 4000, 4000);
    for (const std::size_t common : {1U, 2U, 3U, 4U, 37U}) {
        const auto chain = [common](std::uint64_t talk) {
            auto hashes = talk_of(talk, common + 5);
            for (std::size_t i = 0; i < common; ++i) hashes[i] = 777'000'000 + common * 1000 + i;
            return hashes;
        };
        for (std::uint64_t talk = 1; talk <= 600; ++talk)
            cache.note(static_cast<BackendId>(talk % 100), chain(common * 1000 + talk));
        for (std::uint64_t talk = 1; talk <= 600; ++talk) {
            const auto hashes = chain(common * 1000 + talk);
            std::array<std::uint32_t, BlockCache::group_size> all{};
            const auto home = static_cast<std::uint32_t>(talk % 100);
            cache.look_up(hashes, home / 64, home / 64 == 0 ? ~std::uint64_t{0} : (1ULL << 36) - 1, all);
            std::array<std::uint32_t, BlockCache::group_size> expected{};
            std::fill_n(expected.begin(), home / 64 == 0 ? 64 : 36, static_cast<std::uint32_t>(common));
            expected[home % 64] = static_cast<std::uint32_t>(common + 5);
            REQUIRE((all == expected));
        }
    }
}

TEST_CASE("each of 64 backends is found to hold its own length of one chain") {
    BlockCache cache{64 * mebibyte};
    const auto chain = talk_of(1, 260);
    for (BackendId id = 0; id < 64; ++id) {
        cache.hold(id, 1000, 1000);
        cache.note(id, std::span{chain}.first(id * 4 + id % 5));
    }
    std::array<std::uint32_t, BlockCache::group_size> all{};
    for (std::size_t asked = 1; asked <= chain.size(); ++asked) {
        cache.look_up(std::span{chain}.first(asked), 0, ~std::uint64_t{0}, all);
        std::array<std::uint32_t, BlockCache::group_size> expected{};
        for (std::uint32_t id = 0; id < 64; ++id)
            expected[id] = std::min(id * 4 + id % 5, static_cast<std::uint32_t>(asked));
        REQUIRE((all == expected));
    }
}

TEST_CASE("a backend holds as much as its cache, and what is used stays") {
    BlockCache cache{64 * mebibyte};
    cache.hold(3, 1000, 1000);
    const auto used = talk_of(1, 100);
    for (std::uint64_t talk = 2; talk < 200; ++talk) {
        cache.note(3, used);
        cache.note(3, talk_of(talk, 100));
        CHECK(held(cache, 3, used) == 100);
        // What came within the last half of the cache is there; what is older than three caches is not.
        CHECK(held(cache, 3, talk_of(talk - std::min<std::uint64_t>(talk - 2, 3), 100)) == 100);
        if (talk > 32) CHECK(held(cache, 3, talk_of(talk - 30, 100)) == 0);
    }
    // Longer than the cache: as much of its beginning as fits beside the 100 that were in use.
    cache.note(3, talk_of(999, 5000));
    CHECK(held(cache, 3, talk_of(999, 5000)) >= 900);
}

TEST_CASE("the end of a prompt goes before its beginning") {
    BlockCache cache{64 * mebibyte};
    cache.hold(0, 100, 100);
    cache.note(0, talk_of(1, 100));
    cache.note(0, talk_of(2, 30));
    CHECK(held(cache, 0, talk_of(1, 100)) == 70);
    CHECK(held(cache, 0, talk_of(2, 30)) == 30);
}

/// How often a block of `requests` draws by Zipf's law among `talks` is held, by the index and by exact LRU.
std::pair<double, double> hit_rates(std::size_t capacity, std::uint32_t talks, int requests) {
    BlockCache cache{64 * mebibyte};
    cache.hold(0, capacity, capacity);
    std::list<std::uint64_t> order;
    std::map<std::uint64_t, std::list<std::uint64_t>::iterator> exact;
    Rng rng{9};
    std::size_t asked = 0;
    std::size_t hits = 0;
    std::size_t exact_hits = 0;
    for (int i = 0; i < requests; ++i) {
        const auto talk = static_cast<std::uint64_t>(std::pow(talks, rng.uniform()));
        const auto prefix = talk_of(talk, 20);
        hits += cache.note(0, prefix);
        std::size_t k = 0;
        while (k < prefix.size() && exact.contains(prefix[k])) ++k;
        exact_hits += k;
        asked += prefix.size();
        for (std::size_t at = prefix.size(); at-- > 0;) {  // the end is the older
            const auto it = exact.find(prefix[at]);
            if (it != exact.end()) order.erase(it->second);
            order.push_front(prefix[at]);
            exact[prefix[at]] = order.begin();
        }
        while (order.size() > capacity) {
            exact.erase(order.back());
            order.pop_back();
        }
    }
    return {static_cast<double>(hits) / static_cast<double>(asked),
            static_cast<double>(exact_hits) / static_cast<double>(asked)};
}

TEST_CASE("about least recently used: within two points of an exact one") {
    for (const std::size_t capacity : {500U, 2000U, 8000U}) {
        const auto [about, exact] = hit_rates(capacity, 3000, 10'000);
        INFO(capacity << " blocks: " << about << " against " << exact);
        CHECK(std::abs(about - exact) < 0.02);
    }
}

TEST_CASE("the memory has a bound that nothing passes, and a million blocks leave it flat") {
    BlockCache cache{6 * mebibyte};
    for (BackendId id = 0; id < 200; ++id) cache.hold(id, 31'250, cache.most_blocks() / 200);
    CHECK(cache.memory() <= 6 * mebibyte);
    CHECK(cache.capacity(0) == cache.most_blocks() / 200);
    const std::size_t before = cache.memory();
    for (std::uint64_t talk = 0; talk < 2'000; ++talk)
        cache.note(static_cast<BackendId>(talk % 200), talk_of(talk, 500));
    CHECK(cache.memory() == before);
    // And it still works: the last prompt of each is held.
    for (std::uint64_t talk = 1'800; talk < 2'000; ++talk)
        CHECK(held(cache, static_cast<BackendId>(talk % 200), talk_of(talk, 500)) == 500);
}

TEST_CASE("where the memory is used up, the next backends hold nothing and harm nobody") {
    BlockCache cache{mebibyte};
    cache.hold(0, 1'000'000, 1'000'000);
    CHECK(cache.capacity(0) == cache.most_blocks());
    cache.hold(1, 1000, 1000);
    CHECK(cache.capacity(1) == 0);
    CHECK(cache.note(1, talk_of(1, 10)) == 0);
    CHECK(held(cache, 1, talk_of(1, 10)) == 0);
    cache.forget(1);
    CHECK(cache.note(70'000, talk_of(1, 10)) == 0);  // no such backend
}

TEST_CASE("a cache that turns out larger, or smaller, keeps what fits") {
    BlockCache cache{64 * mebibyte};
    cache.hold(0, 1000, 1000);
    cache.note(0, talk_of(1, 900));
    cache.hold(0, 5000, 1);
    CHECK(cache.capacity(0) == 5000);
    CHECK(held(cache, 0, talk_of(1, 900)) == 900);
    cache.note(0, talk_of(2, 4000));
    CHECK(held(cache, 0, talk_of(2, 4000)) == 4000);
    CHECK(held(cache, 0, talk_of(1, 900)) == 900);
    cache.hold(0, 200, 1);
    CHECK(cache.capacity(0) == 200);
    cache.note(0, talk_of(3, 200));
    CHECK(held(cache, 0, talk_of(3, 200)) == 200);
    CHECK(held(cache, 0, talk_of(2, 4000)) == 0);
}

TEST_CASE("a cache that grows loses its oldest first, as before") {
    BlockCache cache{64 * mebibyte};
    cache.hold(0, 100, 100);
    cache.note(0, talk_of(1, 60));
    cache.note(0, talk_of(2, 60));  // 20 of them in the place of what came first
    CHECK(held(cache, 0, talk_of(1, 60)) == 40);
    cache.hold(0, 200, 1);
    cache.note(0, talk_of(3, 100));  // into what is new
    CHECK(held(cache, 0, talk_of(1, 60)) == 40);
    cache.note(0, talk_of(4, 20));
    CHECK(held(cache, 0, talk_of(1, 60)) == 20);
    CHECK(held(cache, 0, talk_of(2, 60)) == 60);
    CHECK(held(cache, 0, talk_of(3, 100)) == 100);
    CHECK(held(cache, 0, talk_of(4, 20)) == 20);
}

TEST_CASE("what is forgotten is gone to the last block, and what others hold of it stays") {
    for (std::size_t blocks = 1; blocks <= 9; ++blocks) {
        BlockCache cache{mebibyte};
        cache.hold(0, 100, 100);
        cache.hold(1, 100, 100);
        const auto chain = talk_of(1, blocks);
        // One by one, so that whatever place it has in the ring each is the first of what is held.
        for (const std::uint64_t block : chain) cache.note(0, std::span{&block, 1});
        for (const std::uint64_t block : chain) cache.note(1, std::span{&block, 1});
        cache.forget(0);
        for (const std::uint64_t block : chain) {
            CHECK(held(cache, 0, std::span{&block, 1}) == 0);
            CHECK(held(cache, 1, std::span{&block, 1}) == 1);
        }
    }
}

TEST_CASE("a fleet that grows takes along what is known") {
    BlockCache cache{64 * mebibyte};
    for (BackendId id = 0; id < 100; ++id) {
        cache.hold(id, 2000, 2000);
        cache.note(id, talk_of(id, 500));
    }
    for (BackendId id = 0; id < 100; ++id) CHECK(held(cache, id, talk_of(id, 500)) == 500);
}

TEST_CASE("what failed is doubted until it answers, and gone after a restart") {
    BlockCache cache{64 * mebibyte};
    cache.hold(5, 1000, 1000);
    const auto known = talk_of(1, 50);
    cache.note(5, known);
    cache.failed(5, false);
    CHECK(held(cache, 5, known) == 0);
    CHECK(cache.note(5, talk_of(2, 50)) == 0);
    cache.answered(5);
    CHECK(held(cache, 5, known) == 50);
    CHECK(held(cache, 5, talk_of(2, 50)) == 0);
    for (int i = 0; i < 3; ++i) {  // lost connections one by one are no restart
        cache.failed(5, true);
        cache.answered(5);
        CHECK(held(cache, 5, known) == 50);
    }
    cache.failed(5, true);
    cache.failed(5, true);
    cache.answered(5);
    CHECK(held(cache, 5, known) == 0);
}

TEST_CASE("whoever stands behind a number now is not doubted for what failed there before") {
    BlockCache cache{64 * mebibyte};
    cache.hold(5, 1000, 1000);
    cache.failed(5, true);
    cache.forget(5);
    const auto known = talk_of(1, 50);
    cache.note(5, known);
    CHECK(held(cache, 5, known) == 50);
    cache.failed(5, true);  // the first of this one's: no restart
    cache.answered(5);
    CHECK(held(cache, 5, known) == 50);
}

}  // namespace
