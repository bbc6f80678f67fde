// The operator's side of the gateway: the admin API and the metrics, as handlers of its HTTP server.
#pragma once

#include <string_view>

#include <fairlead/control/admin_api.hpp>

#include "gateway/relay.hpp"
#include "http_server/exchange.hpp"

namespace gateway {

/// Answers the calls of the admin API. `api` outlives it. Threads: on each exchange's executor.
http_server::Handler admin_handler(const fairlead::AdminApi& api);

/// Answers `GET /metrics` with Prometheus text; where the settings ask for the key, to whom the admin API
/// would answer. Both outlive it.
http_server::Handler metrics_handler(const RelayContext& context, const fairlead::AdminApi& api);

/// An answer in the admin API's shape to a request that could not be read.
fairlead::HttpResponse admin_error_page(int status, std::string_view message);

}  // namespace gateway
