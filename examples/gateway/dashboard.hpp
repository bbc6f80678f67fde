// The operator's page, and the live figures that it shows.
//
// The page is one file without a reference to any other, so that it works on a machine without a way out and
// tells nobody that it is looked at. What it shows and does goes through the admin API, with the same key.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include <fairlead/control/admin_api.hpp>

#include "http_server/exchange.hpp"

namespace gateway {

/// The path of the page.
inline constexpr std::string_view dashboard_path = "/dashboard";

/// Answers `GET /dashboard`; whoever may reach the port gets the page, which holds no figure. Threads: any.
http_server::Handler dashboard_handler();

class EventStream;

/// Answers `GET /api/v1/load_balancer/events`: an endless `text/event-stream` of snapshots, the first at
/// once. Each is one JSON object with the API's answers to `GET /status`, `/backends` and `/strategy` under
/// `status`, `backends` and `strategy`. Who may not ask for those gets the API's own refusal.
///
/// A client that reads slowly gets fewer snapshots, never a queue of them.
///
/// Threads: `handler` before the loop runs; `stop` and `size` from any. It and `api` outlive the loop's work.
/// Cost: for each client, three calls of the API a period.
class EventStreams {
  public:
    /// A second: as fast as a human can follow, and nothing beside the requests themselves.
    static constexpr std::chrono::milliseconds default_period{1'000};

    explicit EventStreams(const fairlead::AdminApi& api,
                          std::chrono::milliseconds period = default_period) noexcept
        : api_{api}, period_{period} {}

    http_server::Handler handler();

    /// Ends every stream, and each later one after its first snapshot: they would never end by themselves,
    /// and whoever stops waits for what is under way.
    void stop();

    /// How many are open.
    std::size_t size() const;

  private:
    const fairlead::AdminApi& api_;
    const std::chrono::milliseconds period_;
    mutable std::mutex mutex_{};
    std::vector<std::weak_ptr<EventStream>> streams_{};  // each leaves when it has ended
    bool stopped_ = false;
};

}  // namespace gateway
