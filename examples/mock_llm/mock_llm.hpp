// A server that talks like an inference engine's OpenAI-compatible API, for tests and demonstrations.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "http_server/server.hpp"
#include "mock_llm/engine.hpp"
#include "mock_llm/failure.hpp"

namespace mock_llm {

struct Options {
    std::string listen = "127.0.0.1:0";
    std::string name = "mock";
    std::string model = "mock-model";  ///< requests for another are refused with 404; empty: any will do
    std::string api_key{};             ///< requests without it are refused with 401; empty: none is asked for
    Speed speed{};
    Failure failure = Failure::none;
    double failure_ratio = 1.0;  ///< of the completions that fail so
    bool sglang = false;         ///< figures under SGLang's names; else vLLM's
    bool metrics = true;         ///< else there is no such page, as behind a proxy for the API alone
};

/// What it has seen.
struct Counters {
    std::uint64_t requests = 0;  ///< all, also for figures and health
    std::uint64_t completions = 0;
    std::uint64_t streams = 0;    ///< of the completions
    std::uint64_t failed = 0;     ///< on purpose
    std::uint64_t cancelled = 0;  ///< completions whose client left before the end
    std::uint64_t finished = 0;   ///< completions answered to their end
};

/// Serves /v1/models, /v1/chat/completions, /v1/completions (plain or as server-sent events), /health and
/// /metrics. Equal requests get equal answers, byte for byte. An answer that was begun elsewhere is gone on
/// with: a last message of the assistant's under `continue_final_message`, or such text at a prompt's end.
///
///     asio::io_context io;
///     mock_llm::MockLlm backend{io.get_executor(), {.name = "a"}};
///     fairlead::BackendConfig config{.name = "a", .url = backend.url()};
///
/// Threads: everything public from any; its work runs on a strand of the executor. Stopped by its destructor,
/// after which the loop may still hold what was under way.
class MockLlm {
  public:
    /// Starts. Throws std::system_error when the address is not to be had.
    MockLlm(asio::any_io_executor executor, Options options);
    ~MockLlm();
    MockLlm(const MockLlm&) = delete;
    MockLlm& operator=(const MockLlm&) = delete;

    std::string url() const;

    /// From now on completions fail so, the given share of them.
    void set_failure(Failure failure, double ratio = 1.0);

    /// Stops listening and breaks every connection, as a killed process would.
    void stop();

    /// Listens again, on the same port, with an empty engine that began now.
    void restart();

    Counters counters() const;
    std::uint64_t requests() const { return counters().completions; }

    class Service;  // of the implementation

  private:
    asio::any_io_executor executor_;
    Options options_;
    std::shared_ptr<Service> service_;
    std::shared_ptr<http_server::Server> server_;
    std::string address_{};
};

}  // namespace mock_llm
