// Thirty seconds: choose a backend, send with the client that you have, say how it went.
#include <fairlead/fairlead.hpp>

#include <cstdio>
#include <string>

// Stands for the HTTP client that your program has already.
struct MyClient {
    struct Response {
        int status = 0;
    };
    Response post(const std::string& url, const std::string& body) const {
        std::printf("POST %s/v1/chat/completions %s\n", url.c_str(), body.c_str());
        return {200};
    }
};

int main() {
    fairlead::Balancer<fairlead::LeastConnections> balancer{{
        {.name = "primary", .url = "http://10.0.0.6:8000", .model_name = "qwen", .weight = 3},
        {.name = "spare", .url = "http://10.0.0.7:8000", .model_name = "qwen", .priority = 1},
    }};
    MyClient my_client;
    const std::string body = R"({"model": "qwen", "messages": []})";

    if (fairlead::Lease lease = balancer.select()) {
        auto response = my_client.post(lease->url, body);  // lease-> is the BackendConfig
        balancer.report(std::move(lease), fairlead::Outcome::from_status(response.status));
    } else {
        std::puts(lease.error().message().c_str());  // e.g. "every backend ... is at max_connections"
    }
}
