// The relay of one request: what it waits for, in order, and what each way of ending means.
#include "gateway/relay.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>

#include "gateway/affinity_key.hpp"
#include "gateway/continuation.hpp"
#include "gateway/done_marker.hpp"
#include "gateway/errors.hpp"
#include "gateway/headers.hpp"
#include "gateway/prompt_key.hpp"
#include "gateway/usage_reader.hpp"

namespace gateway {
namespace {

using http_server::Exchange;

/// How a body of this type is read. Nothing under /v1/ takes web forms of the simple kind: that is what curl
/// says of any text that it is given.
RelayRequest::Body body_kind(std::string_view content_type) {
    const auto type = media_type(content_type);
    if (type == "multipart/form-data") return RelayRequest::Body::form;
    const bool is_json =
        type.empty() || type.find("json") != std::string::npos || type == "application/x-www-form-urlencoded";
    return is_json ? RelayRequest::Body::json : RelayRequest::Body::opaque;
}

class Relay final : public http_server::Responder, public std::enable_shared_from_this<Relay> {
  public:
    Relay(const RelayContext& context, std::shared_ptr<Exchange> exchange)
        : context_{context}, exchange_{std::move(exchange)}, executor_{exchange_->get_executor()} {}

    void run() {
        began_ = std::chrono::steady_clock::now();
        auto original = std::make_shared<fairlead::HttpRequest>(std::move(exchange_->request()));
        if (context_.access_log != nullptr) {
            entry_ = std::make_unique<AccessEntry>();
            entry_->peer = exchange_->peer();
            entry_->method = original->method;
            entry_->target = original->target;
        }
        const auto settings = context_.settings.get();
        if (!read_tags(*original) || !read_model(*original, *settings)) return;
        find_keys(*original, *settings);
        may_continue_ = settings->stream_continuation;
        request_.original = std::move(original);
        exchange_->attach(shared_from_this());
        send();
    }

    void on_written() override {
        if (std::exchange(end_waits_, false)) return ended_with(asio::error::eof);
        read();
    }

    void on_left() override {
        left_ = true;
        exchange_.reset();
        cancel_.emit(asio::cancellation_type::terminal);
        if (stream_) stream_.cancel();
        ended("client left");
    }

  private:
    using Stream = fairlead::Stream<GatewayBalancer>;

    /// False when the request was refused; so below.
    bool read_tags(fairlead::HttpRequest& original) {
        auto tags = take_tags(original.headers);
        if (!tags) return refuse(error_response(too_many_tags()));
        tags_ = *std::move(tags);
        return true;
    }

    bool read_model(const fairlead::HttpRequest& original, const fairlead::Settings& settings) {
        if (!body_matters(settings)) return true;
        if (!find_model_in(original)) return false;
        const auto name = request_.model.value.value_or("");
        auto choice = context_.router.choose(name, settings.model_aliases);
        // What has no body (a list of models, a stored file) asks for no model.
        if (choice.verdict == ModelChoice::Verdict::missing && !original.body.empty()) {
            return refuse(error_response(missing_model()));
        }
        if (choice.verdict == ModelChoice::Verdict::unknown)
            return refuse(error_response(unknown_model(name)));
        model_ = std::move(choice.model);
        request_.alias_of = ModelRouter::alias_of(name, settings.model_aliases);
        return true;
    }

    bool find_model_in(const fairlead::HttpRequest& original) {
        if (original.body.empty()) return true;
        const auto type = original.headers.get("Content-Type").value_or("");
        request_.body = body_kind(type);
        if (request_.body == RelayRequest::Body::opaque) return true;
        const bool form = request_.body == RelayRequest::Body::form;
        auto scan = form ? find_form_model(type, original.body.view()) : find_model(original.body.view());
        if (!scan.problem.empty()) {
            const auto say = form ? bad_form : bad_body;
            return refuse(error_response(say(scan.problem, scan.about_model)));
        }
        request_.model = std::move(scan.field);
        user_ = scan.user;
        // A form for a file that is kept has no field "model", and must not be given one.
        if (form && !request_.model.value && stores_something(original.method, original.target)) {
            request_.body = RelayRequest::Body::opaque;
        }
        return true;
    }

