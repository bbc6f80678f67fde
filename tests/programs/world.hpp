// A gateway before stand-in backends, all in the test's process, on a loop of their own.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
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

inline constexpr auto chat = "/v1/chat/completions";
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

    /// One more backend of the test's own making.
    fairlead::BackendConfig& backend_at(const std::string& name, const std::string& url,
                                        const std::string& model = "m") {
        fairlead::BackendConfig config;
        config.name = name;
        config.url = url;
        config.model_name = model;
        settings.backends.push_back(std::move(config));
        return settings.backends.back();
    }

    /// Starts the gateway as `settings` say; backends and settings come before.
    gateway::Gateway& start() {
        gateway::RunOptions options;
        options.threads = threads_;
        options.max_connections = max_connections;
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
    const std::vector<std::unique_ptr<mock_llm::MockLlm>>& backends() const { return backends_; }

    /// Whether `condition` comes true while the loop goes round. Each look is paced by a request to the
    /// gateway, over one connection, so the loop has turned at least that often; what is waited for takes a
    /// few turns. A minute: no machine is so busy that a few turns take that long.
    template <class Condition>
    bool eventually(Condition condition) const {
        const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
        auto client = connect();
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end) return false;
            if (client.send(get("/health")).read_response().empty()) client = connect();
        }
        return true;
    }

    std::uint64_t in_flight() {
        std::uint64_t sum = 0;
        for (const auto& backend : gateway_->balancer().snapshot()) sum += backend.in_flight;
        return sum;
    }

    fairlead::Settings settings = default_settings();
    std::string admin_listen{};  ///< empty: the admin API is on the main port
    std::size_t max_connections = std::numeric_limits<std::size_t>::max();  ///< of clients

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
