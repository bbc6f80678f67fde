// What the engines' metrics say, for rules that read them at each choice.
#pragma once

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include <fairlead/model/time.hpp>

#include "engine/engine.hpp"

namespace simulator {

/// Every engine's figures, at most `interval` old: read anew when somebody asks who finds them older.
class Board {
  public:
    /// 50 ms is what routers that read metrics at each choice scrape with.
    explicit Board(const fairlead::Time& now, std::vector<inference::Engine>& engines,
                   fairlead::Duration interval = std::chrono::milliseconds{50})
        : now_{now}, engines_{engines}, interval_{interval} {}

    const std::vector<inference::Figures>& read() {
        if (figures_.size() != engines_.size() || now_ - read_ >= interval_) {
            figures_.clear();
            for (const auto& engine : engines_) figures_.push_back(engine.figures());
            read_ = now_;
        }
        return figures_;
    }

  private:
    const fairlead::Time& now_;
    const std::vector<inference::Engine>& engines_;
    fairlead::Duration interval_;
    fairlead::Time read_{};
    std::vector<inference::Figures> figures_{};
};

}  // namespace simulator
