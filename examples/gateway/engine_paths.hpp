// What inference engines serve beside OpenAI's /v1/.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace gateway {

/// Whether a target is one that vLLM (and who imitates it) answers at the root: tokens, scores, ranks,
/// pooling. What manages an engine (/metrics, /sleep, /update_weights, ...) is between operator and engine,
/// and is not relayed.
inline bool is_engine_path(std::string_view target) noexcept {
    constexpr std::array<std::string_view, 7> paths{"/tokenize",  "/detokenize", "/score",   "/rerank",
                                                    "/v2/rerank", "/pooling",    "/classify"};
    return std::find(paths.begin(), paths.end(), target.substr(0, target.find('?'))) != paths.end();
}

}  // namespace gateway
