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

    /// Any thread; needs no lock. The callback must not throw: there is nobody to catch it.
    void tell(const std::vector<Event>& events) const {
        if (events.empty()) return;
        std::shared_ptr<const Callback> callback;
        {
            const std::lock_guard lock{mutex_};
            callback = callback_;
        }
        if (!callback || !*callback) return;
        for (const auto& event : events) (*callback)(event);
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Callback> callback_;
};

}  // namespace fairlead::detail
