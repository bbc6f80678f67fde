// The stand-in for an inference engine: its shapes, its clockwork, its ways of failing.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <fairlead/resilience/engine_metrics.hpp>

#include "mock_llm/answers.hpp"
#include "mock_llm/mock_llm.hpp"
#include "mock_llm/modelled_engine.hpp"
#include "mock_llm/paced_engine.hpp"
#include "mock_llm/prompt_blocks.hpp"
#include "programs/raw_client.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using nlohmann::json;
using test::body_of;
using test::post;
using test::RawClient;
using test::status_of;

namespace {

const std::string question = R"({"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":3})";
const std::string stream_question =
    R"({"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":3,"stream":true,)"
    R"("stream_options":{"include_usage":true}})";

/// A stand-in on a loop of its own.
class Running {
  public:
    explicit Running(mock_llm::Options options = {}) {
        options.model = "m";
        server = std::make_unique<mock_llm::MockLlm>(io_.get_executor(), std::move(options));
        thread_ = std::thread{[this] { io_.run(); }};
    }
    ~Running() {
        server->stop();
        guard_.reset();
        thread_.join();
    }

    RawClient connect() const { return RawClient{server->url()}; }
    std::string ask(const std::string& request) const { return connect().send(request).read_response(); }

  private:
    asio::io_context io_{};

  public:
    std::unique_ptr<mock_llm::MockLlm> server{};  // goes before its loop

  private:
    asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
    std::thread thread_{};
};

}  // namespace

TEST_CASE("a plain chat has OpenAI's shape and as many tokens as asked for") {
    const Running mock;
    const auto answer = json::parse(body_of(mock.ask(post("/v1/chat/completions", question))));
    CHECK(answer["object"] == "chat.completion");
    CHECK(answer["model"] == "m");
    CHECK(answer["choices"][0]["message"]["role"] == "assistant");
    CHECK(answer["choices"][0]["message"]["content"] == "The quick tide ");
    CHECK(answer["usage"]["completion_tokens"] == 3);
    const auto text =
        json::parse(body_of(mock.ask(post("/v1/completions", R"({"model":"m","prompt":"Hello"})"))));
    CHECK(text["object"] == "text_completion");
    CHECK(text["choices"][0]["text"].is_string());
}

TEST_CASE("a streamed chat says the same as the plain one, an event a token, and ends with [DONE]") {
    const Running mock;
    auto body = body_of(mock.ask(post("/v1/chat/completions", stream_question)));
    std::vector<std::string> events;
    for (std::size_t end = 0; (end = body.find("\n\n")) != std::string::npos; body.erase(0, end + 2)) {
        REQUIRE(body.starts_with("data: "));
        events.push_back(body.substr(6, end - 6));
    }
    REQUIRE(events.size() == 6);  // three tokens, the finish reason, the usage, the end
    CHECK(events.back() == "[DONE]");
    std::string text;
    for (std::size_t i = 0; i < 3; ++i) {
        text += json::parse(events[i])["choices"][0]["delta"]["content"].get<std::string>();
    }
    CHECK(text == "The quick tide ");
    CHECK(json::parse(events[3])["choices"][0]["finish_reason"] == "length");
    CHECK(json::parse(events[4])["usage"]["total_tokens"] == 7);
}

TEST_CASE("what cannot be answered is refused in OpenAI's shape") {
    const Running mock;
    CHECK(status_of(mock.ask(post("/v1/chat/completions", "[]"))) == 400);
    CHECK(status_of(mock.ask(post("/v1/chat/completions", R"({"model":"m"})"))) == 400);
    const auto unknown = mock.ask(post("/v1/chat/completions", R"({"model":"x","messages":[]})"));
    CHECK(status_of(unknown) == 404);
    CHECK(json::parse(body_of(unknown))["error"]["code"] == "model_not_found");
    CHECK(status_of(mock.ask(test::get("/v1/nothing"))) == 404);
}

