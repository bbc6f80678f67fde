// One question to a backend of each model, and what is made of the answers.
#include "gateway/model_list.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <nlohmann/json.hpp>

#include "gateway/errors.hpp"
#include "gateway/headers.hpp"

namespace gateway {
namespace {

using http_server::Exchange;
using Json = nlohmann::json;

constexpr std::string_view all_models = "/v1/models";

// An engine answers from memory; one that takes longer is busy or gone, and its model is listed all the same.
constexpr auto patience = std::chrono::seconds{5};

Json bare_entry(const std::string& name) {
    return {{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "fairlead"}};
}

std::string path_of(std::string_view target) { return std::string{target.substr(0, target.find('?'))}; }

/// Whether `text` is `name`, some of it percent-encoded: clients do not agree which bytes are to be, a "/"
/// above all.
bool is_encoding_of(std::string_view text, std::string_view name) {
    for (const char wanted : name) {
        if (text.empty()) return false;
        char here = text.front();
        text.remove_prefix(1);
        if (here == '%' && text.size() >= 2) {
            unsigned value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + 2, value, 16);
            if (error != std::errc{} || end != text.data() + 2) return false;
            here = static_cast<char>(value);
            text.remove_prefix(2);
        }
        if (here != wanted) return false;
    }
    return text.empty();
}

/// A list under way. All on the exchange's executor.
class Listing final : public http_server::Responder, public std::enable_shared_from_this<Listing> {
  public:
    Listing(const RelayContext& context, std::shared_ptr<Exchange> exchange)
        : context_{context},
          exchange_{std::move(exchange)},
          settings_{context.settings.get()},
          names_{context.router.models()},
          is_sole_{names_.size() <= 1},
          path_{path_of(exchange_->request().target)} {
        for (const auto& name : names_) {
            if (!name.empty()) entries_.emplace(name, bare_entry(name));
        }
    }

    void run() {
        RelayRequest request;
        auto original = std::make_shared<fairlead::HttpRequest>(
            "GET", std::string{all_models}, fairlead::SharedBody{}, std::move(exchange_->request().headers));
        remove_hop_by_hop(original->headers);
        original->headers.remove("Host");
        request.original = std::move(original);
        exchange_->attach(shared_from_this());
        fairlead::RequestOptions options;
        options.deadline = fairlead::Deadline::in(patience, std::chrono::steady_clock::now());
        waits_for_ = 1;  // for this function's end: an answer may come at once
        for (const auto& name : names_) {
            // Who has no name beside others who have cannot be asked: no request is for it alone.
            if (name.empty() && !is_sole_) continue;
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
        if (!is_sole_) criteria.model = name;
        cancel_.emplace_back();
        context_.balancer.async_send(
            request, criteria, options,
            asio::bind_cancellation_slot(
                cancel_.back().slot(),
                asio::bind_executor(exchange_->get_executor(),
                                    [self = shared_from_this(), name](std::error_code error,
                                                                      const fairlead::HttpResponse& answer) {
                                        if (!error && answer.status == 200) self->note(name, answer.body);
                                        self->one_came();
                                    })));
    }

    void note(const std::string& name, const std::string& body) {
        const auto list = Json::parse(body, nullptr, false);
        if (!list.is_object() || !list.contains("data") || !list["data"].is_array()) return;
        for (const auto& entry : list["data"]) {
            if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_string()) continue;
            const auto id = entry["id"].get<std::string>();
            if (is_sole_ || id == name) entries_.insert_or_assign(id, entry);
        }
    }

    void one_came() {
        if (--waits_for_ > 0 || !exchange_) return;
        for (const auto& [alias, model] : settings_->model_aliases) {
            const auto entry = entries_.find(model);
            auto copy = entry != entries_.end() ? entry->second : bare_entry(alias);
            copy["id"] = alias;
            entries_.insert_or_assign(alias, std::move(copy));
        }
        std::exchange(exchange_, nullptr)->respond(answer());
    }

    fairlead::HttpResponse answer() const {
        Json body;
        if (path_ == all_models) {
            Json data = Json::array();
            for (const auto& [name, entry] : entries_) data.push_back(entry);
            body = {{"object", "list"}, {"data", std::move(data)}};
        } else {
            const auto wanted = std::string_view{path_}.substr(all_models.size() + 1);
            const auto entry = std::find_if(entries_.begin(), entries_.end(), [wanted](const auto& each) {
                return is_encoding_of(wanted, each.first);
            });
            if (entry == entries_.end()) return error_response(unknown_model(wanted));
            body = entry->second;
        }
        fairlead::HttpResponse response;
        response.status = 200;
        response.headers.set("Content-Type", "application/json");
        response.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
        return response;
    }

    const RelayContext& context_;
    std::shared_ptr<Exchange> exchange_;  // empty once the client has left
    const std::shared_ptr<const fairlead::Settings> settings_;
    const std::vector<std::string> names_;
    const bool is_sole_;  // one model, or none that is known: all that its engine lists will do
    const std::string path_;
    std::map<std::string, Json> entries_{};
    std::deque<asio::cancellation_signal> cancel_{};  // a signal does not move
    std::size_t waits_for_ = 0;
};

}  // namespace

bool is_model_list(std::string_view target) noexcept {
    target = target.substr(0, target.find('?'));
    return target == all_models || (target.starts_with(all_models) && target.size() > all_models.size() + 1 &&
                                    target[all_models.size()] == '/');
}

void list_models(const RelayContext& context, const std::shared_ptr<Exchange>& exchange) {
    // The engine's own word is the best where nothing is to be added.
    if (context.router.models().size() <= 1 && context.settings.get()->model_aliases.empty()) {
        return relay(context, exchange);
    }
    std::make_shared<Listing>(context, exchange)->run();
}

}  // namespace gateway
