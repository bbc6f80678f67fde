// How the parts of the gateway are put together.
#include "gateway/gateway.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include <asio/strand.hpp>

#include "gateway/admin.hpp"
#include "gateway/descriptors.hpp"
#include "gateway/engine_paths.hpp"
#include "gateway/errors.hpp"
#include "gateway/headers.hpp"
#include "gateway/model_list.hpp"

namespace gateway {
namespace {

using http_server::Exchange;

std::string events_prefix() { return std::string{fairlead::AdminApi::prefix} + "/events"; }

std::vector<std::string> models_of(const std::vector<fairlead::BackendConfig>& backends) {
    std::vector<std::string> models;
    for (const auto& backend : backends) models.push_back(backend.model_name);
    return models;
}

fairlead::HttpTransport make_transport(asio::io_context& io, const fairlead::Settings& settings,
                                       bool many_threads) {
    fairlead::HttpTransportOptions options;
    options.one_thread = !many_threads;
    options.tls.ca_file = settings.tls_ca_file;
    options.ask_for_load = settings.options.load_headers;
    options.comments_count = settings.comments_count;
    return fairlead::HttpTransport{io, options};
}

/// Empty where there is no such file.
std::string text_of(const std::string& file) {
    std::ifstream in{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
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

fairlead::HttpResponse refused_method(const std::string& method) {
    auto response = unreadable(405, "the method " + method + " is not relayed");
    response.headers.set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    return response;
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
    : io_{io},
      many_threads_{options.threads > 1},
      max_connections_{options.max_connections},
      log_{options.log},
      router_{models_of(settings.backends)},
      settings_{settings},
      authorities_{text_of(settings.tls_ca_file)},
      balancer_{settings, RelayTransport{make_transport(io, settings, many_threads_)}},
      health_{balancer_, io.get_executor()},
      load_{balancer_, io.get_executor()},
      block_size_{balancer_},
      relay_context_{.balancer = balancer_,
                     .router = router_,
                     .settings = settings_,
                     .block_size = block_size_,
                     .access_log = options.access_log ? options.log : nullptr,
                     .continuations = &continuations_},
      admin_{balancer_, health_, settings.admin_key},
      server_{make_server(settings.max_body_bytes, max_connections_, mounts_, unreadable)} {
    if (settings.mode == fairlead::Mode::single_backend) health_.stop();  // nothing is balanced there
    mount("/v1/", [this](const auto& exchange) {
        const auto& request = exchange->request();
        const bool lists = request.method == "GET" && is_model_list(request.target);
        lists ? list_models(relay_context_, exchange) : relay(relay_context_, exchange);
    });
    const auto status = [](const auto& exchange) { exchange->respond(json(200, R"({"status":"ok"})")); };
    mount("/health", status);
    mount("/metrics", metrics_handler(relay_context_, admin_));
    mount("/", [this, status](const auto& exchange) {
        const auto& target = exchange->request().target;
        if (is_engine_path(target)) return relay(relay_context_, exchange);
        if (target == "/" || target.starts_with("/?")) return status(exchange);
        exchange->respond(error_response(unknown_path(target)));
    });
    mount(std::string{fairlead::AdminApi::prefix}, admin_handler(admin_));
    mount(events_prefix(), events_.handler());
    mount(std::string{dashboard_path}, dashboard_handler());
    balancer_.on_event([this](const fairlead::Event& event) { on_event(event); });
}

std::shared_ptr<http_server::Server> Gateway::make_server(std::size_t max_body, std::size_t max_connections,
                                                          const Mounts& mounts,
                                                          http_server::ErrorPage error_page) {
    http_server::Limits limits;
    limits.max_body_bytes = max_body;
    limits.max_connections = max_connections;
    http_server::Server::ExecutorSource source = [&io = io_,
                                                  many = many_threads_]() -> asio::any_io_executor {
        if (many) return asio::make_strand(io);
        return io.get_executor();
    };
    return std::make_shared<http_server::Server>(
        asio::make_strand(io_), std::move(source), limits,
        [&mounts](const auto& exchange) { dispatch(mounts, exchange); }, std::move(error_page));
}

void Gateway::listen_admin(const std::string& address) {
    admin_server_ = make_server(fairlead::AdminApi::max_body_bytes, descriptors_for_admin(max_connections_),
                                admin_mounts_, admin_error_page);
    admin_server_->listen(address);
    for (const char* prefix : {"/health", "/metrics"}) admin_mounts_[prefix] = mounts_[prefix];
    for (const std::string& prefix : {events_prefix(), std::string{dashboard_path}}) {
        admin_mounts_[prefix] = mounts_[prefix];
        mounts_.erase(prefix);
    }
    // Whatever else is asked for is answered in the API's shape, and only to who has the key.
    admin_mounts_["/"] = admin_handler(admin_);
    mounts_.erase(std::string{fairlead::AdminApi::prefix});
}

std::string Gateway::admin_url() const {
    return (admin_server_ ? admin_server_->url() : url()).append(fairlead::AdminApi::prefix);
}

void Gateway::mount(std::string prefix, http_server::Handler handler) {
    mounts_.insert_or_assign(std::move(prefix), std::move(handler));
}

fairlead::ReloadReport Gateway::reload(const fairlead::Settings& before, const fairlead::Settings& after) {
    std::string authorities = text_of(after.tls_ca_file);
    const bool other_authorities = before.tls_ca_file != after.tls_ca_file || authorities != authorities_;
    // Made first: the one thing that can still fail.
    std::optional<fairlead::HttpTransport> transport;
    if (other_authorities || before.options.load_headers != after.options.load_headers ||
        before.comments_count != after.comments_count)
        transport.emplace(make_transport(io_, after, many_threads_));
    auto report = fairlead::reload(balancer_, before, after);
    if (!report.applied) return report;
    if (transport) balancer_.transport().replace(std::move(*transport));
    authorities_ = std::move(authorities);
    if (before.admin_key != after.admin_key) admin_.set_key(after.admin_key);
    server_->set_max_body_bytes(after.max_body_bytes);
    settings_.set(after);
    std::move(report.of_host.begin(), report.of_host.end(), std::back_inserter(report.settings));
    report.of_host.clear();
    if (other_authorities && before.tls_ca_file == after.tls_ca_file)
        report.settings.emplace_back("tls_ca_file");
    return report;
}

void Gateway::stop(std::function<void()> drained) {
    events_.stop();
    if (!admin_server_) return server_->stop_accepting(std::move(drained));
    const auto left = std::make_shared<std::atomic<int>>(2);
    const auto one_drained = [left, drained = std::move(drained)] {
        // Acquire and release: who is last comes after all that the other did.
        if (left->fetch_sub(1, std::memory_order_acq_rel) == 1 && drained) drained();
    };
    server_->stop_accepting(one_drained);
    admin_server_->stop_accepting(one_drained);
}

void Gateway::close() {
    load_.stop();
    health_.stop();  // its timer would keep the loop running, as would
    balancer_.cancel_mirrored();
    server_->close();
    if (admin_server_) admin_server_->close();
}

void Gateway::dispatch(const Mounts& mounts, const std::shared_ptr<Exchange>& exchange) {
    // What a backend echoes would hold the key that it was sent.
    if (exchange->request().method == "TRACE") return exchange->respond(refused_method("TRACE"));
    auto& target = exchange->request().target;
    if (const auto path = origin_form(target); path.size() != target.size()) target = std::string{path};
    // The admin API passes no path on to anybody: there a name may be "..", which it does not find.
    if (!fairlead::AdminApi::is_mine(target) && has_dot_segment(target)) {
        return exchange->respond(unreadable(400, "the path must not contain \".\" or \"..\" as a segment"));
    }
    for (const auto& [prefix, handler] : mounts) {
        if (target.starts_with(prefix)) return handler(exchange);
    }
    exchange->respond(error_response(unknown_path(target)));
}

void Gateway::on_event(const fairlead::Event& event) {
    using Kind = fairlead::Event::Kind;
    if (event.kind == Kind::backend_added || event.kind == Kind::backend_updated ||
        event.kind == Kind::backend_removed) {
        const std::lock_guard lock{models_mutex_};  // so that the last to look is the last to tell
        std::vector<std::string> models;
        for (const auto& backend : balancer_.snapshot()) models.push_back(backend.config.model_name);
        router_.set_models(models);
    }
    if (log_ != nullptr) log_->event(event);
}

}  // namespace gateway
