// What one request asks of the choice.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <fairlead/model/time.hpp>

namespace fairlead {

/// What one request asks of the choice. All views: building one allocates nothing; what they point to must
/// live until the call that takes the criteria returns (asynchronous calls copy it). Every field is optional.
struct Criteria {
    std::string_view key{};    ///< affinity: equal keys go to the same backend (consistent_hash)
    std::string_view model{};  ///< only backends whose `model_name` is this
    std::span<const std::string_view> tags{};  ///< only backends that carry all of these
    std::uint64_t tokens = 0;         ///< expected cost: the prompt's tokens (bytes / 4 is a fair guess)
    std::uint64_t answer_tokens = 0;  ///< expected length of the answer in tokens; 0: unknown
    std::span<const std::uint64_t> prefix{};  ///< chained hashes of the prompt's leading blocks
    std::uint64_t owner = 0;  ///< hash of what a conversation begins with (`PromptHasher::owner`); 0: none
    std::span<const std::string_view> exclude{};  ///< names of backends that must not be chosen
};

/// Asks for nothing. A constant, so that a call with it is compiled without the questions that it answers.
inline constexpr Criteria any_backend{};

/// How one request is to be handled, beside what it asks of the choice.
struct RequestOptions {
    enum class Retry : std::uint8_t {
        inherit,  ///< as `Options` say
        never     ///< for a request that must not be sent twice: another try only after `Outcome::unsent`
    };

    Deadline deadline{};           ///< of the balancer's clock; waiting and all tries end by then
    int priority = 0;              ///< of the wait queue, lower first
    Retry retry = Retry::inherit;  ///< whether a failed try may be repeated elsewhere
    /// Further tries of the same request before this call, each allowed by `Balancer::take_retry`: they count
    /// against `max_retries`, and the call counts as no request of its own.
    std::uint32_t retries_used = 0;
};

}  // namespace fairlead
