// The model of a real engine, in real time.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include "engine/engine.hpp"
#include "mock_llm/engine.hpp"

namespace mock_llm {

/// Drives `inference::Engine` by one timer: what comes of a step is told when its time has come.
class ModelledEngine final : public Engine {
  public:
    ModelledEngine(asio::any_io_executor executor, const inference::Profile& profile);

    Id submit(Prompt prompt, std::size_t tokens, OnTokens on_tokens) override;
    void cancel(Id id) override;
    Figures figures() override;

  private:
    void catch_up();
    void set_timer();

    inference::Engine engine_;
    asio::steady_timer timer_;
    std::map<Id, OnTokens> callbacks_{};
    std::vector<inference::Engine::Event> events_{};  // that came and were not told
    Id next_id_ = 1;
    std::shared_ptr<int> alive_ = std::make_shared<int>();  // a timer that was due may outlive the engine
};

}  // namespace mock_llm
