// Exchanges of the gateway's HTTP server as requests to the admin API, and back.
#include "gateway/admin.hpp"

#include <memory>
#include <string>
#include <utility>

#include <asio/dispatch.hpp>
#include <nlohmann/json.hpp>

#include <fairlead/control/prometheus.hpp>

#include "gateway/errors.hpp"

namespace gateway {
namespace {

using http_server::Exchange;

/// Answers one exchange, unless its client leaves before: a probe may take seconds.
class AdminExchange final : public http_server::Responder,
                            public std::enable_shared_from_this<AdminExchange> {
  public:
    explicit AdminExchange(std::shared_ptr<Exchange> exchange)
        : executor_{exchange->get_executor()}, exchange_{std::move(exchange)} {}

    void run(const fairlead::AdminApi& api) {
        exchange_->attach(shared_from_this());
        const auto request = std::move(exchange_->request());
        const std::string peer = exchange_->peer();
        api.handle({request.method, request.target, request.headers, request.body.view(), peer},
                   [self = shared_from_this()](int status, fairlead::HttpHeaders headers, std::string body) {
                       // The probe ends on whatever thread; the exchange has its own.
                       asio::dispatch(self->executor_,
                                      [self, response = fairlead::HttpResponse{
                                                 status, std::move(body), std::move(headers)}]() mutable {
                                          self->answer(std::move(response));
                                      });
                   });
    }

    void on_left() override { exchange_.reset(); }

  private:
    void answer(fairlead::HttpResponse response) {
        if (exchange_) std::exchange(exchange_, nullptr)->respond(std::move(response));
    }

    asio::any_io_executor executor_;
    std::shared_ptr<Exchange> exchange_;  // empty once it is over
};

fairlead::HttpResponse plain_text(int status, std::string body) {
    return fairlead::HttpResponse{status, std::move(body), {{"Content-Type", "text/plain; charset=utf-8"}}};
}

/// The gateway's own, behind the balancer's.
std::string own_metrics(const RelayContext& context) {
    if (context.continuations == nullptr) return {};
    const auto metric = [](std::string name, std::string_view help, const std::atomic<std::uint64_t>& count) {
        std::string text = "# HELP " + name + " ";
        text.append(help).append("\n# TYPE ").append(name).append(" counter\n").append(name).append(" ");
        return text + std::to_string(count.load(std::memory_order_relaxed)) + "\n";
    };
    return metric("fairlead_stream_continuations_total",
                  "Streams that broke and whose rest was asked of another backend.",
                  context.continuations->tried) +
           metric("fairlead_stream_continuations_joined_total",
                  "Of these, streams that another backend went on with.", context.continuations->succeeded);
}

}  // namespace

http_server::Handler admin_handler(const fairlead::AdminApi& api) {
    return [&api](const auto& exchange) { std::make_shared<AdminExchange>(exchange)->run(api); };
}

http_server::Handler metrics_handler(const RelayContext& context, const fairlead::AdminApi& api) {
    return [&context, &api](const auto& exchange) {
        const auto& request = exchange->request();
        const std::string_view target{request.target};
        if (target.substr(0, target.find('?')) != "/metrics")
            return exchange->respond(error_response(unknown_path(target)));
        if (request.method != "GET" && request.method != "HEAD") {
            auto refusal = plain_text(405, "use GET\n");
            refusal.headers.set("Allow", "GET, HEAD");
            return exchange->respond(std::move(refusal));
        }
        if (context.settings.get()->metrics_key_required && !api.admits(request.headers, exchange->peer())) {
            auto refusal = plain_text(401, "the metrics need the admin key, as Authorization: Bearer\n");
            refusal.headers.set("WWW-Authenticate", "Bearer");
            return exchange->respond(std::move(refusal));
        }
        exchange->respond(
            fairlead::HttpResponse{200,
                                   fairlead::prometheus_text(context.balancer) + own_metrics(context),
                                   {{"Content-Type", std::string{fairlead::prometheus_content_type}}}});
    };
}

fairlead::HttpResponse admin_error_page(int status, std::string_view message) {
    const nlohmann::json body{{"status", "error"}, {"detail", message}};
    return fairlead::HttpResponse{status, body.dump() + '\n', {{"Content-Type", "application/json"}}};
}

}  // namespace gateway
