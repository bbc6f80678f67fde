// One question to a backend of each model, and what is made of the answers.
#include "gateway/model_list.hpp"

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>

#include "gateway/errors.hpp"
#include "gateway/headers.hpp"
#include "gateway/model_entries.hpp"

namespace gateway {
namespace {

using http_server::Exchange;

constexpr std::string_view all_models = "/v1/models";

// An engine answers from memory; one that takes longer is busy or gone, and its model is listed all the same.
constexpr auto patience = std::chrono::seconds{5};

std::string without_query(std::string_view target) { return std::string{target.substr(0, target.find('?'))}; }

/// A list under way. All on the exchange's executor.
class Listing final : public http_server::Responder, public std::enable_shared_from_this<Listing> {
  public:
    Listing(const RelayContext& context, std::shared_ptr<Exchange> exchange)
        : context_{context},
          exchange_{std::move(exchange)},
          settings_{context.settings.get()},
          names_{context.router.models()},
          entries_{names_},
          path_{without_query(exchange_->request().target)} {}

    void run() {
        RelayRequest request;
        auto original = std::make_shared<fairlead::HttpRequest>(
            "GET", std::string{all_models}, fairlead::SharedBody{}, std::move(exchange_->request().headers));
        remove_hop_by_hop(original->headers);
        original->headers.remove("Host");
        // The answer is for the gateway, which reads it: whole, and as it is.
        for (const auto* name : {"Accept-Encoding", "If-None-Match", "If-Modified-Since", "If-Match",
                                 "If-Unmodified-Since", "If-Range", "Range"}) {
            original->headers.remove(name);
        }
        original->headers.remove(tags_header);  // the list is of the whole fleet
        request.original = std::move(original);
        exchange_->attach(shared_from_this());
        fairlead::RequestOptions options;
        options.deadline = fairlead::Deadline::in(patience, std::chrono::steady_clock::now());
        waits_for_ = 1;  // for this function's end: an answer may come at once
        for (const auto& name : names_) {
            // Who has no name beside others who have cannot be asked: no request is for it alone.
            if (name.empty() && !entries_.is_sole()) continue;
            ask(name, request, options);
        }
        one_came();
    }

    void on_left() override {
        exchange_.reset();
        for (auto& signal : cancel_) signal.emit(asio::cancellation_type::terminal);
    }

  private:
    void ask(const std::string& name, const RelayRequest& request, const fairlead::RequestOptions& options) {
        ++waits_for_;
        fairlead::Criteria criteria;
        if (!entries_.is_sole()) criteria.model = name;
        cancel_.emplace_back();
        context_.balancer.async_send(
            request, criteria, options,
            asio::bind_cancellation_slot(
                cancel_.back().slot(),
                asio::bind_executor(exchange_->get_executor(),
                                    [self = shared_from_this(), name](std::error_code error,
                                                                      const fairlead::HttpResponse& answer) {
                                        self->take(name, error, answer);
                                    })));
    }

    void take(const std::string& name, std::error_code error, const fairlead::HttpResponse& answer) {
        if (!error && answer.status == 200) {
            entries_.note(name, answer.body);
        } else {
            failure_ = error ? could_not_relay_response(error, {}) : answer;
        }
        one_came();
    }

    void one_came() {
        if (--waits_for_ > 0 || !exchange_) return;
        for (const auto& [alias, model] : settings_->model_aliases) {
            entries_.add_alias(alias, model);
        }
        std::exchange(exchange_, nullptr)->respond(answer());
    }

    fairlead::HttpResponse answer() const {
        std::optional<std::string> body;
        if (path_ == all_models) {
            body = entries_.list();
        } else {
            const auto wanted = std::string_view{path_}.substr(all_models.size() + 1);
            body = entries_.find(wanted);
            // Of one model without a name only its engine could have told.
            if (!body && entries_.is_sole() && failure_) return *failure_;
            if (!body) return error_response(unknown_model(wanted));
        }
        fairlead::HttpResponse response;
        response.status = 200;
        response.headers.set("Content-Type", "application/json");
        response.body = *std::move(body);
        return response;
    }

    const RelayContext& context_;
    std::shared_ptr<Exchange> exchange_;  // empty once the client has left
    const std::shared_ptr<const fairlead::Settings> settings_;
    const std::vector<std::string> names_;
    ModelEntries entries_;
    const std::string path_;
    std::deque<asio::cancellation_signal> cancel_{};  // a signal does not move
    std::optional<fairlead::HttpResponse> failure_{};
    std::size_t waits_for_ = 0;
};

}  // namespace

bool is_model_list(std::string_view target) noexcept {
    target = target.substr(0, target.find('?'));
    return target == all_models || (target.starts_with(all_models) && target.size() > all_models.size() + 1 &&
                                    target[all_models.size()] == '/');
}

void list_models(const RelayContext& context, const std::shared_ptr<Exchange>& exchange) {
    // The engine's own word is the best where nothing is to be added. (Of one model vLLM knows none.)
    const bool is_whole = without_query(exchange->request().target) == all_models;
    if (is_whole && context.router.models().size() <= 1 && context.settings.get()->model_aliases.empty()) {
        return relay(context, exchange);
    }
    std::make_shared<Listing>(context, exchange)->run();
}

}  // namespace gateway
