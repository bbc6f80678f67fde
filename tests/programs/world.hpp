// A gateway before stand-in backends, all in the test's process, on a loop of their own.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include "gateway/gateway.hpp"
#include "mock_llm/mock_llm.hpp"
#include "programs/raw_client.hpp"

namespace test {

inline const std::string hello = R"({"model":"m","messages":[{"role":"user","content":"Hello"}]})";
inline const std::string hello_stream =
    R"({"model":"m","messages":[{"role":"user","content":"Hello"}],"stream":true,"stream_options":{"include_usage":true}})";

/// Everything is stopped, and the loop has run dry, when it goes.
class World {
  public:
    explicit World(unsigned threads = 1) : threads_{threads} {}
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World() {
        if (gateway_) gateway_->close();
        for (const auto& backend : backends_) backend->stop();
        guard_.reset();
        for (auto& thread : running_) thread.join();
    }

    /// One more backend, which serves `model` and is configured under the stand-in's name.
    mock_llm::MockLlm& backend(mock_llm::Options options) {
        fairlead::BackendConfig config;
        config.name = options.name;
        config.model_name = options.model;
        config.api_key = options.api_key;
        backends_.push_back(std::make_unique<mock_llm::MockLlm>(io_.get_executor(), std::move(options)));
        config.url = backends_.back()->url();
        settings.backends.push_back(std::move(config));
        return *backends_.back();
    }

    mock_llm::MockLlm& backend(const std::string& name, const std::string& model = "m") {
        mock_llm::Options options;
        options.name = name;
        options.model = model;
        return backend(std::move(options));
    }

    /// Starts the gateway as `settings` say; backends and settings come before.
    gateway::Gateway& start() {
        gateway::RunOptions options;
        options.threads = threads_;
        gateway_ = std::make_unique<gateway::Gateway>(io_, settings, options);
        gateway_->listen("127.0.0.1:0");
        if (!admin_listen.empty()) gateway_->listen_admin(admin_listen);
        for (unsigned i = 0; i < threads_; ++i) running_.emplace_back([this] { io_.run(); });
        return *gateway_;
    }

    RawClient connect() const { return RawClient{gateway_->url()}; }

    /// One request on a connection of its own; the whole response.
    std::string ask(std::string_view request, bool with_body = true) const {
        return connect().send(request).read_response(with_body);
    }

    gateway::Gateway& gateway() { return *gateway_; }

    /// Whether `condition` comes true while the loop goes round. Each look is paced by a request to the
    /// gateway, so the loop has turned at least that often; what is waited for takes a few turns.
    template <class Condition>
    bool eventually(Condition condition) const {
        for (int i = 0; i < 20'000; ++i) {
            if (condition()) return true;
            ask(get("/health"));
        }
        return false;
    }

    std::uint64_t in_flight() {
        std::uint64_t sum = 0;
        for (const auto& backend : gateway_->balancer().snapshot()) sum += backend.in_flight;
        return sum;
    }

    fairlead::Settings settings = default_settings();
    std::string admin_listen{};  ///< empty: the admin API is on the main port

  private:
    static fairlead::Settings default_settings() {
        fairlead::Settings settings;
        settings.mode = fairlead::Mode::multi_backend;
        settings.options.seed = 1;
        return settings;
    }

    const unsigned threads_;
    asio::io_context io_{};
    asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
    std::vector<std::unique_ptr<mock_llm::MockLlm>> backends_{};
    std::unique_ptr<gateway::Gateway> gateway_{};
    std::vector<std::thread> running_{};
};

}  // namespace test
