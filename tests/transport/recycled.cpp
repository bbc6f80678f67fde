// Blocks are used again, by size, within bounds.
#include <fairlead/transport/detail/recycled.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using fairlead::detail::make_recycled;
using fairlead::detail::SpareBlocks;

TEST_CASE("a block that was given back is the next of about its size, and of no other") {
    if (!SpareBlocks::keeps) return;
    // On a thread of its own, whose cache is empty.
    std::thread{[] {
        void* const first = SpareBlocks::take(100);
        SpareBlocks::give(first, 100);
        void* const other = SpareBlocks::take(200);
        CHECK(other != first);
        void* const again = SpareBlocks::take(128);
        CHECK(again == first);
        SpareBlocks::give(other, 200);
        SpareBlocks::give(again, 128);
    }}.join();
}

TEST_CASE("blocks of any size are whole, in any order and across threads") {
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    for (std::size_t size = 1; size < 2300; size += 7) {
        blocks.emplace_back(static_cast<unsigned char*>(SpareBlocks::take(size)), size);
    }
    // More of one size than are kept.
    for (int i = 0; i < 200; ++i)
        blocks.emplace_back(static_cast<unsigned char*>(SpareBlocks::take(300)), 300);
    std::set<unsigned char*> places;
    for (const auto& [block, size] : blocks) {
        places.insert(block);
        std::fill_n(block, size, static_cast<unsigned char>(size));
    }
    CHECK(places.size() == blocks.size());
    for (const auto& [block, size] : blocks) {
        CHECK(std::all_of(block, block + size,
                          [size = size](unsigned char c) { return c == static_cast<unsigned char>(size); }));
    }
    std::thread{[&] {
        for (const auto& [block, size] : blocks) SpareBlocks::give(block, size);
    }}.join();
}

TEST_CASE("an object made of a used block is made anew, and lives as long as it is shared") {
    struct Counted {
        explicit Counted(int& c) : count{c} { ++count; }
        Counted(const Counted&) = delete;
        Counted& operator=(const Counted&) = delete;
        ~Counted() { --count; }
        int& count;
        int value = 7;
    };
    int count = 0;
    for (int i = 0; i < 3; ++i) {
        auto made = make_recycled<Counted>(count);
        CHECK(made->value == 7);
        made->value = 0;
        std::weak_ptr<Counted> seen = made;
        CHECK(count == 1);
        made.reset();
        CHECK(count == 0);
        CHECK(seen.expired());
    }
}
