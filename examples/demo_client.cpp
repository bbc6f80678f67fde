// fairlead-demo-client: sends chats to a gateway and prints who answered, how fast, and what failed, as a
// table's row.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <fairlead/transport/http_transport.hpp>
#include <fairlead/version.hpp>

#include "command_line.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
    std::string url{};
    std::string label = "requests";
    std::vector<std::string> backends{};  // the columns: those that may answer
    std::size_t requests = 300;
    std::size_t concurrency = 16;
    std::size_t users = 200;      // request i comes from user i modulo this
    std::size_t stream_each = 4;  // every so many-th request is a stream; 0: none
    std::size_t notice_at = 0;    // print a line when so many are answered; 0: do not
    bool header = false;
};

struct Tally {
    std::map<std::string, std::size_t> answers{};
    std::vector<double> milliseconds{};
    std::size_t errors = 0;
    std::string first_error{};
};

class Load {
  public:
    Load(asio::io_context& io, const Plan& plan) : io_{io}, plan_{plan}, transport_{io} {
        gateway_.name = "gateway";
        gateway_.url = plan.url;
        gateway_.max_connections = static_cast<std::uint32_t>(plan.concurrency);
    }

    void run() {
        for (std::size_t i = 0; i < std::min(plan_.concurrency, plan_.requests); ++i) next();
    }

    const Tally& tally() const { return tally_; }

  private:
    bool is_stream(std::size_t number) const {
        return plan_.stream_each > 0 && number % plan_.stream_each == plan_.stream_each - 1;
    }

    fairlead::HttpRequest request(std::size_t number) const {
        const auto user = "user-" + std::to_string(number % plan_.users);
        const nlohmann::json body{{"model", "demo"},
                                  {"max_tokens", 8},
                                  {"stream", is_stream(number)},
                                  {"messages", {{{"role", "user"}, {"content", "Hello, this is " + user}}}}};
        fairlead::HttpRequest result;
        result.method = "POST";
        result.target = "/v1/chat/completions";
        result.headers.set("Content-Type", "application/json");
        result.headers.set("X-User", user);
        result.body = body.dump();
        return result;
    }

    void next() {
        if (sent_ == plan_.requests) return;
        const auto number = sent_++;
        const auto began = Clock::now();
        const auto handler = [this, number, began](std::error_code error,
                                                   const fairlead::HttpResponse& response) {
            answered(number, began, error, response);
            next();
        };
        transport_.async_send(gateway_, request(number), fairlead::Deadline::never(),
                              asio::bind_executor(io_.get_executor(), handler));
    }

    void answered(std::size_t number, Clock::time_point began, std::error_code error,
                  const fairlead::HttpResponse& response) {
        const bool whole = is_stream(number) ? response.body.ends_with("data: [DONE]\n\n")
                                             : response.body.find("\"usage\"") != std::string::npos;
        if (error || response.status != 200 || !whole) {
            if (tally_.errors++ == 0) {
                tally_.first_error =
                    error ? error.message() : std::to_string(response.status) + " " + response.body;
            }
        } else {
            ++tally_.answers[std::string{response.headers.get("X-Fairlead-Backend").value_or("?")}];
            tally_.milliseconds.push_back(
                std::chrono::duration<double, std::milli>(Clock::now() - began).count());
        }
        if (++done_ == plan_.notice_at) std::cout << "answered " << done_ << std::endl;
    }

    asio::io_context& io_;
    const Plan& plan_;
    fairlead::HttpTransport transport_;
    fairlead::BackendConfig gateway_{};
    Tally tally_{};
    std::size_t sent_ = 0;
    std::size_t done_ = 0;
};

/// The value that the given share of all does not exceed; `values` is sorted.
double quantile(const std::vector<double>& values, double share) {
    if (values.empty()) return 0;
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

void print_header(const Plan& plan) {
    std::printf("%-21s", plan.label.c_str());
    for (const auto& name : plan.backends) std::printf("%15s", name.c_str());
    std::printf("%9s%9s%8s\n", "p50 ms", "p99 ms", "errors");
}

void print_row(const Plan& plan, const Tally& tally) {
    auto times = tally.milliseconds;
    std::sort(times.begin(), times.end());
    std::printf("%-21s", plan.label.c_str());
    for (const auto& name : plan.backends) {
        const auto found = tally.answers.find(name);
        const auto count = found == tally.answers.end() ? 0 : found->second;
        const double share =
            times.empty() ? 0 : 100.0 * static_cast<double>(count) / static_cast<double>(times.size());
        std::printf("%9zu %4.0f%%", count, share);
    }
    std::printf("%9.0f%9.0f%8zu\n", quantile(times, 0.5), quantile(times, 0.99), tally.errors);
    if (tally.errors > 0) std::printf("  the first error: %s\n", tally.first_error.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    Plan plan;
    constexpr std::size_t many = 1'000'000'000;
    CommandLine line{"fairlead-demo-client", "sends chats to an OpenAI-compatible server, prints how it went",
                     FAIRLEAD_VERSION};
    line.add("--url", "URL", "the gateway, http://HOST:PORT", plan.url);
    line.add("--label", "TEXT", "the row's name", plan.label);
    line.add("--backend", "NAME", "a column: a backend that may answer; give it for each",
             [&plan](const std::string& name) {
                 plan.backends.push_back(name);
                 return std::string{};
             });
    line.add("--requests", "how many in all", plan.requests, std::size_t{1}, many);
    line.add("--concurrency", "how many at a time", plan.concurrency, std::size_t{1}, std::size_t{10'000});
    line.add("--users", "how many users send them", plan.users, std::size_t{1}, many);
    line.add("--stream-each", "every so many-th is a stream; 0: none", plan.stream_each, std::size_t{0},
             many);
    line.add("--notice-at", "print \"answered N\" when so many were", plan.notice_at, std::size_t{0}, many);
    line.add_flag("--header", "print the table's head instead", plan.header);
    if (const auto status = line.read(argc, argv)) return *status;
    if (plan.header) {
        print_header(plan);
        return EXIT_SUCCESS;
    }
    asio::io_context io{1};
    Load load{io, plan};
    load.run();
    io.run();
    print_row(plan, load.tally());
    return load.tally().errors == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
