// What the stand-in asks of its engine: requests in, tokens out as they come, figures that are true.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "engine/engine.hpp"

namespace mock_llm {

/// How fast the engine is: at a fixed pace, or as the model of a real one.
struct Speed {
    std::chrono::milliseconds first_token{
        0};                           ///< from the start of a request to its first token, nothing cached
    double tokens_per_second = 0;     ///< of each request after that; 0: all at once
    std::size_t max_batch = 256;      ///< requests running together at most, others wait their turn
    std::size_t cache_blocks = 0;     ///< prompt blocks remembered, which need no prefill; 0: none
    std::uint32_t block_tokens = 16;  ///< tokens of a block

    /// Instead of the pace: continuous batching, step by step, where a prompt's uncached tokens take their
    /// time and slow everybody down. Batch and cache are as said above.
    std::optional<inference::Profile> model{};
};

/// What an engine shows of itself, and what it did since it was made.
struct Figures {
    std::size_t running = 0;           ///< requests in the batch
    std::size_t waiting = 0;           ///< requests that wait for a place in it
    std::uint64_t waiting_tokens = 0;  ///< prompt tokens that are still to be computed
    double cache_use = 0;              ///< share of the cache that running requests hold, 0..1
    std::uint64_t prompt_tokens = 0;   ///< of all prompts that started
    std::uint64_t cached_tokens = 0;   ///< of those, found in the cache
    std::uint64_t generated_tokens = 0;
};

/// A prompt, as the cache sees it.
struct Prompt {
    std::vector<std::uint64_t> blocks{};  ///< chained hashes of its full blocks
    std::uint64_t tokens = 1;
};

/// Runs requests in the order of their arrival, up to `max_batch` together.
///
/// Threads: one at a time; its executor must be a strand or run by one thread.
class Engine {
  public:
    using Id = std::uint64_t;

    /// New tokens of one request.
    struct Tokens {
        std::size_t count = 0;
        bool last = false;                ///< the request is done
        std::uint64_t cached_tokens = 0;  ///< of its prompt, found in the cache
    };
    using OnTokens = std::function<void(const Tokens& tokens)>;

    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine() = default;

    /// Takes a request for `tokens` (at least 1) tokens; the callback is called each time some are ready,
    /// never before this returns.
    virtual Id submit(Prompt prompt, std::size_t tokens, OnTokens on_tokens) = 0;

    /// Drops a request wherever it stands; its callback is not called again. Unknown numbers are ignored.
    virtual void cancel(Id id) = 0;

    virtual Figures figures() = 0;
};

std::unique_ptr<Engine> make_engine(asio::any_io_executor executor, const Speed& speed);

}  // namespace mock_llm
