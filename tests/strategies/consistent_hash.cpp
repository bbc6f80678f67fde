// consistent_hash: whose a key is, and what moves when the set changes.
#include "support/candidates.hpp"
#include "support/catch.hpp"

#include <fairlead/strategies/consistent_hash.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace {

using namespace fairlead;
using namespace fairlead::test;

std::string owner_of(const Candidates& candidates, const std::string& key, ConsistentHash strategy = {}) {
    Picks<ConsistentHash> picks{candidates, strategy};
    return std::string{candidates.span()[picks({.key = key})].name()};
}

/// The definition, slowly: the smallest (time, name's hash) of all visits to the slot.
std::vector<std::uint16_t> owners_by_definition(std::span<const Candidate> candidates, unsigned bits) {
    const auto times = detail::visit_times(bits);
    std::vector<std::uint16_t> owners(std::size_t{1} << bits);
    for (std::uint32_t slot = 0; slot < owners.size(); ++slot) {
        std::pair<std::uint64_t, std::uint64_t> best{~0ULL, ~0ULL};
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            const auto hash = detail::stable_hash(candidates[i].name());
            const detail::SlotOrder order{hash, bits};
            const std::uint64_t time =
                std::uint64_t{times[order.visit(slot)]} * ((1U << 31) / candidates[i].weight());
            if (std::pair{time, hash} < best) {
                best = {time, hash};
                owners[slot] = static_cast<std::uint16_t>(i);
            }
        }
    }
    return owners;
}

TEST_CASE("the order of visits is a bijection, and its inverse is one") {
    for (const unsigned bits : {16U, 17U, 18U}) {
        const detail::SlotOrder order{0x1234567890abcdefU, bits};
        std::vector<bool> seen(std::size_t{1} << bits, false);
        for (std::uint32_t k = 0; k < seen.size(); ++k) {
            const auto slot = order.slot(k);
            REQUIRE(slot < seen.size());
            seen[slot] = true;
            if (order.visit(slot) != k) FAIL("not the inverse");
        }
        CHECK(std::all_of(seen.begin(), seen.end(), [](bool s) { return s; }));
    }
}

TEST_CASE("the times of visits are -ln(1 - (k + 1/2) / S), rising") {
    for (const unsigned bits : {16U, 17U, 18U}) {
        const auto times = detail::visit_times(bits);
        const double slots = std::pow(2.0, bits);
        double worst = 0;
        for (std::size_t k = 0; k < times.size(); ++k) {
            if (k > 0 && times[k] <= times[k - 1]) FAIL("not rising");
            const double exact = -std::log1p(-(static_cast<double>(k) + 0.5) / slots) * 0x1p28;
            worst = std::max(worst, std::abs(times[k] - exact));
        }
        CHECK(worst < 2.0);  // units of 2^-28
    }
}

TEST_CASE("the quick table is the definition's") {
    Rng rng{3};
    for (const std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{13}}) {
        std::vector<std::uint32_t> weights(n);
        for (auto& weight : weights) weight = 1 + rng.below(5);
        const Candidates candidates{weights};
        const detail::SlotTable table{candidates.span(), 16};
        const auto slow = owners_by_definition(candidates.span(), 16);
        CHECK(std::equal(slow.begin(), slow.end(), table.owners().begin(), table.owners().end()));
    }
    const Candidates extreme{std::vector<std::uint32_t>{65'535, 1, 65'535}};
    const detail::SlotTable table{extreme.span(), 16};
    const auto slow = owners_by_definition(extreme.span(), 16);
    CHECK(std::equal(slow.begin(), slow.end(), table.owners().begin(), table.owners().end()));
}

TEST_CASE("golden: these keys have these owners, in every version, build and order of configuration") {
    Candidates fleet;
    fleet.add("alpha", 1);
    fleet.add("beta", 2);
    fleet.add("gamma", 3);
    fleet.add("delta", 1);
    Candidates other_order;
    other_order.add("delta", 1);
    other_order.add("gamma", 3);
    other_order.add("alpha", 1);
    other_order.add("beta", 2);
    const std::vector<std::pair<std::string, std::string>> golden{
#include "strategies/golden_owners.inc"
    };
    for (const auto& [key, owner] : golden) {
        CHECK(owner_of(fleet, key) == owner);
        CHECK(owner_of(other_order, key) == owner);
    }
}

std::vector<std::string> owners(const Candidates& candidates) {
    const detail::SlotTable table{candidates.span(), 16};
    std::vector<std::string> names;
    for (const auto owner : table.owners()) names.emplace_back(candidates.span()[owner].name());
    return names;
}

TEST_CASE("when one goes or returns, exactly its own keys move") {
    const std::vector<std::uint32_t> weights{1, 2, 3, 4, 5, 1, 1};
    const Candidates all{weights};
    Candidates without;
    Candidates returned;  // now the last, where it was the fourth
    for (std::size_t i = 0; i < weights.size(); ++i) {
        if (i == 3) continue;
        without.add("backend-" + std::to_string(i), weights[i]);
        returned.add("backend-" + std::to_string(i), weights[i]);
    }
    returned.add("backend-3", weights[3]);
    const auto before = owners(all);
    const auto after = owners(without);
    std::size_t moved = 0;
    for (std::size_t slot = 0; slot < before.size(); ++slot) {
        if (before[slot] == after[slot]) continue;
        if (before[slot] != "backend-3") FAIL("a foreign key moved");
        ++moved;
    }
    CHECK(moved == static_cast<std::size_t>(std::count(before.begin(), before.end(), "backend-3")));
    CHECK(owners(returned) == before);
}