TEST_CASE("each way of failing is what it says") {
    using mock_llm::Failure;
    const Running mock;
    const auto ask = [&](Failure failure, const std::string& body) {
        mock.server->set_failure(failure);
        return mock.connect().send(post("/v1/chat/completions", body)).read_all();
    };
    CHECK(ask(Failure::refuse, question).empty());
    CHECK(ask(Failure::garbage, question).find("HTTP/1.1") == std::string::npos);
    const auto cut = ask(Failure::cut, question);
    CHECK(status_of(cut) == 200);
    CHECK(body_of(cut).size() < std::stoul(cut.substr(cut.find("Content-Length: ") + 16)));
    const auto cut_stream = ask(Failure::cut, stream_question);
    CHECK(cut_stream.find("data: ") != std::string::npos);
    CHECK(cut_stream.find("[DONE]") == std::string::npos);
    mock.server->set_failure(Failure::server_error);
    CHECK(status_of(mock.ask(post("/v1/chat/completions", question))) == 500);
    mock.server->set_failure(Failure::rate_limited);
    CHECK(mock.ask(post("/v1/chat/completions", question)).find("Retry-After: 1\r\n") != std::string::npos);
    CHECK(mock.server->counters().failed == 6);
    CHECK(status_of(mock.ask(test::get("/v1/models"))) == 200);
}

TEST_CASE("a share of the completions fails, the same in every run") {
    const Running mock;
    mock.server->set_failure(mock_llm::Failure::server_error, 0.25);
    int failed = 0;
    auto client = mock.connect();
    for (int i = 0; i < 400; ++i) {
        if (status_of(client.send(post("/v1/chat/completions", question)).read_response()) == 500) ++failed;
    }
    // The seed is fixed, so this is one number; 100 expected, standard deviation 8.7.
    CHECK(failed > 60);
    CHECK(failed < 140);
}

TEST_CASE("stopped it refuses connections, restarted it serves on the same port") {
    const Running mock;
    const auto url = mock.server->url();
    auto open = mock.connect();
    CHECK(status_of(open.send(test::get("/health")).read_response()) == 200);
    mock.server->stop();
    CHECK(open.read_all().empty());  // closed, and the listening socket before it
    CHECK_THROWS(mock.connect());
    mock.server->restart();
    CHECK(mock.server->url() == url);
    CHECK(status_of(mock.ask(test::get("/health"))) == 200);
}

TEST_CASE("figures carry the engine's own names") {
    mock_llm::Options options;
    CHECK(body_of(Running{options}.ask(test::get("/metrics"))).find("vllm:num_requests_running{") !=
          std::string::npos);
    options.sglang = true;
    CHECK(body_of(Running{options}.ask(test::get("/metrics"))).find("sglang:num_running_reqs{") !=
          std::string::npos);
}

TEST_CASE("figures say when its process began, which is anew with a restart") {
    const Running mock;
    const auto began = [&] {
        return fairlead::read_engine_metrics(body_of(mock.ask(test::get("/metrics")))).report.process_start;
    };
    const auto now = [] {
        return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    };
    REQUIRE(began());
    CHECK(began() <= now());
    const double before = now();
    mock.server->restart();
    CHECK(began() >= before);
}

TEST_CASE("the engine runs max_batch requests and queues the rest in order") {
    asio::io_context io;
    mock_llm::Speed speed;
    speed.max_batch = 2;
    mock_llm::PacedEngine engine{io.get_executor(), speed};
    std::vector<int> order;
    for (int i = 0; i < 5; ++i) {
        engine.submit({}, 1, [&order, i](const mock_llm::Engine::Tokens& tokens) {
            if (tokens.last) order.push_back(i);
        });
    }
    CHECK(engine.figures().running == 2);
    CHECK(engine.figures().waiting == 3);
    engine.cancel(2);  // running
    CHECK(engine.figures().running == 2);
    engine.cancel(5);  // waiting
    CHECK(engine.figures().waiting == 1);
    io.run();
    CHECK(order == std::vector<int>{0, 2, 3});
    CHECK(engine.figures().running == 0);
}

TEST_CASE("tokens come at their rate and none is lost when the timer is late") {
    asio::io_context io;
    mock_llm::Speed speed;
    speed.tokens_per_second = 100'000;  // far more often than any timer fires
    mock_llm::PacedEngine engine{io.get_executor(), speed};
    std::size_t tokens = 0;
    int lasts = 0;
    engine.submit({}, 2'000, [&](const mock_llm::Engine::Tokens& come) {
        tokens += come.count;
        lasts += come.last ? 1 : 0;
    });
    io.run();
    CHECK(tokens == 2'000);
    CHECK(lasts == 1);
}

