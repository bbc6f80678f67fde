// Candidates for tests of strategies alone: no balancer, accounts moved by hand.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include <fairlead/strategies/strategy.hpp>

namespace fairlead::test {

class Candidates {
  public:
    Candidates() = default;
    explicit Candidates(std::span<const std::uint32_t> weights, const std::string& prefix = "backend-") {
        for (std::size_t i = 0; i < weights.size(); ++i) add(prefix + std::to_string(i), weights[i]);
    }

    void add(std::string name, std::uint32_t weight = 1, std::uint32_t max_connections = 1000) {
        BackendConfig config;
        config.name = std::move(name);
        config.url = "http://h";
        config.weight = weight;
        config.max_connections = max_connections;
        configs_.push_back(std::move(config));
        accounts_.emplace_back();
        candidates_.emplace_back(configs_.back(), accounts_.back(),
                                 static_cast<BackendId>(candidates_.size()));
    }

    std::span<const Candidate> span() const noexcept { return candidates_; }
    std::size_t size() const noexcept { return candidates_.size(); }
    detail::Account& account(std::size_t i) { return accounts_[i]; }
    void set_in_flight(std::size_t i, std::uint32_t n) { accounts_[i].word.store(n); }

  private:
    std::deque<BackendConfig> configs_;
    std::deque<detail::Account> accounts_;
    std::vector<Candidate> candidates_;
};

/// A strategy with its table over some candidates, as one thread of a balancer would hold it.
template <class S>
struct Picks {
    Picks(const Candidates& c, S s = {}, std::uint64_t seed = 1)
        : candidates{c}, strategy{s}, table{s.build(c.span())}, rng{seed} {}

    std::size_t operator()(const Criteria& criteria = {}, std::uint32_t attempt = 0) {
        Pick pick{criteria, rng, turn, attempt};
        return strategy.pick(table, candidates.span(), pick);
    }

    const Candidates& candidates;
    S strategy;
    typename S::Table table;
    Rng rng;
    Turn turn{};
};

/// Chi-square of counts against expectations; `limit(cells)` is above its 1 - 1e-6 quantile (Wilson and
/// Hilferty's approximation, z = 4.76 widened to 5.2), so a right implementation fails with p < 1e-6, and the
/// seed is fixed.
inline double chi_square(std::span<const double> expected, std::span<const std::uint64_t> counts) {
    double sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const double off = static_cast<double>(counts[i]) - expected[i];
        sum += off * off / expected[i];
    }
    return sum;
}
inline double chi_square_limit(std::size_t cells) {
    const double k = static_cast<double>(cells - 1);
    const double root = 1 - 2 / (9 * k) + 5.2 * __builtin_sqrt(2 / (9 * k));
    return k * root * root * root;
}

}  // namespace fairlead::test
