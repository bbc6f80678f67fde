// fairlead-mock-llm: an OpenAI-compatible server without a model, as fast and as faulty as one says.
//
//     fairlead-mock-llm --listen 127.0.0.1:8001 --name a --first-token-ms 200 --tokens-per-second 50
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <fairlead/version.hpp>

#include "command_line.hpp"
#include "mock_llm/mock_llm.hpp"

namespace {

void add_options(CommandLine& line, mock_llm::Options& options, std::int64_t& first_token_ms,
                 double& prefill_rate) {
    auto& speed = options.speed;
    constexpr std::size_t many = 1'000'000'000;
    line.add("--listen", "HOST:PORT", "where to serve; port 0 takes a free one", options.listen);
    line.add("--name", "NAME", "what it calls itself in X-Mock-Name", options.name);
    line.add("--model", "NAME", "the one model that it serves; \"\" for any", options.model);
    line.add("--api-key", "KEY", "the key that requests must bring", options.api_key);
    line.add("--first-token-ms", "time to the first token, nothing cached", first_token_ms, std::int64_t{0},
             std::int64_t{3'600'000});
    line.add("--tokens-per-second", "of each request; 0: all at once", speed.tokens_per_second, 0.0, 1e9);
    line.add("--max-batch", "requests that run together; others wait", speed.max_batch, std::size_t{1}, many);
    line.add("--cache-blocks", "blocks that the prompt cache holds", speed.cache_blocks, std::size_t{0},
             many);
    line.add("--block-tokens", "tokens of a block", speed.block_tokens, std::uint32_t{1},
             std::uint32_t{65'536});
    line.add("--prefill-rate", "prompt tokens a second, as a real engine shares them; 0: the pace above",
             prefill_rate, 0.0, 1e9);
    line.add("--fail", "how completions fail [none]", options.failure,
             {mock_llm::failure_names.begin(), mock_llm::failure_names.end()});
    line.add("--fail-ratio", "share of the completions that fail", options.failure_ratio, 0.0, 1.0);
    line.add("--metrics", "whether there is /metrics [yes]", options.metrics, {{"yes", true}, {"no", false}});
    line.add("--engine", "whose names /metrics uses [vllm]", options.sglang,
             {{"vllm", false}, {"sglang", true}});
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // who reads what it says may go
    mock_llm::Options options;
    std::int64_t first_token_ms = 0;
    double prefill_rate = 0;
    CommandLine line{"fairlead-mock-llm", "talks like an inference engine, without a model",
                     FAIRLEAD_VERSION};
    add_options(line, options, first_token_ms, prefill_rate);
    if (const auto status = line.read(argc, argv)) return *status;
    options.speed.first_token = std::chrono::milliseconds{first_token_ms};
    if (prefill_rate > 0) options.speed.model.emplace().prefill_rate = prefill_rate;
    try {
        asio::io_context io{1};
        mock_llm::MockLlm server{io.get_executor(), options};
        // Before anybody is told that it runs: whoever reads that may tell it to stop at once.
        asio::signal_set signals{io, SIGINT, SIGTERM};
        signals.async_wait([&](std::error_code, int) { server.stop(); });
        std::cout << "listening on " << server.url() << std::endl;
        io.run();
    } catch (const std::exception& error) {
        std::cerr << "fairlead-mock-llm: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
