// Any of the built-in strategies, chosen and changed at run time.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <fairlead/strategies/consistent_hash.hpp>
#include <fairlead/strategies/learns.hpp>
#include <fairlead/strategies/least_connections.hpp>
#include <fairlead/strategies/least_tokens.hpp>
#include <fairlead/strategies/prefix_affinity.hpp>
#include <fairlead/strategies/random.hpp>
#include <fairlead/strategies/response_time.hpp>
#include <fairlead/strategies/round_robin.hpp>
#include <fairlead/strategies/strategy.hpp>
#include <fairlead/strategies/weighted_random.hpp>
#include <fairlead/strategies/weighted_round_robin.hpp>

namespace fairlead {

/// The built-in strategies, in the order of `AnyStrategy`'s alternatives.
enum class StrategyKind : std::uint8_t {
    round_robin,
    weighted_round_robin,
    least_connections,
    random,
    consistent_hash,
    response_time,
    weighted_random,
    least_tokens,
    prefix_affinity
};

/// One of the built-in strategies, as a strategy. No virtual call, no allocation in a pick.
///
///     fairlead::Balancer<fairlead::AnyStrategy> balancer{backends};
///     balancer.set_strategy(fairlead::LeastConnections{});
///     if (auto named = fairlead::AnyStrategy::from_name(text)) balancer.set_strategy(*named);
///     else std::cerr << named.error();
class AnyStrategy {
    using Variant = std::variant<RoundRobin, WeightedRoundRobin, LeastConnections, Random, ConsistentHash,
                                 ResponseTime, WeightedRandom, LeastTokens, PrefixAffinity>;

    template <class S, class V>
    struct IsAlternative;
    template <class S, class... Ss>
    struct IsAlternative<S, std::variant<Ss...>> : std::bool_constant<(std::same_as<S, Ss> || ...)> {};

  public:
    /// What a name stands for, or why it stands for nothing.
    class Named;

    static constexpr std::string_view name = "any";
    static constexpr std::size_t count = std::variant_size_v<Variant>;

    /// `round_robin`.
    AnyStrategy() = default;

    template <class S>
    requires IsAlternative<std::remove_cvref_t<S>, Variant>::value AnyStrategy(S&& strategy)
        : strategy_{std::forward<S>(strategy)} {}  // NOLINT: each of them is one

    /// The strategy of that kind, with its options at their defaults.
    explicit AnyStrategy(StrategyKind kind) {
        make(static_cast<std::size_t>(kind), std::make_index_sequence<count>{});
    }

    /// All names, in the order of `StrategyKind`.
    static constexpr std::array<std::string_view, count> names() noexcept {
        return names(std::make_index_sequence<count>{});
    }

    /// The strategy of that name, or an error that lists the known ones.
    static Named from_name(std::string_view wanted);

    StrategyKind kind() const noexcept { return static_cast<StrategyKind>(strategy_.index()); }
    std::string_view current_name() const noexcept { return names()[strategy_.index()]; }

    Needs needs() const noexcept {
        return std::visit([](const auto& strategy) { return needs_of(strategy); }, strategy_);
    }

    /// As the one that is held does, if it does.
    void follow(const Options& options) noexcept {
        if (auto* hashing = std::get_if<ConsistentHash>(&strategy_)) hashing->follow(options);
    }

    /// The table of the strategy held when it was built.
    class Table;

    Table build(std::span<const Candidate> candidates) const;

    /// `table` is one that this strategy, or a copy of it, has built.
    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept;

    using Terms = PrefixAffinity::Terms;

    /// As that strategy does; nothing for those that do not choose by such a cost.
    template <class Visit>
    void explain(const Table& table, std::span<const Candidate> candidates, const Criteria& criteria,
                 Time now, Visit&& visit) const;

    // What the one that learns remembers, whichever is in force: see `Learns`.

    using State = PrefixAffinity::State;

    bool is_learning() const noexcept { return learner() != nullptr; }
    void joined(State& state, const Candidate& candidate, std::size_t members) const {
        if (const auto* learner = this->learner()) learner->joined(state, candidate, members);
    }
    void told(State& state, BackendId id, const LoadReport& report) const {
        if (const auto* learner = this->learner()) learner->told(state, id, report);
    }
    std::uint64_t picked(State& state, BackendId id, const Criteria& criteria) const noexcept {
        const auto* learner = this->learner();
        return learner == nullptr ? criteria.tokens : learner->picked(state, id, criteria);
    }
    void first_byte(State& state, BackendId id) const noexcept {
        if (const auto* learner = this->learner()) learner->first_byte(state, id);
    }
    void finished(State& state, BackendId id, const Outcome& outcome) const noexcept {
        if (const auto* learner = this->learner()) learner->finished(state, id, outcome);
    }

