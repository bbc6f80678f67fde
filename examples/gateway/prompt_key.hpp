// What of a request's body an engine's prefix cache keys on, read for the strategies that ask for it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gateway {

/// The prompt of one request, for `fairlead::Criteria`.
struct PromptKey {
    std::vector<std::uint64_t> blocks{};  ///< `Criteria::prefix`
    std::uint64_t owner = 0;              ///< `Criteria::owner`
    std::uint64_t tokens = 0;             ///< of the prompt, about; 0: there was none
};

/// Whether a request to this path has a prompt that an engine would cache: chat and text completions,
/// messages, responses.
bool has_prompt(std::string_view path);

/// Reads the prompt of a body that `find_model` found to be good: the messages' roles and texts in order,
/// parts of content, calls of tools, images and audio by content; or `prompt` as text or token ids; `tools`
/// and `cache_salt` wherever they stand. `model` is the one that serves, or what the client calls an adapter.
/// `block_tokens`: 0 is the usual. Reads the body twice, since what comes before a prompt may stand behind
/// it. O(body); at most 4,096 blocks. Any thread.
PromptKey read_prompt(std::string_view body, std::string_view model, std::uint32_t block_tokens = 0);

}  // namespace gateway
