// What stands behind the stand-in's routes: engine, failures, counters.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include <asio/strand.hpp>

#include <fairlead/model/rng.hpp>

#include "mock_llm/answers.hpp"
#include "mock_llm/mock_llm.hpp"

namespace mock_llm {

/// Answers exchanges. All but the counters and `set_failure` on one strand.
class MockLlm::Service : public std::enable_shared_from_this<MockLlm::Service> {
  public:
    Service(asio::strand<asio::any_io_executor> strand, Options options);

    void handle(const std::shared_ptr<http_server::Exchange>& exchange);
    void set_failure(Failure failure, double ratio);
    Counters counters() const;

    Engine& engine() { return *engine_; }
    /// The engine's load as vLLM writes it into a header.
    std::string load_header(bool as_json);
    Prompt prompt_of(const Completion& completion) const;
    const asio::strand<asio::any_io_executor>& strand() const { return strand_; }

    // For completions under way.
    void finished() { count(&Counters::finished); }
    void cancelled() { count(&Counters::cancelled); }

  private:
    void complete(const std::shared_ptr<http_server::Exchange>& exchange, bool chat);
    Failure draw_failure();
    std::string metrics();
    void count(std::uint64_t Counters::*which) {
        const std::lock_guard lock{mutex_};
        ++(counters_.*which);
    }

    asio::strand<asio::any_io_executor> strand_;
    Options options_;
    std::unique_ptr<Engine> engine_;
    const double began_;  // seconds since 1970

    mutable std::mutex mutex_{};  // over all below
    Counters counters_{};
    Failure failure_;
    double failure_ratio_;
    fairlead::Rng rng_{1};  // a fixed seed: which requests fail is the same in every run
};

}  // namespace mock_llm
