// Snapshots that are left by several threads at once.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

/// Tells which thread freed its tables: each lives as long as its snapshot.
struct TablesWithAnEnd {
    static constexpr std::string_view name = "tables_with_an_end";

    struct Freed {
        std::thread::id writer = std::this_thread::get_id();
        std::atomic<std::uint32_t> by_writer{0};
        std::atomic<std::uint32_t> by_others{0};
    };
    std::shared_ptr<Freed> freed = std::make_shared<Freed>();

    struct Table {
        std::shared_ptr<const void> end;
    };

    Table build(std::span<const Candidate>) const {
        return {std::shared_ptr<const void>{
            freed.get(), [kept = freed](const void*) {
                (std::this_thread::get_id() == kept->writer ? kept->by_writer : kept->by_others).fetch_add(1);
            }}};
    }
    std::size_t pick(const Table&, std::span<const Candidate>, Pick&) const noexcept { return 0; }
};

TEST_CASE("of threads that leave a snapshot at once none frees it") {
    constexpr std::uint32_t changes = 200;
    const TablesWithAnEnd strategy;
    {
        Balancer<TablesWithAnEnd> balancer{fleet(3), {}, {}, strategy};
        std::atomic<bool> ended{false};
        std::array<std::atomic<std::uint32_t>, 3> requests{};
        std::vector<std::thread> threads;
        for (auto& mine : requests) {
            threads.emplace_back([&] {
                while (!ended.load()) {
                    balancer.report(balancer.select(), Outcome::success);
                    mine.fetch_add(1);
                }
            });
        }
        for (std::uint32_t i = 0; i < changes; ++i) {
            REQUIRE_FALSE(balancer.update("b0", [&](BackendConfig& config) { config.weight = 2 - i % 2; }));
            // Each has left the one before.
            for (auto& others : requests) {
                const std::uint32_t seen = others.load();
                while (others.load() - seen < 2) std::this_thread::yield();
            }
        }
        ended.store(true);
        for (auto& thread : threads) thread.join();
    }
    CHECK(strategy.freed->by_others.load() == 0);
    CHECK(strategy.freed->by_writer.load() == changes + 1);
}

}  // namespace
