// Coroutines: a whole answer, then a stream that is read piece by piece, over the library's own transport.
#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>
#include <fairlead/transport/http_transport.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <string>

#include "mock_llm/mock_llm.hpp"

using Balancer = fairlead::Balancer<fairlead::LeastConnections, fairlead::HttpTransport>;

fairlead::HttpRequest chat(bool stream) {
    fairlead::HttpRequest request;
    request.method = "POST";
    request.target = "/v1/chat/completions";
    request.headers.set("Content-Type", "application/json");
    request.body =
        std::string{R"({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": )"} +
        (stream ? "true}" : "false}");
    return request;
}

asio::awaitable<void> whole(Balancer& balancer) {
    fairlead::HttpRequest request = chat(false);
    const auto response = co_await balancer.async_send(std::move(request), asio::use_awaitable);
    std::printf("%d: %s\n\n", response.status, response.body.c_str());
}

asio::awaitable<std::size_t> stream(Balancer& balancer) {
    fairlead::HttpRequest request = chat(true);
    auto answer = co_await balancer.async_stream(std::move(request), asio::use_awaitable);
    std::array<char, 4096> piece;
    std::size_t bytes = 0;
    for (;;) {
        std::error_code error;
        const auto count =
            co_await answer.async_read(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::eof) co_return bytes;  // complete; anything else means that it broke off
        if (error) throw std::system_error{error};
        std::fwrite(piece.data(), 1, count, stdout);
        bytes += count;
    }
}

int main() {
    asio::io_context io;
    mock_llm::Options options;
    options.model = "m";
    mock_llm::MockLlm first{io.get_executor(), options};
    mock_llm::MockLlm second{io.get_executor(), options};
    Balancer balancer{{{.name = "first", .url = first.url(), .max_connections = 8},
                       {.name = "second", .url = second.url(), .max_connections = 8}},
                      {},
                      fairlead::HttpTransport{io}};

    std::exception_ptr problem;
    const auto run = [&]() -> asio::awaitable<void> {
        co_await whole(balancer);
        std::printf("%zu bytes of stream\n", co_await stream(balancer));
    };
    asio::co_spawn(io, run, [&](std::exception_ptr error) {
        problem = error;
        first.stop();
        second.stop();
    });
    io.run();
    return problem ? 1 : 0;
}
