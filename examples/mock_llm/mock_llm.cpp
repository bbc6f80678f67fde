// Starting, stopping and restarting the stand-in.
#include "mock_llm/mock_llm.hpp"

#include <utility>

#include <asio/strand.hpp>

#include "mock_llm/service.hpp"

namespace mock_llm {
namespace {

fairlead::HttpResponse unreadable(int status, std::string_view message) {
    return error(status, message, "invalid_request_error", "bad_request");
}

}  // namespace

MockLlm::MockLlm(asio::any_io_executor executor, Options options)
    : executor_{std::move(executor)}, options_{std::move(options)}, address_{options_.listen} {
    restart();
    address_ = server_->url().substr(std::string_view{"http://"}.size());
}

MockLlm::~MockLlm() { stop(); }

std::string MockLlm::url() const { return "http://" + address_; }

void MockLlm::set_failure(Failure failure, double ratio) { service_->set_failure(failure, ratio); }

Counters MockLlm::counters() const { return service_->counters(); }

void MockLlm::stop() { server_->close(); }

void MockLlm::restart() {
    if (server_) server_->close();
    // One strand for everything: an engine is one thing, and the stand-in need not be fast.
    const asio::strand<asio::any_io_executor> strand{executor_};
    service_ = std::make_shared<Service>(strand, options_);
    server_ = std::make_shared<http_server::Server>(
        strand, [strand] { return asio::any_io_executor{strand}; }, http_server::Limits{},
        [service = service_](const auto& exchange) { service->handle(exchange); }, unreadable);
    server_->listen(address_);
}

}  // namespace mock_llm
