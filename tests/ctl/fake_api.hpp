// A server that gives canned answers and remembers what it was asked, on a loop of its own.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "ctl/commands.hpp"
#include "http_server/server.hpp"

namespace test {

/// Answers "METHOD target" with the texts given for it, one after the other, the last one again and again;
/// what it does not know with the admin API's own 404.
class FakeApi {
  public:
    FakeApi() {
        const auto executor = io_.get_executor();
        server_ = std::make_shared<http_server::Server>(
            executor, [executor] { return asio::any_io_executor{executor}; }, http_server::Limits{},
            [this](const std::shared_ptr<http_server::Exchange>& exchange) { answer(exchange); },
            [](int status, std::string_view) { return fairlead::HttpResponse{status}; });
        server_->listen("127.0.0.1:0");
        thread_ = std::thread{[this] { io_.run(); }};
    }
    FakeApi(const FakeApi&) = delete;
    FakeApi& operator=(const FakeApi&) = delete;
    ~FakeApi() {
        server_->close();
        guard_.reset();
        thread_.join();
    }

    std::string url() const { return server_->url(); }

    /// One more answer for "GET /api/v1/load_balancer/..."; `call` is without the prefix.
    FakeApi& on(const std::string& call, std::string body, int status = 200) {
        const std::lock_guard lock{mutex_};
        const auto blank = call.find(' ') + 1;
        answers_[call.substr(0, blank) + "/api/v1/load_balancer" + call.substr(blank)].emplace_back(
            status, std::move(body));
        return *this;
    }

    /// Never answers; `when_asked` is called for each request instead.
    void hang(std::function<void()> when_asked) {
        const std::lock_guard lock{mutex_};
        when_asked_ = std::move(when_asked);
    }

    struct Asked {
        std::string call;
        std::string key;
        std::string body;
    };
    std::vector<Asked> asked() const {
        const std::lock_guard lock{mutex_};
        return asked_;
    }

  private:
    void answer(const std::shared_ptr<http_server::Exchange>& exchange) {
        const std::lock_guard lock{mutex_};
        const auto& request = exchange->request();
        const std::string call = request.method + " " + request.target;
        asked_.push_back({call, std::string{request.headers.get("X-API-Key").value_or("")},
                          std::string{request.body.view()}});
        if (when_asked_) {
            held_.push_back(exchange);
            when_asked_();
            return;
        }
        const auto found = answers_.find(call);
        if (found == answers_.end()) {
            exchange->respond(
                fairlead::HttpResponse{404, R"({"status":"error","detail":"nothing is here"})"});
            return;
        }
        auto& queue = found->second;
        exchange->respond(fairlead::HttpResponse{queue.front().first, queue.front().second});
        if (queue.size() > 1) queue.pop_front();
    }

    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
    std::shared_ptr<http_server::Server> server_{};
    mutable std::mutex mutex_{};
    std::map<std::string, std::deque<std::pair<int, std::string>>> answers_{};
    std::vector<Asked> asked_{};
    std::vector<std::shared_ptr<http_server::Exchange>> held_{};
    std::function<void()> when_asked_{};
    std::thread thread_{};
};

/// What a run of the program printed, and how it ended.
struct Ran {
    int status = -1;
    std::string out{};
    std::string err{};
};

struct Manner {
    fairlead::Language language = fairlead::Language::english;
    std::function<std::optional<fairlead::ctl::TerminalSize>()> terminal{[] { return std::nullopt; }};
};

inline Ran run_ctl(std::vector<std::string> words, const Manner& manner = {}) {
    std::vector<const char*> argv{"fairlead-ctl"};
    for (const auto& word : words) argv.push_back(word.c_str());
    std::ostringstream out;
    std::ostringstream err;
    const fairlead::ctl::Console console{out, err, manner.language, manner.terminal};
    Ran ran;
    ran.status = static_cast<int>(fairlead::ctl::run(static_cast<int>(argv.size()), argv.data(), console));
    ran.out = out.str();
    ran.err = err.str();
    return ran;
}

/// The same against a server.
inline Ran run_ctl(const FakeApi& api, std::vector<std::string> words, const Manner& manner = {}) {
    words.insert(words.begin(), {"--server-url", api.url()});
    return run_ctl(std::move(words), manner);
}

}  // namespace test
