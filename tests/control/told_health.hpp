// A health checker that does as it is told, for the tests of the admin API.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/model/time.hpp>

namespace admin_test {

struct Report {
    bool ok = true;
    std::string last_error{};
    std::uint32_t consecutive_failures = 0;
    std::chrono::system_clock::time_point last_check_time{};
};

/// Probes nothing: a test completes what was asked for.
class Health {
  public:
    bool running() const { return running_; }
    void start() { running_ = true; }
    void stop() { running_ = false; }
    fairlead::Duration interval() const { return interval_; }
    void set_interval(fairlead::Duration interval) { interval_ = interval; }

    template <class Handler>
    void probe_now(std::string_view name, Handler handler) {
        asked.emplace_back(std::string{name}, std::move(handler));
    }
    std::optional<Report> last(std::string_view name) const {
        const auto it = reports.find(std::string{name});
        return it == reports.end() ? std::nullopt : std::optional{it->second};
    }

    std::map<std::string, Report> reports{};
    std::vector<std::pair<std::string, std::function<void(std::error_code, const Report&)>>> asked{};

  private:
    bool running_ = true;
    fairlead::Duration interval_ = std::chrono::seconds{30};
};

}  // namespace admin_test
