// How each strategy is set up for a simulation.
#include "simulator/contestants.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include <fairlead/strategies/any_strategy.hpp>
#include <fairlead/strategies/prefix_affinity.hpp>

#include "simulator/cache_aware.hpp"

namespace simulator {

namespace {

template <fairlead::Strategy S>
std::unique_ptr<Router> router(const Site& site, S strategy) {
    return std::make_unique<RouterOf<S>>(site.backends, site.options, std::move(strategy), site.clock);
}

Contestant built_in(std::string name, std::string note, fairlead::AnyStrategy strategy,
                    bool is_usual = true) {
    return {std::move(name), std::move(note), [strategy](const Site& site) { return router(site, strategy); },
            is_usual};
}

fairlead::ConsistentHash bounded(double bound) {
    fairlead::ConsistentHash strategy;
    strategy.bounded_load = bound;
    return strategy;
}

std::unique_ptr<Router> prefix_affinity(const Site& site, bool learned_speed) {
    fairlead::PrefixAffinity strategy;
    strategy.block_tokens = site.scenario.engine.block_tokens;
    strategy.cache_blocks = site.scenario.blocks_believed();
    strategy.learned_speed = learned_speed;
    return router(site, strategy);
}

std::vector<Contestant> all() {
    using fairlead::AnyStrategy;
    return {
        built_in("round_robin", "", fairlead::RoundRobin{}),
        built_in("weighted_round_robin", "", fairlead::WeightedRoundRobin{}, false),
        built_in("random", "", fairlead::Random{}, false),
        built_in("weighted_random", "", fairlead::WeightedRandom{}, false),
        built_in("least_connections", "", fairlead::LeastConnections{}),
        built_in("least_tokens", "", fairlead::LeastTokens{}),
        built_in("response_time", "to the first token", fairlead::ResponseTime{}),
        built_in("consistent_hash", "key: the prompt's first two blocks", fairlead::ConsistentHash{}),
        built_in("consistent_hash_bounded", "the same, bounded_load 1.25", bounded(1.25)),
        {"prefix_affinity", "", [](const Site& site) { return prefix_affinity(site, false); }},
        {"prefix_affinity_learned_speed", "the same, prefix_learned_speed",
         [](const Site& site) { return prefix_affinity(site, true); }, false},
        {"threshold_cache_aware", "rule of another router",
         [](const Site& site) { return router(site, ThresholdCacheAware{}); }},
        {"weighted_scorers", "rule of another router; reads all metrics every 50 ms",
         [](const Site& site) {
             return router(site, WeightedScorers{site.board, site.scenario.blocks_believed()});
         }},
    };
}

}  // namespace

std::span<const Contestant> contestants() {
    static const auto list = all();
    return list;
}

const Contestant* find_contestant(std::string_view name) {
    const auto list = contestants();
    const auto found =
        std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.name == name; });
    return found == list.end() ? nullptr : &*found;
}

Result simulate(const Scenario& scenario, const Contestant& contestant) {
    Result result = Simulation{scenario, contestant.make_router}.run();
    result.strategy = contestant.name;
    return result;
}

}  // namespace simulator
