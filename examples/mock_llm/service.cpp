// The routes of the stand-in, and one completion's way through the engine.
#include "mock_llm/service.hpp"

#include <charconv>
#include <chrono>
#include <utility>

#include <fairlead/transport/orca.hpp>

#include "mock_llm/prompt_blocks.hpp"

namespace mock_llm {
namespace {

using http_server::Exchange;

/// A completion under way: hands tokens on as the engine brings them.
class Job final : public http_server::Responder, public std::enable_shared_from_this<Job> {
  public:
    Job(std::shared_ptr<MockLlm::Service> service, std::shared_ptr<Exchange> exchange, Completion completion,
        std::string name, bool cut)
        : service_{std::move(service)},
          exchange_{std::move(exchange)},
          completion_{std::move(completion)},
          name_{std::move(name)},
          answer_{completion_},
          cut_{cut} {}

    void run() {
        exchange_->attach(shared_from_this());
        orca_ = exchange_->request().headers.get(fairlead::orca_request_header).value_or("");
        // A cut answer breaks in its middle, before the engine is done.
        const auto tokens = cut_ ? completion_.tokens / 2 + 1 : completion_.tokens;
        const auto id = service_->engine().submit(
            service_->prompt_of(completion_), tokens,
            [self = shared_from_this()](const Engine::Tokens& come) { self->on_tokens(come); });
        id_ = id;
    }

    void on_written() override {
        writing_ = false;
        if (cut_ && all_) return break_off();
        if (written_ended_) {
            std::exchange(exchange_, nullptr)->finish();
            return service_->finished();
        }
        write();
    }

    void on_left() override {
        exchange_.reset();
        service_->cancelled();
        service_->engine().cancel(id_);
    }

  private:
    void on_tokens(const Engine::Tokens& come) {
        if (!exchange_) return;
        made_ += come.count;
        all_ = all_ || come.last;
        cached_ = come.cached_tokens;
        if (completion_.stream) return write();
        if (!come.last) return;
        auto response = json_response(200, answer_.whole(cached_));
        set_headers(response);
        if (cut_) {
            text_ = response.body.substr(0, response.body.size() / 2);
            exchange_->start(response, response.body.size());
            return exchange_->write(text_);
        }
        std::exchange(exchange_, nullptr)->respond(std::move(response));
        service_->finished();
    }

    /// Sends what has been made since the last piece, when that one is out.
    void write() {
        if (writing_ || !exchange_ || (made_ == sent_ && !all_)) return;
        if (!started_) {
            fairlead::HttpResponse head;
            head.status = 200;
            head.headers.set("Content-Type", "text/event-stream");
            head.headers.set("Cache-Control", "no-cache");
            set_headers(head);
            exchange_->start(head, std::nullopt);
            started_ = true;
        }
        text_ = answer_.event(sent_, made_ - sent_);
        sent_ = made_;
        if (all_ && !cut_) {
            text_ += answer_.end(cached_);
            written_ended_ = true;
        }
        if (text_.empty()) return;
        writing_ = true;
        exchange_->write(text_);
    }

    void set_headers(fairlead::HttpResponse& head) const {
        head.headers.set("X-Mock-Name", name_);
        if (!orca_.empty())
            head.headers.set(fairlead::orca_response_header, service_->load_header(orca_ == "JSON"));
    }

    void break_off() { std::exchange(exchange_, nullptr)->abort(); }

    std::shared_ptr<MockLlm::Service> service_;
    std::shared_ptr<Exchange> exchange_;
    const Completion completion_;
    const std::string name_;
    const Answer answer_;
    const bool cut_;
    std::string orca_{};  // the way in which the load is asked for in the header
    Engine::Id id_ = 0;
    std::string text_{};  // the piece that is being written
    std::size_t made_ = 0;
    std::size_t sent_ = 0;
    std::uint64_t cached_ = 0;
    bool all_ = false;
    bool started_ = false;
    bool writing_ = false;
    bool written_ended_ = false;
};

/// Waits for the client to leave; holds nothing but the service's counter.
class Hanging final : public http_server::Responder {
  public:
    explicit Hanging(std::shared_ptr<MockLlm::Service> service) : service_{std::move(service)} {}
    void on_left() override { service_->cancelled(); }