    /// Whether anything in a body can make a difference: a name, an alias, the key of a strategy that has
    /// one, a prompt.
    bool body_matters(const fairlead::Settings& settings) const {
        if (context_.router.names_matter() || !settings.model_aliases.empty()) return true;
        const auto strategy = context_.balancer.strategy_name();
        return strategy == fairlead::ConsistentHash::name || strategy == fairlead::PrefixAffinity::name;
    }

    /// What lies in the backends' caches matters to one strategy, and to one where there is no key; requests
    /// do not wait for it under another.
    void find_keys(const fairlead::HttpRequest& original, const fairlead::Settings& settings) {
        key_ = affinity_key(original.headers, user_, settings);
        if (request_.body != RelayRequest::Body::json || !has_prompt(original.target)) return;
        const auto strategy = context_.balancer.strategy_name();
        const bool learns = strategy == fairlead::PrefixAffinity::name;
        const bool hashes =
            strategy == fairlead::ConsistentHash::name && key_.empty() && prompt_is_key(settings);
        if (!learns && !hashes) return;
        // Keys stand on the settings alone: other gateways make the same of them.
        const auto block =
            learns ? context_.block_size.get(settings.options, began_) : block_tokens_of(settings.options);
        prompt_ = read_prompt(original.body.view(), model_of_cache(), block);
        // A conversation grows, and what it begins with does not: its blocks would move it, turn by turn.
        if (hashes && prompt_.owner != 0) key_ = std::to_string(prompt_.owner);
    }

    /// As the backend is asked for it, whatever the client called it.
    std::string model_of_cache() const {
        if (!model_.empty()) return model_;
        if (auto only = context_.router.only_model(); !only.empty()) return only;
        return request_.alias_of.empty() ? request_.model.value.value_or("") : request_.alias_of;
    }

    void send() {
        fairlead::Criteria criteria;
        criteria.key = key_;
        criteria.model = model_;
        const std::vector<std::string_view> tags{tags_.begin(), tags_.end()};
        criteria.tags = tags;
        criteria.tokens = prompt_.tokens != 0 ? prompt_.tokens : request_.original->body.size() / 4;
        criteria.prefix = prompt_.blocks;
        criteria.owner = prompt_.owner;
        std::vector<std::string_view> broken;
        if (going_) broken.assign(going_->broken.begin(), going_->broken.end());
        criteria.exclude = broken;
        fairlead::RequestOptions options;
        if (going_) options.retries_used = going_->retries;
        if (stores_something(request_.original->method, request_.original->target)) {
            options.retry = fairlead::RequestOptions::Retry::never;
        }
        context_.balancer.async_stream(
            request_, criteria, options,
            asio::bind_cancellation_slot(
                cancel_.slot(), asio::bind_executor(executor_, [self = shared_from_this()](
                                                                   std::error_code error, Stream stream) {
                    self->joins() ? self->on_rest(error, std::move(stream))
                                  : self->on_head(error, std::move(stream));
                })));
    }

    void on_head(std::error_code error, Stream stream) {
        if (left_) return;  // dropping the stream reports the request as cancelled
        if (error) {
            refuse(could_not_relay_response(error, stream.retry_after()));
            return;
        }
        stream_ = std::move(stream);
        const auto head = stream_.take_head();
        if (entry_) {
            entry_->backend = stream_.backend().name;
            entry_->status = head.status;
        }
        begin_answer(head);
        has_events_ = is_stream_of_events(head);
        wants_done_ =
            has_events_ && ends_with_done(request_.original->method, request_.original->target, head);
        stream_.set_unterminated(wants_done_);
        tells_usage_ = has_events_ || is_json(head);
        if (may_continue_) prepare_continuation(head);
        if (!going_) request_ = {};  // an open stream keeps no more than it needs
        read_ready();
    }

    void read_ready() {
        // The head waits for what has come of the body already, and no longer: they leave in one write.
        auto ready = stream_.take_ready();
        if (ready.complete && !going_) {
            take_in(ready.data);  // before the end is reported
            stream_.end_reached();
            if (entry_) entry_->bytes += ready.data.size();
            last_ = std::move(ready.data);
            return ended_with(asio::error::eof);
        }
        const bool went = ready.data.empty() || pass_on(ready.data);
        if (ready.complete) {
            stream_.end_reached();
            end_waits_ = !went;  // for the client
            if (went) ended_with(asio::error::eof);
            return;
        }
        exchange_->flush();
        if (went) read();
    }

