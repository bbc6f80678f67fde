// random and weighted_random against chi-square; least_connections and its kin against a full search.
#include "support/candidates.hpp"
#include "support/catch.hpp"

#include <fairlead/strategies/least_connections.hpp>
#include <fairlead/strategies/least_tokens.hpp>
#include <fairlead/strategies/random.hpp>
#include <fairlead/strategies/response_time.hpp>
#include <fairlead/strategies/weighted_random.hpp>

namespace {

using namespace fairlead;
using namespace fairlead::test;

template <class S>
void check_shares(const std::vector<std::uint32_t>& weights, bool by_weight, std::uint64_t seed) {
    const Candidates candidates{weights};
    Picks<S> picks{candidates, S{}, seed};
    constexpr std::uint64_t n = 1'000'000;
    std::vector<std::uint64_t> counts(weights.size(), 0);
    for (std::uint64_t i = 0; i < n; ++i) ++counts[picks()];
    double sum = 0;
    for (const auto weight : weights) sum += by_weight ? weight : 1;
    std::vector<double> expected;
    for (const auto weight : weights)
        expected.push_back(static_cast<double>(n) * (by_weight ? weight : 1) / sum);
    CHECK(chi_square(expected, counts) < chi_square_limit(weights.size()));
}

TEST_CASE("random is uniform, whatever the weights") {
    check_shares<Random>(std::vector<std::uint32_t>(10, 1), false, 11);
    check_shares<Random>({1, 1000, 3}, false, 12);
}

TEST_CASE("weighted_random follows the weights") {
    check_shares<WeightedRandom>({1, 2, 3, 4}, true, 13);
    check_shares<WeightedRandom>({1, 2, 3}, true, 17);  // the second has exactly its column
    check_shares<WeightedRandom>(std::vector<std::uint32_t>(7, 9), true, 14);
    check_shares<WeightedRandom>({65'535, 1000, 65'535, 1}, true, 15);
    std::vector<std::uint32_t> many;
    Rng rng{6};
    for (int i = 0; i < 500; ++i) many.push_back(1 + rng.below(50));
    check_shares<WeightedRandom>(many, true, 16);
}

/// What stands in an account, read field by field.
double requests_of(const detail::Account& account) {
    return static_cast<double>(account.word.load() + account.failed.load());
}
double tokens_of(const detail::Account& account) {
    return static_cast<double>(account.prefill.load() + account.tokens.load());
}

/// Random loads; every pick must be one of the least by the plain definition, and all of the least be found.
template <class S, class Measure>
void check_least(Measure measure) {
    Rng rng{21};
    for (int round = 0; round < 300; ++round) {
        std::vector<std::uint32_t> weights(1 + rng.below(64));
        for (auto& weight : weights) weight = 1U << rng.below(4);
        Candidates candidates{weights};
        for (std::size_t i = 0; i < weights.size(); ++i) {
            candidates.set_in_flight(i, rng.below(8));
            candidates.account(i).prefill.store(rng.below(3) * 200);
            candidates.account(i).tokens.store(rng.below(3) * 100);
            candidates.account(i).slowness.store(rng.below(2) == 0 ? 1.0F : 2.0F);
            candidates.account(i).failed.store(rng.below(3));
        }
        double least = 1e300;
        std::vector<double> costs;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            costs.push_back(measure(candidates.account(i)) / weights[i]);
            least = std::min(least, costs.back());
        }
        Picks<S> picks{candidates, S{}, static_cast<std::uint64_t>(round)};
        std::vector<int> chosen(weights.size(), 0);
        const auto ties = std::count(costs.begin(), costs.end(), least);
        // Each of t ties is missed by 30 t draws with probability below e^-30.
        for (int i = 0; i < 30 * ties; ++i) ++chosen[picks()];
        for (std::size_t i = 0; i < costs.size(); ++i) {
            CHECK((costs[i] == least) == (chosen[i] > 0));
        }
    }
}

TEST_CASE(
    "up to 64 candidates, every pick of least_connections is one of the least, and each of them is picked") {
    check_least<LeastConnections>([](const detail::Account& account) { return requests_of(account) + 1; });
}
TEST_CASE("so it is for least_tokens, by tokens") {
    check_least<LeastTokens>(
        [](const detail::Account& account) { return tokens_of(account) + requests_of(account) + 1; });
}
TEST_CASE("so it is for response_time, by expected wait") {
    check_least<ResponseTime>([](const detail::Account& account) {
        return (requests_of(account) + 1) * static_cast<double>(account.slowness.load());
    });
}

