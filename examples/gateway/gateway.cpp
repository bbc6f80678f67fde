// How the parts of the gateway are put together.
#include "gateway/gateway.hpp"

#include <utility>

#include <asio/strand.hpp>

#include "gateway/errors.hpp"
#include "gateway/headers.hpp"

namespace gateway {
namespace {

using http_server::Exchange;

std::vector<std::string> models_of(const std::vector<fairlead::BackendConfig>& backends) {
    std::vector<std::string> models;
    for (const auto& backend : backends) models.push_back(backend.model_name);
    return models;
}

fairlead::HttpTransport make_transport(asio::io_context& io, const fairlead::Settings& settings) {
    fairlead::HttpTransportOptions options;
    options.tls.ca_file = settings.tls_ca_file;
    return fairlead::HttpTransport{io, options};
}

fairlead::HttpResponse json(int status, std::string body) {
    fairlead::HttpResponse response;
    response.status = status;
    response.headers.set("Content-Type", "application/json");
    response.body = std::move(body);
    return response;
}

fairlead::HttpResponse unreadable(int status, std::string_view message) {
    return error_response({status, std::string{message}, "invalid_request_error", {}, {}});
}

/// The path and query of a target; also of one in absolute form, which servers must accept (RFC 9112, 3.2.2).
std::string_view origin_form(std::string_view target) {
    if (!target.starts_with("http://") && !target.starts_with("https://")) return target;
    const auto authority = target.find("//") + 2;
    const auto path = target.find_first_of("/?", authority);
    return path == std::string_view::npos ? "/" : target.substr(path);
}

}  // namespace

Gateway::Gateway(asio::io_context& io, const fairlead::Settings& settings, RunOptions options)
    : log_{options.log},
      router_{models_of(settings.backends), settings.model_aliases},
      balancer_{settings, RelayTransport{make_transport(io, settings)}},
      health_{balancer_, io.get_executor()},
      relay_context_{balancer_, router_, settings.affinity_header,
                     options.access_log ? options.log : nullptr} {
    if (settings.mode == fairlead::Mode::single_backend) health_.stop();  // nothing is balanced there
    http_server::Limits limits;
    limits.max_body_bytes = settings.max_body_bytes;
    const bool many = options.threads > 1;
    http_server::Server::ExecutorSource source = [&io, many]() -> asio::any_io_executor {
        if (many) return asio::make_strand(io);
        return io.get_executor();
    };
    server_ = std::make_shared<http_server::Server>(
        asio::make_strand(io), std::move(source), limits,
        [this](const auto& exchange) { dispatch(exchange); }, unreadable);

    mount("/v1/", [this](const auto& exchange) { relay(relay_context_, exchange); });
    const auto status = [](const auto& exchange) { exchange->respond(json(200, R"({"status":"ok"})")); };
    mount("/health", status);
    mount("/", [status](const auto& exchange) {
        const auto& target = exchange->request().target;
        if (target == "/" || target.starts_with("/?")) return status(exchange);
        exchange->respond(error_response(unknown_path(target)));
    });
    balancer_.on_event([this](const fairlead::Event& event) { on_event(event); });
}

void Gateway::mount(std::string prefix, http_server::Handler handler) {
    mounts_.insert_or_assign(std::move(prefix), std::move(handler));
}

void Gateway::dispatch(const std::shared_ptr<Exchange>& exchange) const {
    auto& target = exchange->request().target;
    target = std::string{origin_form(target)};
    if (has_dot_segment(target)) {
        return exchange->respond(unreadable(400, "the path must not contain \".\" or \"..\" as a segment"));
    }
    for (const auto& [prefix, handler] : mounts_) {
        if (target.starts_with(prefix)) return handler(exchange);
    }
    exchange->respond(error_response(unknown_path(target)));
}

void Gateway::on_event(const fairlead::Event& event) {
    using Kind = fairlead::Event::Kind;
    if (event.kind == Kind::backend_added || event.kind == Kind::backend_updated ||
        event.kind == Kind::backend_removed) {
        std::vector<std::string> models;
        for (const auto& backend : balancer_.snapshot()) models.push_back(backend.config.model_name);
        router_.set_models(models);
    }
    if (log_ != nullptr) log_->event(event);
}

}  // namespace gateway
