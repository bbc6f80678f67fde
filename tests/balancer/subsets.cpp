// Subsets by model and tags: what is kept of them, how much, and that none of it shows in who serves.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/any_strategy.hpp>

#include <set>

namespace {

using namespace fairlead;
using namespace fairlead::test;

std::vector<std::string> tag_names(std::size_t n) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < n; ++i) names.push_back("t" + std::to_string(i));
    return names;
}

/// Backends that all carry the same tags, whose combinations are as many subsets as one wants.
template <class S>
class TaggedFleet {
  public:
    TaggedFleet(std::vector<BackendConfig> backends, std::size_t tags, const Options& options,
                S strategy = {})
        : names_{tag_names(tags)}, core_{options, std::move(strategy), ManualClock{}} {
        core_.write([&](detail::Roster& roster, Time now) {
            for (auto& backend : backends) {
                backend.tags = names_;
                REQUIRE_FALSE(roster.add(std::move(backend), now, true));
            }
            return 0;
        });
    }

    /// The tags whose bit is set in `mask`.
    std::vector<std::string_view> tags(unsigned mask) const {
        std::vector<std::string_view> tags;
        for (std::size_t i = 0; i < names_.size(); ++i) {
            if ((mask >> i & 1U) != 0) tags.push_back(names_[i]);
        }
        return tags;
    }

    std::string ask(unsigned mask) {
        const auto wanted = tags(mask);
        Lease lease = core_.select({.tags = wanted});
        if (!lease) return lease.error().message();
        std::string name = lease->name;
        core_.report(std::move(lease), Outcome::success);
        return name;
    }

    /// The group kept for it, without the look being counted as use.
    std::shared_ptr<const detail::Group<S>> kept(unsigned mask) const {
        const auto wanted = tags(mask);
        const Criteria criteria{.tags = wanted};
        const auto key = detail::SubsetKey::of(criteria);
        std::shared_ptr<const detail::Group<S>> group;
        core_.current()->subsets.for_each([&](const auto& node) {
            if (node.is(key)) group = node.group;
        });
        return group;
    }

    /// How many are kept.
    std::size_t count() const {
        std::size_t n = 0;
        core_.current()->subsets.for_each([&](const auto&) { ++n; });
        return n;
    }

    /// What `size_of(table)` says of all kept tables together.
    template <class F>
    std::size_t sum(F&& size_of) const {
        std::size_t bytes = 0;
        core_.current()->subsets.for_each([&](const auto& node) {
            for (const auto& level : node.group->levels) bytes += size_of(*level.table);
        });
        return bytes;
    }

  private:
    std::vector<std::string> names_;
    detail::Core<S, ManualClock> core_;
};

TEST_CASE("of the subsets those in use are kept, and those asked for once go") {
    Options options;
    options.subset_limit = 64;
    TaggedFleet<RoundRobin> f{fleet(1), 12, options};
    std::vector<std::shared_ptr<const detail::Group<RoundRobin>>> hot;
    for (unsigned mask = 1; mask <= 16; ++mask) {
        f.ask(mask);
        hot.push_back(f.kept(mask));
        REQUIRE(hot.back() != nullptr);
    }
    // Before any turn of the table, all the hot ones are asked for: 64 are in, 32 are carried over.
    for (unsigned mask = 17; mask < 1000; ++mask) {
        REQUIRE(f.ask(mask) == "b0");
        REQUIRE(f.count() <= 64);
        for (unsigned each = 1; mask % 8 == 0 && each <= 16; ++each) f.ask(each);
    }
    for (unsigned mask = 1; mask <= 16; ++mask) CHECK(f.kept(mask) == hot[mask - 1]);
    // 983 were asked for once since: of those only the last ones are in.
    for (unsigned mask = 17; mask < 900; ++mask) REQUIRE(f.kept(mask) == nullptr);
}

template <class S>
void check_memory(S strategy, std::size_t bytes_a_table) {
    const std::size_t memory = 8 * bytes_a_table;
    Options options;
    options.subset_memory = memory;
    auto backends = fleet(2);
    backends[0].weight = 65'535;  // a period of 65,536 turns, where there is one
    TaggedFleet<S> f{backends, 4, options, strategy};
    std::size_t most = 0;
    for (unsigned mask = 1; mask < 16; ++mask) {
        REQUIRE_FALSE(f.ask(mask).empty());
        const std::size_t n = f.count();
        REQUIRE(f.sum([](const auto& table) { return memory_of(table); }) <= memory);
        REQUIRE(n * bytes_a_table <= memory);
        most = std::max(most, n);
    }
    // It is used, too: all but the last eighth, for what a table takes beside.
    CHECK(most == 7);
}

TEST_CASE("the tables of all subsets stay within their memory, whatever the strategy") {
    check_memory(WeightedRoundRobin{}, 65'536 * 2);
    check_memory(ConsistentHash{}, 65'536 * 2);
    check_memory(ConsistentHash{.bits = 18}, 262'144 * 2);
    check_memory(AnyStrategy{WeightedRoundRobin{}}, 65'536 * 2);
    check_memory(AnyStrategy{ConsistentHash{.bits = 18}}, 262'144 * 2);
}

TEST_CASE("where no subset may be kept, every request is served all the same") {
    Options options;
    options.subset_memory = 1;
    TaggedFleet<RoundRobin> f{fleet(3), 4, options};
    for (unsigned mask = 1; mask < 16; ++mask) {
        std::set<std::string> seen;
        for (int i = 0; i < 3; ++i) seen.insert(f.ask(mask));
        CHECK(seen == std::set<std::string>{"b0", "b1", "b2"});  // and in rotation
    }
    CHECK(f.count() == 0);
}

TEST_CASE("a rotation stays strict while thousands of subsets come and go") {
    // More combinations than places in the threads' lists are remembered for: each group keeps its own place
    // while it is in use.
    TaggedFleet<RoundRobin> f{fleet(3), 13, Options{}};
    std::vector<std::string> pool;
    for (unsigned mask = 1; mask < 8192; ++mask) {
        pool.push_back(f.ask(0));
        f.ask(mask);
        if (pool.size() < 3) continue;
        REQUIRE(std::set<std::string>(pool.end() - 3, pool.end()).size() == 3);
    }
}

TEST_CASE("subsets by names that differ in a few letters spread over the table") {
    const auto slots = [](std::size_t n, auto&& name) {
        std::set<std::size_t> used;
        for (std::size_t i = 0; i < n; ++i) {
            const std::string model = name(i);
            used.insert(
                detail::SubsetTable<RoundRobin>::slot_of(detail::SubsetKey::of({.model = model}).hash));
        }
        return used.size();
    };
    const auto padded = [](std::size_t i, std::size_t width) {
        const std::string digits = std::to_string(i);
        return std::string(width - std::min(width, digits.size()), '0') + digits;
    };
    // Of n keys at random in 4,096 slots some 4,096 (1 - e^(-n / 4,096)) have one to themselves or share it.
    for (const std::size_t at : std::initializer_list<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 21}) {
        INFO(at << " letters before the number");
        const std::string before(at, 'm');
        CHECK(slots(100, [&](std::size_t i) { return before + padded(i, 2); }) >= 90);
        CHECK(slots(1000, [&](std::size_t i) { return before + padded(i, 4); }) >= 750);
        CHECK(slots(1000, [&](std::size_t i) { return before + std::to_string(i) + "-instruct"; }) >= 750);
    }
}

}  // namespace