TEST_CASE("a full backend does not win, however little it has in flight relative to its weight") {
    Candidates candidates;
    candidates.add("full", 100, 1);
    candidates.add("free", 1, 10);
    candidates.set_in_flight(0, 1);
    candidates.set_in_flight(1, 9);
    Picks<LeastConnections> picks{candidates};
    for (int i = 0; i < 20; ++i) CHECK(picks() == 1);
}

TEST_CASE("beyond 64 candidates three draws by weight avoid the loaded") {
    // A tenth is free. Three draws all loaded: 0.9^3 = 0.729, so 0.271 of picks are free ones, against 0.1 by
    // chance; 10,000 picks have a standard deviation of 0.0044.
    Candidates candidates{std::vector<std::uint32_t>(1000, 1)};
    for (std::size_t i = 0; i < 1000; ++i) candidates.set_in_flight(i, i % 10 == 0 ? 0 : 5);
    Picks<LeastConnections> picks{candidates};
    int free = 0;
    for (int i = 0; i < 10'000; ++i) {
        if (picks() % 10 == 0) ++free;
    }
    CHECK(free / 10'000.0 == Approx(0.271).margin(0.03));
}

TEST_CASE("beyond 64 candidates the least of the three draws is taken") {
    // A third each has 0, 1 and 2 in flight. The least of three is 0 in 1 - (2/3)^3 of picks, 2 in (1/3)^3;
    // 20,000 picks have a standard deviation of 0.0032 at most.
    Candidates candidates{std::vector<std::uint32_t>(99, 1)};
    for (std::size_t i = 0; i < 99; ++i) candidates.set_in_flight(i, static_cast<std::uint32_t>(i % 3));
    Picks<LeastConnections> picks{candidates};
    std::vector<int> chosen(3, 0);
    for (int i = 0; i < 20'000; ++i) ++chosen[picks() % 3];
    CHECK(chosen[0] / 20'000.0 == Approx(19.0 / 27).margin(0.016));
    CHECK(chosen[1] / 20'000.0 == Approx(7.0 / 27).margin(0.016));
    CHECK(chosen[2] / 20'000.0 == Approx(1.0 / 27).margin(0.016));
}

TEST_CASE("ties are broken evenly") {
    Candidates candidates{std::vector<std::uint32_t>(64, 1)};
    std::vector<std::size_t> tied;
    for (std::size_t i = 0; i < 64; ++i) {
        const bool idle = i == 0 || i == 63 || i % 7 == 3;
        candidates.set_in_flight(i, idle ? 0 : 1);
        if (idle) tied.push_back(i);
    }
    Picks<LeastConnections> picks{candidates, {}, 17};
    std::vector<std::uint64_t> all(64, 0);
    for (int i = 0; i < 100'000; ++i) ++all[picks()];
    std::vector<std::uint64_t> counts;
    for (const auto i : tied) counts.push_back(all[i]);
    const std::vector<double> expected(tied.size(), 100'000.0 / static_cast<double>(tied.size()));
    CHECK(chi_square(expected, counts) < chi_square_limit(tied.size()));
}

TEST_CASE("beyond 64 candidates two strong backends among many weak ones get their share") {
    // 2 of weight 1,000 and 98 of weight 1: their share is 2000 / 2098 of 1,049 requests held, 500 each.
    // Three uniform draws would look at one of them in 6 % of picks.
    Candidates candidates;
    for (int i = 0; i < 98; ++i) candidates.add("weak-" + std::to_string(i), 1, 10'000);
    candidates.add("strong-0", 1000, 10'000);
    candidates.add("strong-1", 1000, 10'000);
    Picks<LeastConnections> picks{candidates};
    std::vector<std::uint32_t> held(100, 0);
    for (int q = 0; q < 1049; ++q) {
        const auto chosen = picks();
        candidates.set_in_flight(chosen, ++held[chosen]);
    }
    CHECK(held[98] > 450);
    CHECK(held[99] > 450);
}

TEST_CASE("when nobody can take a request, a pick is still one of the candidates") {
    for (const std::size_t n : {std::size_t{1}, std::size_t{5}, std::size_t{64}, std::size_t{65}}) {
        Candidates candidates{std::vector<std::uint32_t>(n, 2)};
        for (std::size_t i = 0; i < n; ++i) candidates.set_in_flight(i, 1000);
        Picks<LeastConnections> picks{candidates};
        for (int i = 0; i < 100; ++i) REQUIRE(picks() < n);
    }
}

}  // namespace