  private:
    std::shared_ptr<MockLlm::Service> service_;
};

/// One metric of one series, with or without labels.
std::string metric(std::string_view name, std::string_view type, std::string_view labels, double value) {
    char number[32];  // because the longest shortest form of a double has 24 characters
    const auto end = std::to_chars(number, number + sizeof number, value);
    std::string text{"# TYPE "};
    text.append(name).append(" ").append(type).append("\n").append(name);
    if (!labels.empty()) text.append("{").append(labels).append("}");
    return text.append(" ").append(number, end.ptr).append("\n");
}

}  // namespace

MockLlm::Service::Service(asio::strand<asio::any_io_executor> strand, Options options)
    : strand_{std::move(strand)},
      options_{std::move(options)},
      engine_{make_engine(strand_, options_.speed)},
      began_{std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()},
      failure_{options_.failure},
      failure_ratio_{options_.failure_ratio} {}

void MockLlm::Service::set_failure(Failure failure, double ratio) {
    const std::lock_guard lock{mutex_};
    failure_ = failure;
    failure_ratio_ = ratio;
}

Counters MockLlm::Service::counters() const {
    const std::lock_guard lock{mutex_};
    return counters_;
}

Failure MockLlm::Service::draw_failure() {
    const std::lock_guard lock{mutex_};
    if (failure_ == Failure::none || rng_.uniform() >= failure_ratio_) return Failure::none;
    ++counters_.failed;
    return failure_;
}

void MockLlm::Service::handle(const std::shared_ptr<Exchange>& exchange) {
    count(&Counters::requests);
    const auto& request = exchange->request();
    const auto path = std::string_view{request.target}.substr(0, request.target.find('?'));
    const bool post = request.method == "POST";
    if (path == "/health") return exchange->respond(json_response(200, R"({"status":"ok"})"));
    if (path == "/metrics" && options_.metrics) {
        auto response = json_response(200, metrics());
        response.headers.set("Content-Type", "text/plain; version=0.0.4");
        return exchange->respond(std::move(response));
    }
    if (!options_.api_key.empty() && request.headers.get("Authorization") != "Bearer " + options_.api_key) {
        return exchange->respond(
            error(401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key"));
    }
    if (path == "/v1/models") return exchange->respond(json_response(200, model_list(options_.model)));
    if (path == "/v1/chat/completions" && post) return complete(exchange, true);
    if (path == "/v1/completions" && post) return complete(exchange, false);
    exchange->respond(error(404, "Not Found", "invalid_request_error", "unknown_url"));
}

void MockLlm::Service::complete(const std::shared_ptr<Exchange>& exchange, bool chat) {
    count(&Counters::completions);
    const auto failure = draw_failure();
    if (failure == Failure::refuse) return exchange->reset();
    if (failure == Failure::hang) return exchange->attach(std::make_shared<Hanging>(shared_from_this()));
    if (failure == Failure::garbage) return exchange->send_raw("\x16\x03\x01 this is no HTTP\r\n\r\n");
    if (failure == Failure::server_error) {
        return exchange->respond(error(500, "The engine has failed", "server_error", "internal_error"));
    }
    if (failure == Failure::rate_limited) {
        auto response = error(429, "Too many requests", "rate_limit_error", "rate_limit_exceeded");
        response.headers.set("Retry-After", "1");
        return exchange->respond(std::move(response));
    }
    auto completion = read_completion(chat, exchange->request().body.view());
    if (!completion.problem.empty()) {
        return exchange->respond(error(400, completion.problem, "invalid_request_error", "invalid_request"));
    }
    if (!options_.model.empty() && completion.model != options_.model) {
        return exchange->respond(error(404, "The model `" + completion.model + "` does not exist.",
                                       "invalid_request_error", "model_not_found"));
    }
    if (completion.stream) count(&Counters::streams);
    std::make_shared<Job>(shared_from_this(), exchange, std::move(completion), options_.name,
                          failure == Failure::cut)
        ->run();
}

Prompt MockLlm::Service::prompt_of(const Completion& completion) const {
    // What engines key their caches on beside the text: the model (or adapter) and the salt.
    const auto seed = hash(completion.salt, hash(completion.model + '\n'));
    return {block_hashes(completion.prompt, options_.speed.block_tokens, seed), prompt_tokens(completion)};
}

std::string MockLlm::Service::load_header(bool as_json) {
    const auto figures = engine_->figures();
    const auto use = std::to_string(figures.cache_use);
    const auto waiting = std::to_string(figures.waiting);
    if (as_json) {
        return R"(JSON {"named_metrics": {"kv_cache_usage_perc": )" + use + R"(, "num_requests_waiting": )" +
               waiting + "}}";
    }
    return "TEXT named_metrics.kv_cache_usage_perc=" + use +
           ", named_metrics.num_requests_waiting=" + waiting;
}

std::string MockLlm::Service::metrics() {
    const auto figures = engine_->figures();
    const auto labels = "model_name=\"" + options_.model + "\"";
    std::string text;
    const auto add = [&](std::string_view name, std::string_view type, auto value) {
        text += metric(name, type, labels, static_cast<double>(value));
    };
    if (options_.sglang) {
        add("sglang:num_running_reqs", "gauge", figures.running);
        add("sglang:num_queue_reqs", "gauge", figures.waiting);
        add("sglang:num_waiting_uncached_tokens", "gauge", figures.waiting_tokens);
        add("sglang:token_usage", "gauge", figures.cache_use);
        add("sglang:prompt_tokens_total", "counter", figures.prompt_tokens);
        add("sglang:cached_tokens_total", "counter", figures.cached_tokens);
        add("sglang:generation_tokens_total", "counter", figures.generated_tokens);
        return text;
    }
    add("vllm:num_requests_running", "gauge", figures.running);
    add("vllm:num_requests_waiting", "gauge", figures.waiting);
    add("vllm:kv_cache_usage_perc", "gauge", figures.cache_use);
    add("vllm:prefix_cache_queries_total", "counter", figures.prompt_tokens);
    add("vllm:prefix_cache_hits_total", "counter", figures.cached_tokens);
    add("vllm:prompt_tokens_total", "counter", figures.prompt_tokens);
    add("vllm:generation_tokens_total", "counter", figures.generated_tokens);
    if (options_.speed.cache_blocks > 0) {
        text += metric("vllm:cache_config_info", "gauge",
                       "block_size=\"" + std::to_string(options_.speed.block_tokens) +
                           "\",num_gpu_blocks=\"" + std::to_string(options_.speed.cache_blocks) + "\"",
                       1);
    }
    // As Prometheus' Python library adds it; not to SGLang's, which are of several processes.
    return text + metric("process_start_time_seconds", "gauge", "", began_);
}

}  // namespace mock_llm