    void begin_answer(const fairlead::HttpResponse& head) {
        const auto length = content_length(head.headers);
        const auto name = percent_encoded(stream_.backend().name);
        const std::initializer_list<Exchange::Field> own{{"X-Fairlead-Backend", name}};
        const bool asked = request_.original->headers.contains(fairlead::orca_request_header);
        const bool tells = head.headers.contains(fairlead::orca_response_header);
        if (!head.headers.contains("Connection") && (asked || !tells)) {
            return exchange_->start(head, length, own);
        }
        auto allowed = head;
        remove_hop_by_hop(allowed.headers);                                  // also what `Connection` names
        if (!asked) allowed.headers.remove(fairlead::orca_response_header);  // it was the gateway that asked
        exchange_->start(allowed, length, own);
    }

    void read() {
        if (!stream_) return;
        stream_.async_read_piece(ReadHandler{shared_from_this()});
    }

    /// One is made for every piece: it shares the executor instead of copying it.
    struct ReadHandler {
        using executor_type = asio::any_io_executor;
        executor_type get_executor() const noexcept { return self->executor_; }
        void operator()(std::error_code error, const fairlead::HttpPiece& piece) const {
            self->on_read(error, piece.view());
        }
        std::shared_ptr<Relay> self;
    };

    void on_read(std::error_code error, std::string_view piece) {
        if (left_ || !exchange_) return;
        if (error) return ended_with(error);
        if (pass_on(piece)) read();
    }

    /// False when the client has to take it first: `on_written` tells.
    bool pass_on(std::string_view piece) {
        take_in(piece);
        if (going_) piece = going_->text.feed(piece);
        if (entry_) entry_->bytes += piece.size();
        return piece.empty() || exchange_->offer(piece);
    }

    /// What is to be learnt from a piece of the answer.
    void take_in(std::string_view piece) {
        if (has_events_) {
            done_.feed(piece);
            if (wants_done_) stream_.set_unterminated(!done_.seen());
            stream_.came(done_.events());
        }
        if (tells_usage_ && usage_.feed(piece)) {
            auto usage = usage_.usage().value_or(Usage{});
            stream_.count_tokens(usage.prompt, usage.completion);
            if (joins()) {  // what the client sees is one answer
                const auto before = going_->text.tokens_before();
                usage.prompt -= std::min(usage.prompt, before);
                usage.completion += before;
            }
            if (entry_) entry_->usage = usage;
        }
    }

    void ended_with(std::error_code error) {
        bool complete = error == asio::error::eof && (!wants_done_ || done_.seen());
        // Behind the marker nothing is missed, however the connection ended.
        if (going_ && (complete || going_->text.is_done())) {
            if (const auto rest = going_->text.rest(); !rest.empty()) exchange_->offer(rest);
            complete = !going_->text.is_torn();
        } else if (going_) {
            if (ask_for_rest(error)) return;
            if (const auto ending = going_->text.ending(); !ending.empty()) {
                exchange_->offer(ending);
                complete = true;
            }
        }
        finish(complete);
    }

    void finish(bool complete) {
        const auto exchange = std::exchange(exchange_, nullptr);
        if (complete) {
            last_.empty() ? exchange->finish() : exchange->finish(std::move(last_));
        } else {
            if (!last_.empty()) exchange->offer(last_);
            exchange
                ->flush();  // who gets nothing at all takes it for a connection that was closed while idle
            exchange->abort();
        }
        ended(complete ? "complete" : "broken");
    }

    // --- going on elsewhere ------------------------------------------------------------------------------

    struct Going {
        Continuation text;
        std::shared_ptr<const fairlead::HttpRequest> asked;  // by the client
        std::uint32_t retries;                               // further tries of the whole
        std::string backend;                                 // that answers now
        std::vector<std::string> broken{};                   // the backends where it broke
    };

    void prepare_continuation(const fairlead::HttpResponse& head) {
        // A length that was promised cannot be kept.
        if (!wants_done_ || content_length(head.headers) || head.status != 200) return;
        const auto& original = *request_.original;
        if (auto made = Continuation::of(original.target, original.body.view()))
            going_ = std::make_unique<Going>(
                Going{std::move(*made), request_.original, stream_.retries(), stream_.backend().name});
    }

