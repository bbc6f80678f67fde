// A program of somebody else's that uses everything.
#include <fairlead/control/load_settings.hpp>
#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>
#include <fairlead/transport/http_transport.hpp>

#include <asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>

int main() {
    setenv("VLLM_SERVER_URL", "http://127.0.0.1:9", 1);
    setenv("MODEL_NAME", "qwen", 1);
    const fairlead::Settings settings = fairlead::load_settings();
    asio::io_context io;
    fairlead::Balancer<fairlead::AnyStrategy, fairlead::HttpTransport> balancer{settings,
                                                                                fairlead::HttpTransport{io}};
    bool failed = false;
    fairlead::HttpRequest request{"GET", "/v1/models"};
    balancer.async_send(request, [&](std::error_code error, const fairlead::HttpResponse&) {
        failed = static_cast<bool>(error);  // nobody listens there
    });
    io.run();
    return failed ? 0 : 1;
}
