// One's own HTTP client, here cpp-httplib, as a blocking transport: `balancer.send` selects, sends, retries,
// reports.
#include <fairlead/fairlead.hpp>

#include <httplib.h>

#include <cstdio>
#include <string>
#include <system_error>
#include <thread>

struct HttplibTransport {
    struct Request {
        std::string path;
        std::string body;
    };
    using Response = httplib::Response;

    Response send(const fairlead::BackendConfig& backend, const Request& request, fairlead::Deadline) {
        httplib::Client client{backend.url};
        client.set_connection_timeout(
            std::chrono::duration_cast<std::chrono::seconds>(backend.connect_timeout));
        client.set_read_timeout(std::chrono::duration_cast<std::chrono::seconds>(backend.timeout));
        if (!backend.api_key.empty()) client.set_bearer_token_auth(backend.api_key);
        auto result = client.Post(request.path, request.body, "application/json");
        if (!result) {
            const bool late = result.error() == httplib::Error::Read;
            throw std::system_error{
                std::make_error_code(late ? std::errc::timed_out : std::errc::connection_refused),
                to_string(result.error())};
        }
        return std::move(*result);
    }

    static fairlead::Outcome outcome(std::error_code error, const Response& response) {
        if (error == std::errc::timed_out) return fairlead::Outcome::timeout;
        if (error) return fairlead::Outcome::connect_error;
        return fairlead::Outcome::from_status(response.status);
    }
};
static_assert(fairlead::BlockingTransport<HttplibTransport>);

int main() {
    // Two backends in this process; nobody listens where the third should be.
    httplib::Server good;
    httplib::Server broken;
    good.Post("/v1/chat/completions", [](const auto&, auto& response) {
        response.set_content(R"({"object": "chat.completion"})", "application/json");
    });
    broken.Post("/v1/chat/completions", [](const auto&, auto& response) { response.status = 500; });
    const auto url = [](httplib::Server& server) {
        return "http://127.0.0.1:" + std::to_string(server.bind_to_any_port("127.0.0.1"));
    };
    const auto good_url = url(good);
    const auto broken_url = url(broken);
    std::thread first{[&] { good.listen_after_bind(); }};
    std::thread second{[&] { broken.listen_after_bind(); }};

    fairlead::Balancer<fairlead::RoundRobin, HttplibTransport> balancer{{
        {.name = "good", .url = good_url, .max_connections = 8},
        {.name = "broken", .url = broken_url, .max_connections = 8},
        {.name = "absent", .url = "http://127.0.0.1:1", .max_connections = 8},
    }};
    int answered = 0;
    for (int i = 0; i < 12; ++i) {
        const HttplibTransport::Request request{"/v1/chat/completions", R"({"messages": []})"};
        try {
            if (balancer.send(request).status == 200) ++answered;
        } catch (const std::system_error& error) {
            std::printf("request %d: %s\n", i, error.what());
        }
    }
    for (const auto& backend : balancer.snapshot()) {
        std::printf("%-6s %s: %lu tries, %lu failed\n", backend.config.name.c_str(), to_string(backend.state),
                    static_cast<unsigned long>(backend.completed),
                    static_cast<unsigned long>(backend.failed));
    }
    std::printf("%d of 12 requests were answered\n", answered);
    // A server that is stopped before it runs would run for ever.
    for (auto* server : {&good, &broken}) {
        while (!server->is_running()) std::this_thread::yield();
        server->stop();
    }
    first.join();
    second.join();
    return answered == 12 ? 0 : 1;
}
