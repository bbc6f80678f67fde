// What a strategy is that learns from requests: the balancer tells it of each one's way.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include <fairlead/model/criteria.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// A strategy that remembers more than the backends' own figures has a `State`: made once a balancer, from
/// its `Options` where it has such a constructor, and alive as long; every table that the balancer builds
/// with the strategy is given it by `learn_from`. What is learned so survives all changes of the fleet.
///
///     struct LastOne {                                       // sends a request where the last one went
///         static constexpr std::string_view name = "last_one";
///         struct State {
///             std::atomic<fairlead::BackendId> last{0};
///             void left(fairlead::BackendId) noexcept { last = 0; }
///         };
///         struct Table {
///             const State* state = nullptr;
///             void learn_from(State& learned) noexcept { state = &learned; }
///         };
///         ...
///         void picked(State& state, fairlead::BackendId id, const fairlead::Criteria&) const noexcept {
///             state.last = id;
///         }
///         void first_byte(State&, fairlead::BackendId) const noexcept {}
///         void finished(State&, fairlead::BackendId, const fairlead::Outcome&) const noexcept {}
///     };
///
/// `picked` comes after the place was taken, never for a refused pick. It may return the tokens that the
/// request costs the backend it went to, which are then accounted instead of `Criteria::tokens`. `finished`
/// comes before the place is given back, for dropped leases too. `left` says that what was learned of the
/// backend is void: it was removed (its number may be given again), restarted, or another server stands
/// behind its name.
///
/// A strategy may also have `joined(state, candidate, members)`, called for each of the members, new
/// or not, before a snapshot that shows it is published; `told(state, id, report)`, what an engine said of
/// its load
/// (`Balancer::report_load`); and `is_learning()`, false where nothing of all this is wanted.
///
/// Its state may be made from `Options`, and have `set_options(const Options&) noexcept` to hear of others.
///
/// Threads: `picked`, `first_byte` and `finished` are called on the path of requests, by any thread at any
/// time, `left` beside them: they must not throw, allocate, lock or block. `joined`, `told` and `left` are
/// called one at a time; the first two may allocate and throw `std::bad_alloc`.
template <class S>
concept Learns = Strategy<S> && std::is_object_v<typename S::State> &&
    requires(const S strategy, typename S::State& state, typename S::Table& table, BackendId id,
             const Criteria& criteria, const Outcome& outcome) {
    { table.learn_from(state) }
    noexcept;
    { strategy.picked(state, id, criteria) }
    noexcept;
    { strategy.first_byte(state, id) }
    noexcept;
    { strategy.finished(state, id, outcome) }
    noexcept;
    { state.left(id) }
    noexcept;
};

/// Whether a strategy says that it learns: one that has a `State` must then do all that `Learns` asks.
template <class S>
concept HasState = requires {
    typename S::State;
};

// What a user of the library needs ends here.

namespace detail {

struct NothingLearned {
    explicit NothingLearned(const Options&) noexcept {}
};

template <class State>
struct MadeOnce : State {
    explicit MadeOnce(const Options&) requires(!std::constructible_from<State, const Options&>) : State{} {}
    explicit MadeOnce(const Options& options) requires(std::constructible_from<State, const Options&>)
        : State{options} {}
};

template <class S>
struct Learned {
    using Type = NothingLearned;
};
template <HasState S>
struct Learned<S> {
    static_assert(Learns<S>, "a strategy with a State must have all the hooks of fairlead::Learns");
    using Type = MadeOnce<typename S::State>;
};

/// What a balancer of the strategy keeps of what was learned.
template <Strategy S>
using StateOf = typename Learned<S>::Type;

template <class S>
constexpr bool is_learning(const S& strategy) noexcept {
    if constexpr (!Learns<S>) {
        return false;
    } else if constexpr (requires {
                             { strategy.is_learning() } -> std::same_as<bool>;
                         }) {
        return strategy.is_learning();
    } else {
        return true;
    }
}

/// Tells the strategy where a request went. What it costs there, in tokens of the prompt.
template <class S>
std::uint64_t tell_picked(const S& strategy, StateOf<S>& state, BackendId id,
                          const Criteria& criteria) noexcept {
    using Result = decltype(strategy.picked(state, id, criteria));
    if constexpr (std::convertible_to<Result, std::uint64_t>) {
        return strategy.picked(state, id, criteria);
    } else {
        strategy.picked(state, id, criteria);
        return criteria.tokens;
    }
}

}  // namespace detail
}  // namespace fairlead
