// Why a request would go where it goes: the terms of every candidate's cost.
#pragma once

#include <string>

#include <fairlead/strategies/strategy.hpp>

namespace fairlead {

/// One candidate as a choice by cost sees it at a moment; the least `cost` is chosen, at random among those
/// that are nearly the least. In tokens of work, unless it says otherwise.
struct Explained {
    std::string name{};     ///< the backend's
    int priority = 0;       ///< lower first: higher numbers serve when no lower one can
    bool can_take = false;  ///< whether it could take the request at this moment, exclusions aside
    float cached = 0;       ///< of the prompt, believed to lie in its cache
    float uncached = 0;     ///< of the prompt, the rest
    float waiting = 0;      ///< uncached prompts of the requests there that have no first token
    float decoding = 0;     ///< requests past their first token
    float pressure = 0;     ///< of its cache
    float speed = 1;        ///< of its prefill, relative to the pool
    float weight = 1;       ///< relative to the candidates' mean
    float cost = 0;         ///< what the terms come to
};

/// A strategy that explains itself calls `visit(index, terms)` for every candidate, where `terms` has the
/// fields of `Explained` from `cached` to `weight`, and `cost()`.
template <class S>
concept Explains = Strategy<S> &&
    requires(const S strategy, const typename S::Table table, std::span<const Candidate> candidates,
             const Criteria& criteria, void (*visit)(std::size_t, const typename S::Terms&)) {
    strategy.explain(table, candidates, criteria, Time{}, visit);
};

}  // namespace fairlead
