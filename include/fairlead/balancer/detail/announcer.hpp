// Tells the host what happened: under no lock of ours.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <fairlead/model/event.hpp>

namespace fairlead::detail {

class Announcer {
  public:
    using Callback = std::function<void(const Event&)>;

    /// Any thread. Takes the mutex for a pointer swap.
    void set(Callback callback) {
        auto shared = std::make_shared<const Callback>(std::move(callback));
        const std::lock_guard lock{mutex_};
        callback_.swap(shared);
    }

    /// One more, told before that one, for as long as somebody holds what is returned. As `set`.
    std::shared_ptr<const void> watch(Callback callback) {
        auto shared = std::make_shared<const Callback>(std::move(callback));
        const std::lock_guard lock{mutex_};
        std::erase_if(watchers_, [](const auto& each) { return each.expired(); });
        watchers_.push_back(shared);
        return shared;
    }

    /// Any thread; needs no lock. A callback must not throw: there is nobody to catch it.
    void tell(const std::vector<Event>& events) const {
        if (events.empty()) return;
        std::vector<std::shared_ptr<const Callback>> callbacks;
        {
            const std::lock_guard lock{mutex_};
            callbacks.reserve(watchers_.size() + 1);
            for (const auto& each : watchers_) {
                if (auto held = each.lock()) callbacks.push_back(std::move(held));
            }
            if (callback_) callbacks.push_back(callback_);
        }
        for (const auto& callback : callbacks) {
            if (!*callback) continue;
            for (const auto& event : events) (*callback)(event);
        }
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Callback> callback_;
    std::vector<std::weak_ptr<const Callback>> watchers_;
};

}  // namespace fairlead::detail
