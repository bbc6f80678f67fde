// The gateway's own settings, as they are at this moment.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include <fairlead/model/settings.hpp>

namespace gateway {

/// Replaced as a whole by a reload. A request asks once and goes by what it was given until its end.
/// Threads: any.
class LiveSettings {
  public:
    explicit LiveSettings(const fairlead::Settings& settings)
        : settings_{std::make_shared<const fairlead::Settings>(settings)} {}

    std::shared_ptr<const fairlead::Settings> get() const {
        const std::lock_guard lock{mutex_};
        return settings_;
    }

    void set(const fairlead::Settings& settings) {
        auto fresh = std::make_shared<const fairlead::Settings>(settings);
        const std::lock_guard lock{mutex_};
        settings_.swap(fresh);
    }

  private:
    mutable std::mutex mutex_{};
    std::shared_ptr<const fairlead::Settings> settings_;
};

}  // namespace gateway