TEST_CASE("when one changes weight, keys move only to it, or only from it") {
    const Candidates light{std::vector<std::uint32_t>{3, 3, 3, 3}};
    const Candidates heavy{std::vector<std::uint32_t>{3, 5, 3, 3}};
    const auto before = owners(light);
    const auto after = owners(heavy);
    std::size_t moved = 0;
    for (std::size_t slot = 0; slot < before.size(); ++slot) {
        if (before[slot] == after[slot]) continue;
        ++moved;
        // Read the other way, when its weight falls from 5 to 3, keys move only from it.
        if (after[slot] != "backend-1") FAIL("a key moved between two others");
    }
    // Its share rises from 3/12 to 5/14, by 0.107; chance adds sqrt(p (1 - p) / 65,536) = 0.0012 to that.
    CHECK(static_cast<double>(moved) / 65'536 == Approx(5.0 / 14 - 0.25).margin(0.01));
}

TEST_CASE("shares follow weights; for equal ones the rms error is sqrt(n / 2S) as theory says") {
    // Bounds: 1.2 sqrt(n / 2S) as the mean of 50 sets of names, 2.5 for any one.
    for (const std::size_t n : {std::size_t{2}, std::size_t{4}, std::size_t{32}, std::size_t{300}}) {
        const double theory = std::sqrt(static_cast<double>(n) / (2 * 65'536.0));
        double sum = 0;
        for (int set = 0; set < 50; ++set) {
            const Candidates candidates{std::vector<std::uint32_t>(n, 1), "set" + std::to_string(set) + "-"};
            const detail::SlotTable table{candidates.span(), 16};
            std::vector<double> share(n, 0);
            for (const auto owner : table.owners()) share[owner] += 1;
            double squares = 0;
            for (const double s : share) squares += std::pow(s / 65'536 * static_cast<double>(n) - 1, 2);
            const double rms = std::sqrt(squares / static_cast<double>(n));
            CHECK(rms < 2.5 * theory);
            sum += rms;
        }
        CHECK(sum / 50 < 1.2 * theory);
    }
}

TEST_CASE("a key whose owner cannot serve has its own order of the others") {
    const Candidates candidates{std::vector<std::uint32_t>(8, 1)};
    Picks<ConsistentHash> picks{candidates};
    std::map<std::size_t, int> seconds;
    for (int i = 0; i < 4000; ++i) {
        const std::string key = "key" + std::to_string(i);
        if (picks({.key = key}) != 0) continue;
        for (std::uint32_t attempt = 1; attempt < 16; ++attempt) {
            const auto next = picks({.key = key}, attempt);
            if (next == 0) continue;
            ++seconds[next];
            break;
        }
    }
    // About 500 keys over 7 others: 71 each, standard deviation 8.
    CHECK(seconds.size() == 7);
    for (const auto& [who, n] : seconds) CHECK(n > 30);
}

TEST_CASE("without a key the choice is random by weight, not one fixed backend") {
    const Candidates candidates{std::vector<std::uint32_t>{1, 3}};
    Picks<ConsistentHash> picks{candidates};
    int second = 0;
    for (int i = 0; i < 10'000; ++i) second += static_cast<int>(picks());
    CHECK(second / 10'000.0 == Approx(0.75).margin(0.03));  // the table's 0.004 and chance's 0.0043
}

TEST_CASE("10,000 backends share a table of 128 KiB, and each may own a slot") {
    const Candidates candidates{std::vector<std::uint32_t>(10'000, 1)};
    const detail::SlotTable table{candidates.span(), 16};
    CHECK(table.owners().size_bytes() == 128 * 1024);
    std::vector<bool> owns(10'000, false);
    for (const auto owner : table.owners()) owns.at(owner) = true;
    // Each owns 6.55 slots in the mean, none with probability e^-6.55: 14 of 10,000, standard deviation 4.
    CHECK(std::count(owns.begin(), owns.end(), false) < 14 + 8 * 4);
}

TEST_CASE("with 2^17 and 2^18 slots a pick is the owner of the key's slot") {
    for (const unsigned bits : {17U, 18U}) {
        Candidates candidates;
        for (int i = 0; i < 5; ++i) candidates.add("backend-" + std::to_string(i));
        Picks<ConsistentHash> picks{candidates, ConsistentHash{.bits = bits}};
        const auto owners = owners_by_definition(candidates.span(), bits);
        for (int i = 0; i < 500; ++i) {
            const std::string key = "key-" + std::to_string(i);
            REQUIRE(picks({.key = key}) == owners[detail::stable_hash(key) >> (64 - bits)]);
        }
    }
}

TEST_CASE("without a key the leading blocks of the prefix are the key, and never the first alone") {
    const std::vector<std::uint32_t> weights(8, 1);
    const Candidates candidates{weights};
    Picks<ConsistentHash> picks{candidates};
    const auto blocks = [](std::uint64_t talk, std::size_t size, std::size_t shared) {
        std::vector<std::uint64_t> hashes(size);
        for (std::size_t i = 0; i < size; ++i) hashes[i] = i < shared ? i : talk * 1000 + i;
        return hashes;
    };
    std::set<std::size_t> chosen;
    for (std::uint64_t talk = 1; talk <= 100; ++talk) {
        const auto prompt = blocks(talk, 200, 32);  // a common system prompt of half the key
        const auto longer = blocks(talk, 300, 32);
        const std::size_t owner = picks({.prefix = prompt});
        CHECK(picks({.prefix = longer}) == owner);
        CHECK(picks({.key = "k", .prefix = prompt}) == picks({.key = "k"}));
        // The 64th block is the last that counts.
        CHECK(picks({.prefix = blocks(talk, 200, 64)}) == picks({.prefix = blocks(0, 200, 64)}));
        chosen.insert(owner);
    }
    CHECK(chosen.size() == 8);  // 100 over 8: one left out has a probability of 1e-5, and the keys are fixed
}

}  // namespace
