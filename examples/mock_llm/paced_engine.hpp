// An engine whose requests do not slow each other: each gets its tokens at the pace that was asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include "engine/block_cache.hpp"
#include "mock_llm/engine.hpp"

namespace mock_llm {

/// What a request's prompt shares with the cache shortens its first token in proportion.
class PacedEngine final : public Engine {
  public:
    PacedEngine(asio::any_io_executor executor, const Speed& speed);

    Id submit(Prompt prompt, std::size_t tokens, OnTokens on_tokens) override;
    void cancel(Id id) override;
    Figures figures() override;

  private:
    struct Sequence {
        Sequence(asio::any_io_executor executor, Prompt asked, std::size_t count, OnTokens callback)
            : timer{std::move(executor)},
              prompt{std::move(asked)},
              tokens{count},
              on_tokens{std::move(callback)} {}

        asio::steady_timer timer;
        Prompt prompt;
        std::size_t tokens;
        std::uint64_t cached_tokens = 0;
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
    inference::BlockCache cache_;
    std::map<Id, std::shared_ptr<Sequence>> sequences_{};
    std::deque<Id> queue_{};
    Figures total_{};
    Id next_id_ = 1;
};

}  // namespace mock_llm
