// What a strategy is: build a table when the set of backends changes, pick an index from it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <fairlead/model/criteria.hpp>
#include <fairlead/model/rng.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/candidate.hpp>

namespace fairlead {

/// A thread's place in one group (the whole pool or a subset, one priority). Survives new snapshots; threads
/// start evenly spread over all 32 bits, so a strategy folds the position into its own period with `fold`.
struct Turn {
    std::uint32_t position = 0;

    /// Steps on and returns the place within [0, period). A place at or beyond the period (a thread's start,
    /// or a set that shrank) is scaled into it, so that threads stay evenly spaced. `period` >= 1.
    constexpr std::uint32_t advance(std::uint32_t period) noexcept {
        std::uint32_t here = position;
        if (here >= period) here = static_cast<std::uint32_t>((std::uint64_t{here} * period) >> 32);
        position = here + 1 == period ? 0 : here + 1;
        return here;
    }
};

/// What a pick may use beside the table and the candidates.
struct Pick {
    const Criteria& criteria;
    Rng& rng;
    Turn& turn;
    std::uint32_t attempt = 0;  ///< the k-th choice is wanted, because the ones before could not serve
    Time now{};                 ///< by the balancer's clock; its epoch where `Options::timing` is off
};

/// What a strategy wants of the balancer. A value, not a trait, so that `AnyStrategy` can answer for the one
/// that it holds. A strategy without a member `needs()` needs nothing.
struct Needs {
    bool latency = false;      ///< `Candidate::slowness()` is kept ready
    bool all_members = false;  ///< the table covers every member, in service or not
    bool preference = false;   ///< `pick` with attempt = k gives the k-th choice
};

/// A choice among backends. Eligibility, limits, priorities, subsets and counting are the balancer's;
/// whatever a pick returns is checked, and one that cannot serve is refused and another found. Ten lines that
/// know nothing of limits are still right.
///
///     struct FirstOne {
///         static constexpr std::string_view name = "first_one";
///         struct Table {};
///         Table build(std::span<const fairlead::Candidate>) const { return {}; }
///         std::size_t pick(const Table&, std::span<const fairlead::Candidate>, fairlead::Pick&) const
///         noexcept { return 0; }
///     };
///
/// A table that keeps memory of its own tells how much by a member `memory()`, in bytes, so that the limit of
/// what all subsets' tables may take holds; without it counts `sizeof(Table)`.
///
/// `build` runs when the set changes, under a mutex, and may allocate and throw `std::bad_alloc`. `pick` runs
/// on every request, on any thread, with at least one candidate; it must not allocate, lock or block.
template <class S>
concept Strategy = std::copyable<S> && requires(const S strategy, const typename S::Table table,
                                                std::span<const Candidate> candidates, Pick& pick) {
    { S::name } -> std::convertible_to<std::string_view>;
    { strategy.build(candidates) } -> std::same_as<typename S::Table>;
    { strategy.pick(table, candidates, pick) }
    noexcept->std::convertible_to<std::size_t>;
};

/// The strategy's `needs()`, or none.
template <Strategy S>
constexpr Needs needs_of(const S& strategy) noexcept {
    if constexpr (requires {
                      { strategy.needs() } -> std::same_as<Needs>;
                  }) {
        return strategy.needs();
    } else {
        return {};
    }
}

/// What a table takes, in bytes: itself, and what it says that it keeps beside.
template <class Table>
constexpr std::size_t memory_of(const Table& table) noexcept {
    if constexpr (requires {
                      { table.memory() } -> std::convertible_to<std::size_t>;
                  }) {
        return sizeof(Table) + table.memory();
    } else {
        return sizeof(Table);
    }
}

/// The strategy's name at run time: its `current_name()` where it holds one of several, else `S::name`.
template <Strategy S>
constexpr std::string_view name_of(const S& strategy) noexcept {
    if constexpr (requires {
                      { strategy.current_name() } -> std::convertible_to<std::string_view>;
                  }) {
        return strategy.current_name();
    } else {
        return S::name;
    }
}

}  // namespace fairlead
