// GET /v1/models: what the fleet serves, as one list.
#pragma once

#include <memory>
#include <string_view>

#include "gateway/relay.hpp"
#include "http_server/exchange.hpp"

namespace gateway {

/// Whether a target asks for the list of models, or for one of them by its name.
bool is_model_list(std::string_view target) noexcept;

/// Answers with the union over the backends and with the operator's aliases. One backend of each model is
/// asked, so that an entry holds what the engine says of it (its context length, its adapters); one that
/// cannot be asked in time stands in the list with its name alone. The adapters that an engine lists beside
/// its model are no names that a request could be routed by, and are left out, unless the fleet serves one
/// model only: then any name will do, and the engine's own list is relayed, with aliases added.
///
/// Threads: on the exchange's executor.
void list_models(const RelayContext& context, const std::shared_ptr<http_server::Exchange>& exchange);

}  // namespace gateway
