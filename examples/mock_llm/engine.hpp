// A stand-in for an inference engine: continuous batching with a queue, in real time, without a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include "mock_llm/prompt_cache.hpp"

namespace mock_llm {

/// How fast the engine is.
struct Speed {
    std::chrono::milliseconds first_token{
        0};                        ///< from the start of a request to its first token, nothing cached
    double tokens_per_second = 0;  ///< of each request after that; 0: all at once
    std::size_t max_batch = 256;   ///< requests running together at most, others wait their turn
    std::size_t cache_blocks = 0;  ///< prompt blocks remembered, which need no prefill; 0: none
};

/// Runs requests in the order of their arrival, up to `max_batch` together. What a request's prompt shares
/// with the cache shortens its first token in proportion.
///
/// Threads: one at a time; its executor must be a strand or run by one thread.
class Engine {
  public:
    using Id = std::uint64_t;

    /// Called with the number of new tokens each time some are ready; `last` when the request is done.
    using OnTokens = std::function<void(std::size_t count, bool last)>;

    Engine(asio::any_io_executor executor, Speed speed);

    /// Takes a request for `tokens` (at least 1) tokens over a prompt with these block hashes.
    Id submit(std::vector<std::uint64_t> blocks, std::size_t tokens, OnTokens on_tokens);

    /// Drops a request wherever it stands; its callback is not called again. Unknown numbers are ignored.
    void cancel(Id id);

    std::size_t running() const { return running_; }
    std::size_t waiting() const { return queue_.size(); }
    std::size_t capacity() const { return speed_.cache_blocks; }
    const PromptCache& cache() const { return cache_; }

  private:
    struct Sequence {
        Sequence(asio::any_io_executor executor, std::size_t count, OnTokens callback)
            : timer{std::move(executor)}, tokens{count}, on_tokens{std::move(callback)} {}

        asio::steady_timer timer;
        std::vector<std::uint64_t> blocks{};
        std::size_t tokens;
        std::size_t done = 0;
        bool runs = false;
        std::chrono::steady_clock::time_point first{};  // when the first token is due
        OnTokens on_tokens;
    };

    void fill_batch();
    void start(Id id, const std::shared_ptr<Sequence>& sequence);
    void wait(Id id, const std::shared_ptr<Sequence>& sequence);
    void advance(Id id, const std::shared_ptr<Sequence>& sequence);
    std::size_t due(const Sequence& sequence) const;
    std::chrono::steady_clock::time_point next(const Sequence& sequence) const;

    asio::any_io_executor executor_;
    Speed speed_;
    PromptCache cache_;
    std::map<Id, std::shared_ptr<Sequence>> sequences_{};
    std::deque<Id> queue_{};
    std::size_t running_ = 0;
    Id next_id_ = 1;
};

}  // namespace mock_llm