  private:
    const PrefixAffinity* learner() const noexcept { return std::get_if<PrefixAffinity>(&strategy_); }

    template <std::size_t... I>
    static constexpr std::array<std::string_view, count> names(std::index_sequence<I...>) noexcept {
        return {std::variant_alternative_t<I, Variant>::name...};
    }

    template <std::size_t... I>
    void make(std::size_t index, std::index_sequence<I...>) {
        ((I == index ? static_cast<void>(strategy_.template emplace<I>()) : void()), ...);
    }

    template <std::size_t I>
    std::size_t pick_as(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept;

    Variant strategy_;
};

class AnyStrategy::Named {
  public:
    explicit Named(AnyStrategy strategy) : strategy_{std::move(strategy)} {}
    explicit Named(std::string error) : error_{std::move(error)} {}

    explicit operator bool() const noexcept { return strategy_.has_value(); }
    const AnyStrategy& operator*() const noexcept { return *strategy_; }
    const std::string& error() const noexcept { return error_; }

  private:
    std::optional<AnyStrategy> strategy_;
    std::string error_;
};

class AnyStrategy::Table {
  public:
    Table() = default;

    /// What the table inside keeps.
    std::size_t memory() const noexcept {
        return std::visit([](const auto& table) { return memory_of(table); }, table_);
    }

    void learn_from(PrefixAffinity::State& state) noexcept {
        if (auto* learning = std::get_if<PrefixAffinity::Table>(&table_)) learning->learn_from(state);
    }

  private:
    friend class AnyStrategy;
    std::variant<RoundRobin::Table, WeightedRoundRobin::Table, LeastConnections::Table, Random::Table,
                 ConsistentHash::Table, ResponseTime::Table, WeightedRandom::Table, LeastTokens::Table,
                 PrefixAffinity::Table>
        table_;
};

template <class Visit>
void AnyStrategy::explain(const Table& table, std::span<const Candidate> candidates, const Criteria& criteria,
                          Time now, Visit&& visit) const {
    const auto* held = std::get_if<PrefixAffinity::Table>(&table.table_);
    if (const auto* strategy = learner(); strategy != nullptr && held != nullptr)
        strategy->explain(*held, candidates, criteria, now, visit);
}

inline AnyStrategy::Named AnyStrategy::from_name(std::string_view wanted) {
    const auto known = names();
    std::string list;
    for (std::size_t i = 0; i < known.size(); ++i) {
        if (known[i] == wanted) return Named{AnyStrategy{static_cast<StrategyKind>(i)}};
        list.append(i == 0 ? "" : ", ").append(known[i]);
    }
    return Named{"unknown strategy \"" + std::string{wanted} + "\"; known are " + list};
}

inline AnyStrategy::Table AnyStrategy::build(std::span<const Candidate> candidates) const {
    Table table;
    const auto build_as = [&]<std::size_t... I>(std::index_sequence<I...>) {
        ((I == strategy_.index()
              ? static_cast<void>(table.table_.template emplace<I>(std::get<I>(strategy_).build(candidates)))
              : void()),
         ...);
    };
    build_as(std::make_index_sequence<count>{});
    return table;
}

template <std::size_t I>
std::size_t AnyStrategy::pick_as(const Table& table, std::span<const Candidate> candidates,
                                 Pick& pick) const noexcept {
    // Both hold alternative I: `build` made the table from this strategy. The check costs one comparison and
    // makes a mistake there a poor choice, which the balancer looks at anyway, and no undefined behaviour.
    const auto* strategy = std::get_if<I>(&strategy_);
    const auto* held = std::get_if<I>(&table.table_);
    if (strategy == nullptr || held == nullptr) [[unlikely]]
        return 0;
    return strategy->pick(*held, candidates, pick);
}

inline std::size_t AnyStrategy::pick(const Table& table, std::span<const Candidate> candidates,
                                     Pick& pick) const noexcept {
    static_assert(count == 9, "name every alternative below");
    switch (kind()) {
        case StrategyKind::round_robin:
            return pick_as<0>(table, candidates, pick);
        case StrategyKind::weighted_round_robin:
            return pick_as<1>(table, candidates, pick);
        case StrategyKind::least_connections:
            return pick_as<2>(table, candidates, pick);
        case StrategyKind::random:
            return pick_as<3>(table, candidates, pick);
        case StrategyKind::consistent_hash:
            return pick_as<4>(table, candidates, pick);
        case StrategyKind::response_time:
            return pick_as<5>(table, candidates, pick);
        case StrategyKind::weighted_random:
            return pick_as<6>(table, candidates, pick);
        case StrategyKind::least_tokens:
            return pick_as<7>(table, candidates, pick);
        case StrategyKind::prefix_affinity:
            return pick_as<8>(table, candidates, pick);
    }
    return 0;
}

static_assert(Learns<AnyStrategy>);

}  // namespace fairlead
