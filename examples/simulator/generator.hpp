// Chat-like traffic for those who have no trace of their own at hand.
#pragma once

#include <cstdint>

#include "simulator/trace.hpp"

namespace simulator {

/// What the traffic is like. Lengths and times are lognormal. The defaults are near what a trace of a large
/// chat service tells (Mooncake, FAST 2025: 12,000 prompt and 340 answer tokens in the mean, half of the
/// first prompts above 5,300, two minutes between turns, 3.4 requests a second, a beginning that all prompts
/// have in common), with some more turns.
struct Traffic {
    std::size_t requests = 4'000;
    double rate = 3.4;                     ///< requests a second, in the mean of the whole
    std::uint32_t common_tokens = 300;     ///< beginning of every prompt of the fleet
    std::uint32_t applications = 6;        ///< each with a system prompt behind that; popularity as 1 / rank
    std::uint32_t system_tokens = 250;     ///< median of their lengths
    double turns = 2;                      ///< of a conversation, in the mean; geometric
    std::uint32_t opening_tokens = 4'300;  ///< median of what a conversation begins with
    std::uint32_t question_tokens = 120;   ///< median of what a user writes in a further turn ...
    double attachment_share = 0.15;        ///< ... some of which bring another document ...
    std::uint32_t attachment_tokens = 4'000;  ///< ... of this median
    std::uint32_t answer_tokens = 270;        ///< median
    double think_seconds = 100;               ///< median between an answer and the next question
    double day_share = 0.3;                   ///< the rate rises and falls by so much over the whole
    double burst_factor = 2.5;                ///< the rate in a burst, relative to that outside
    double burst_seconds = 20;                ///< a burst's mean length; they take a fifth of the time
    std::uint32_t block_tokens = 512;
    std::uint64_t seed = 1;
};

/// The same traffic for the same numbers, on every machine but for rounding in the standard library's `exp`
/// and `log`. Requests are in order of time.
Trace generate(const Traffic& traffic);

}  // namespace simulator