    /// Whether another answer than the first is asked for, or read.
    bool joins() const noexcept { return going_ && !going_->broken.empty(); }

    /// The stream ended with `error` before its proper end. True when another backend was asked for the rest:
    /// the settings' further tries, the retry budget and what the answer is allow it, in this order, since
    /// asking the budget spends.
    bool ask_for_rest(std::error_code error) {
        // A limit of the whole exchange is not to be got round.
        if (error == fairlead::TransportErrc::total_timeout) return false;
        const auto outcome = error == asio::error::eof ? fairlead::Outcome{fairlead::Outcome::connect_error}
                                                       : RelayTransport::outcome(error, stream_.head());
        if (!fairlead::retries(outcome, context_.balancer.options().retry_on, false)) return false;
        if (going_->retries >= context_.balancer.max_retries() || !going_->text.can_go_on()) return false;
        auto body = going_->text.next_body(going_->asked->body.view());
        if (!body || !context_.balancer.take_retry(going_->backend, "stream broken")) return false;
        ++going_->retries;
        going_->broken.push_back(going_->backend);
        auto rest = std::make_shared<fairlead::HttpRequest>(*going_->asked);
        rest->body = std::move(*body);
        if (request_.body == RelayRequest::Body::json) request_.model = find_model(rest->body.view()).field;
        find_keys(*rest, *context_.settings.get());
        request_.original = std::move(rest);
        stream_ = {};
        if (context_.continuations != nullptr)
            context_.continuations->tried.fetch_add(1, std::memory_order_relaxed);
        send();
        return true;
    }

    void on_rest(std::error_code error, Stream stream) {
        if (left_) return;
        if (error) return finish(false);
        stream_ = std::move(stream);
        const auto& head = stream_.head();
        const auto& original = *request_.original;
        if (head.status != 200) {
            stream_.end_reached();  // what it refuses with counts, and nobody reads its words
            return finish(false);
        }
        if (!ends_with_done(original.method, original.target, head)) return finish(false);
        if (context_.continuations != nullptr)
            context_.continuations->succeeded.fetch_add(1, std::memory_order_relaxed);
        going_->backend = stream_.backend().name;
        if (entry_) entry_->backend = going_->backend;
        going_->retries += stream_.retries();
        done_ = {};
        usage_ = {};
        stream_.set_unterminated(true);
        read_ready();
    }

    bool refuse(fairlead::HttpResponse response) {
        if (entry_) {
            entry_->status = response.status;
            entry_->bytes = response.body.size();
        }
        std::exchange(exchange_, nullptr)->respond(std::move(response));
        ended("complete");
        return false;
    }

    void ended(std::string_view how) {
        if (!entry_) return;
        entry_->end = how;
        entry_->took = std::chrono::steady_clock::now() - began_;
        context_.access_log->access(*entry_);
    }

    const RelayContext& context_;
    std::shared_ptr<Exchange> exchange_;  // empty once the exchange is over
    const asio::any_io_executor executor_;
    RelayRequest request_{};
    std::string model_{};
    std::string user_{};
    std::string key_{};
    std::vector<std::string> tags_{};
    PromptKey prompt_{};
    asio::cancellation_signal cancel_{};
    Stream stream_{};
    std::string last_{};              // of the answer, where it came whole
    std::unique_ptr<Going> going_{};  // where the stream can be gone on with elsewhere
    DoneMarker done_{};
    UsageReader usage_{};
    bool wants_done_ = false;  // an answer without the marker is broken
    bool has_events_ = false;
    bool tells_usage_ = false;
    bool end_waits_ = false;  // the answer's end is here; its client has to take a piece first
    bool left_ = false;
    bool may_continue_ = false;  // as the settings say
    std::chrono::steady_clock::time_point began_{};
    std::unique_ptr<AccessEntry> entry_{};  // empty: nothing is logged
};

}  // namespace

void relay(const RelayContext& context, const std::shared_ptr<Exchange>& exchange) {
    std::make_shared<Relay>(context, exchange)->run();
}

}  // namespace gateway
