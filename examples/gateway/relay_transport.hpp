// Sends a request on to a backend: its own model name, its own key, nothing that was meant for the gateway
// alone.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fairlead/transport/http_transport.hpp>

#include "gateway/form_field.hpp"
#include "gateway/model_field.hpp"

namespace gateway {

/// What a client sent, shared by all tries: a copy costs a count.
struct RelayRequest {
    /// What can be read, and its model rewritten.
    enum class Body : std::uint8_t { opaque, json, form };

    std::shared_ptr<const fairlead::HttpRequest> original{};  ///< the transport leaves hop-by-hop fields out
    ModelField model{};                                       ///< where the model stands in its body
    Body body = Body::opaque;
    std::string alias_of{};  ///< the model that the name in the body stands for; empty: it is no alias
};

/// What the backend is to be asked for: its own name, else what an alias stands for; empty: what the client
/// named, if anything.
inline std::string_view model_for(const fairlead::BackendConfig& backend,
                                  const RelayRequest& request) noexcept {
    return backend.model_name.empty() ? request.alias_of : backend.model_name;
}

/// Whether the body needs another model for that.
inline bool is_renamed(std::string_view model, const RelayRequest& request) noexcept {
    return request.body != RelayRequest::Body::opaque && !model.empty() && request.model.value != model;
}

/// Whether the backend is to get anything but the original.
inline bool is_changed_for(const fairlead::BackendConfig& backend, const RelayRequest& request) noexcept {
    return !backend.api_key.empty() || is_renamed(model_for(backend, request), request);
}

/// The request as one backend is to get it: `model` rewritten where the backend has a name of its own, or the
/// client named an alias; the client's credentials taken out where it has a key of its own (the transport
/// adds that key).
inline fairlead::HttpRequest request_for(const fairlead::BackendConfig& backend,
                                         const RelayRequest& request) {
    fairlead::HttpRequest message = *request.original;
    if (!backend.api_key.empty()) {
        // Every way in which engines and their proxies take a key.
        for (const auto* name : {"Authorization", "X-API-Key", "Api-Key"}) message.headers.remove(name);
    }
    const auto model = model_for(backend, request);
    if (!is_renamed(model, request)) return message;
    const auto body = message.body.view();
    message.body = request.body == RelayRequest::Body::form ? with_form_model(body, request.model, model)
                                                            : with_model(body, request.model, model);
    return message;
}

/// `HttpTransport` for requests that look different to each backend. Copies share it. Threads: as
/// `HttpTransport`; `replace` from any.
class RelayTransport {
  public:
    using Request = RelayRequest;
    using Response = fairlead::HttpResponse;
    using Body = fairlead::HttpBody;

    explicit RelayTransport(fairlead::HttpTransport http) : held_{std::make_shared<Held>(std::move(http))} {}

    /// Requests from now on, and probes, go through another; those under way end in the old one.
    void replace(fairlead::HttpTransport http) {
        const std::lock_guard lock{held_->mutex};
        std::swap(held_->http, http);
    }

    template <class Handler>
    void async_send(const fairlead::BackendConfig& backend, const RelayRequest& request,
                    fairlead::Deadline deadline, Handler&& handler) {
        if (!is_changed_for(backend, request)) {
            return http().async_send(backend, *request.original, deadline, std::forward<Handler>(handler));
        }
        http().async_send(backend, request_for(backend, request), deadline, std::forward<Handler>(handler));
    }

    template <class Handler>
    void async_open(const fairlead::BackendConfig& backend, const RelayRequest& request,
                    fairlead::Deadline deadline, Handler&& handler) {
        if (!is_changed_for(backend, request)) {
            return http().async_open(backend, *request.original, deadline, std::forward<Handler>(handler));
        }
        http().async_open(backend, request_for(backend, request), deadline, std::forward<Handler>(handler));
    }

    template <class Handler>
    void async_probe(const fairlead::BackendConfig& backend, fairlead::Deadline deadline, Handler&& handler) {
        http().async_probe(backend, deadline, std::forward<Handler>(handler));
    }

    template <class Handler>
    void async_scrape(const fairlead::BackendConfig& backend, std::string_view path,
                      fairlead::Deadline deadline, Handler&& handler) {
        http().async_scrape(backend, path, deadline, std::forward<Handler>(handler));
    }

    static std::optional<fairlead::LoadReport> load(const fairlead::HttpResponse& response) {
        return fairlead::HttpTransport::load(response);
    }

    static fairlead::Outcome outcome(std::error_code error, const fairlead::HttpResponse& response) {
        return fairlead::HttpTransport::outcome(error, response);
    }

  private:
    struct Held {
        explicit Held(fairlead::HttpTransport transport) : http{std::move(transport)} {}
        std::mutex mutex{};
        fairlead::HttpTransport http;
    };

    fairlead::HttpTransport http() const {
        const std::lock_guard lock{held_->mutex};
        return held_->http;
    }

    std::shared_ptr<Held> held_;
};

}  // namespace gateway
