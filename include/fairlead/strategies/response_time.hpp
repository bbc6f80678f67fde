// The one that is expected to answer first.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <fairlead/strategies/detail/pick_least.hpp>
#include <fairlead/strategies/strategy.hpp>
#include <fairlead/strategies/weighted_random.hpp>

namespace fairlead {

/// The least expected wait: (in flight + 1) / weight, times how slow the backend is relative to its pool.
/// Ties at random; exact up to 64 candidates, beyond that the best of three draws by weight.
///
/// Slowness comes from Little's law (in flight, integrated over time, per completion), so a stall is seen
/// before its slow answer arrives. Differences below 10 % are noise and ignored; evidence fades towards the
/// pool's mean, and goes once in tau where a backend got less than half of the others' requests: one that
/// was slow is tried again, and has 0.9 of its share in the third tau after it recovered, however many
/// balancers share the fleet. Latency runs to the first byte (`Options::latency_to`).
///
/// When: backends of unlike or changing speed. When not: where fast answers are wrong answers; failures count
/// as in flight for a while, but a backend that answers 200 with rubbish looks fast. Cost: as
/// `LeastConnections`.
struct ResponseTime {
    static constexpr std::string_view name = "response_time";

    static constexpr Needs needs() noexcept { return {.latency = true}; }

    using Table = detail::AliasTable;

    Table build(std::span<const Candidate> candidates) const { return WeightedRandom{}.build(candidates); }

    std::size_t pick(const Table& table, std::span<const Candidate> candidates, Pick& pick) const noexcept {
        return detail::pick_least(candidates, table, pick.rng, [](const Candidate& candidate) {
            return static_cast<float>(candidate.load() + 1) * candidate.inverse_weight() *
                   candidate.slowness();
        });
    }
};

}  // namespace fairlead
