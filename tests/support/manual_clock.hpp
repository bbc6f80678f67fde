// A clock that a test moves by hand. Copies share their time.
#pragma once

#include <atomic>
#include <memory>

#include <fairlead/model/time.hpp>

namespace fairlead::test {

class ManualClock {
  public:
    Time now() const noexcept { return Time{Duration{now_->load(std::memory_order_relaxed)}}; }
    void advance(Duration by) const noexcept { now_->fetch_add(by.count(), std::memory_order_relaxed); }

  private:
    // Not at 0, so that "never" and "at the beginning" differ.
    std::shared_ptr<std::atomic<Duration::rep>> now_ =
        std::make_shared<std::atomic<Duration::rep>>(1'000'000'000'000);
};

}  // namespace fairlead::test