TEST_CASE("blocks are full ones, and chained: the place of a text counts, and what it begins with") {
    const auto blocks = mock_llm::block_hashes(std::string(64, 'a') + std::string(64, 'b') + "c", 16);
    REQUIRE(blocks.size() == 2);
    CHECK(mock_llm::block_hashes(std::string(64, 'a') + "z", 16) == std::vector{blocks[0]});
    CHECK(mock_llm::block_hashes(std::string(64, 'b'), 16)[0] != blocks[1]);
    CHECK(mock_llm::block_hashes(std::string(64, 'a'), 16, mock_llm::hash("salt"))[0] != blocks[0]);
}

TEST_CASE("a prompt that was asked before is found in the cache, and the answer and the metrics say so") {
    mock_llm::Options options;
    options.speed.cache_blocks = 100;
    const bool modelled = GENERATE(false, true);
    if (modelled) options.speed.model.emplace().prefill_rate = 1e6;
    const Running mock{options};
    const auto ask = [&](const std::string& text, const std::string& more = {}) {
        const auto body = R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":")" + text +
                          "\"}]" + more + "}";
        const auto answer = json::parse(body_of(mock.ask(post("/v1/chat/completions", body))));
        return answer["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
    };
    // "<|user|>" and the text: 8 + 312 bytes, 80 tokens and one, five full blocks.
    const std::string text(312, 'x');
    CHECK(ask(text) == 0);
    CHECK(ask(text) == 80);
    CHECK(ask(text + std::string(100, 'y')) == 80);
    CHECK(ask(text, R"(,"cache_salt":"s")") == 0);
    CHECK(ask(text, R"(,"tools":[{"type":"function"}])") == 0);
    const auto metrics = body_of(mock.ask(test::get("/metrics")));
    CHECK(metrics.find("vllm:prefix_cache_hits_total{model_name=\"m\"} 160\n") != std::string::npos);
    CHECK(metrics.find("vllm:num_requests_running{model_name=\"m\"} 0\n") != std::string::npos);
    CHECK(metrics.find("vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"100\"} 1\n") !=
          std::string::npos);
}

TEST_CASE("token ids of equal length do not match each other") {
    mock_llm::Options options;
    options.speed.cache_blocks = 100;
    const Running mock{options};
    const auto ask = [&](int first) {
        json ids = json::array();
        for (int i = 0; i < 40; ++i) ids.push_back(first + i);
        const json body{{"model", "m"}, {"max_tokens", 1}, {"prompt", ids}};
        const auto answer = json::parse(body_of(mock.ask(post("/v1/completions", body.dump()))));
        return answer["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
    };
    CHECK(ask(1000) == 0);
    CHECK(ask(2000) == 0);
    CHECK(ask(1000) == 32);
}

TEST_CASE("the modelled engine tells each token once, and its figures are those of its queue and batch") {
    asio::io_context io;
    inference::Profile profile;
    profile.prefill_rate = 1e6;
    profile.step = 1ms;
    profile.max_batch = 2;
    profile.room = 1'000;
    mock_llm::ModelledEngine engine{io.get_executor(), profile};
    std::vector<std::size_t> tokens(5);
    int lasts = 0;
    for (std::size_t i = 0; i < 5; ++i) {
        engine.submit({{}, 100}, 20, [&, i](const mock_llm::Engine::Tokens& come) {
            tokens[i] += come.count;
            lasts += come.last ? 1 : 0;
        });
    }
    engine.submit({{}, 5'000}, 5'000, [](const auto&) { FAIL("it was cancelled"); });  // more than the room
    engine.cancel(6);
    const auto before = engine.figures();  // nobody is told anything before the loop runs
    CHECK(before.running <= 2);
    CHECK(before.running + before.waiting <= 5);
    CHECK(before.cache_use == Approx(0.12 * static_cast<double>(before.running)));
    engine.cancel(2);
    CHECK(engine.figures().running <= 2);
    io.run();
    CHECK(tokens == std::vector<std::size_t>{20, 0, 20, 20, 20});
    CHECK(lasts == 4);
    CHECK(engine.figures().running == 0);
    CHECK(engine.figures().waiting_tokens == 0);
}
