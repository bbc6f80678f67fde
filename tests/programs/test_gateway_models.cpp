// What a fleet of several models shows to its clients: one list, routes by model, keys that tie requests
// together.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "programs/recorder.hpp"
#include "programs/world.hpp"
#include "support/catch.hpp"

using test::body_of;
using test::chat;
using test::get;
using test::hello;
using test::hello_stream;
using test::post;
using test::Recorder;
using test::status_of;
using test::World;

namespace {

std::string json_answer(const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::vector<std::string> ids_of(const std::string& response) {
    const auto list = nlohmann::json::parse(body_of(response));
    std::vector<std::string> ids;
    for (const auto& entry : list.at("data")) ids.push_back(entry.at("id"));
    return ids;
}

std::string served_by(const World& world, const std::string& request) {
    const auto response = world.ask(request);
    CHECK(status_of(response) == 200);
    const auto at = response.find("X-Fairlead-Backend: ");
    return response.substr(at + 20, response.find('\r', at) - at - 20);
}

/// Three backends that are chosen by a key.
struct HashedWorld : World {
    HashedWorld() {
        for (const auto* name : {"a", "b", "c"}) backend(name);
        settings.strategy = "consistent_hash";
    }
};

/// Whether equal words, put into a request by `make`, go to one backend, and unlike ones not all to the same.
template <class Make>
bool ties_together(const World& world, Make make) {
    std::string all;
    for (int i = 0; i < 20; ++i) {
        const auto word = "word-" + std::to_string(i);
        const auto first = served_by(world, make(word));
        if (served_by(world, make(word)) != first) return false;
        all += first;
    }
    // 20 words on one of three backends alone: 3^-19, and the hash does not change from run to run.
    return std::any_of(all.begin(), all.end(), [&](char c) { return c != all.front(); });
}

}  // namespace

TEST_CASE("the list of models is the union over the backends, with what engines say of theirs") {
    Recorder engine{
        json_answer(R"({"object":"list","data":[{"id":"qwen","object":"model","max_model_len":32768},
                                   {"id":"adapter","object":"model"}]})")};
    World world;
    world.backend_at("a", engine.url(), "qwen");
    world.backend_at("b", engine.url(), "qwen");
    world.backend("c", "llama");
    world.settings.model_aliases = {{"gpt-4o", "qwen"}};
    world.start();

    const auto response = world.ask(get("/v1/models"));
    CHECK(status_of(response) == 200);
    CHECK(ids_of(response) == std::vector<std::string>{"gpt-4o", "llama", "qwen"});
    const auto data = nlohmann::json::parse(body_of(response)).at("data");
    CHECK(data[0].at("max_model_len") == 32768);
    CHECK(data[2].at("max_model_len") == 32768);
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
}

TEST_CASE("engines are asked for their lists whole and as they are, whatever the client can take or has") {
    Recorder engine{json_answer(R"({"data":[{"id":"qwen","max_model_len":32768}]})")};
    World world;
    world.settings.options.health_check = false;  // the last request is to be the client's
    world.backend_at("a", engine.url(), "qwen");
    world.backend("b", "llama");
    world.start();
    const auto response = world.ask(
        "GET /v1/models HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\nif-none-match: *\r\n"
        "If-Modified-Since: Mon, 30 Nov 2026 00:00:00 GMT\r\nIf-Match: *\r\nIf-Range: \"x\"\r\n"
        "If-Unmodified-Since: Mon, 30 Nov 2026 00:00:00 GMT\r\nRange: bytes=0-1\r\nX-Other: kept\r\n\r\n");
    CHECK(nlohmann::json::parse(body_of(response)).at("data")[1].at("max_model_len") == 32768);
    const auto asked = engine.last();
    for (const auto* gone : {"Accept-Encoding", "if-none-match", "If-", "Range"}) {
        INFO(gone);
        CHECK(asked.find(gone) == std::string::npos);
    }
    CHECK(asked.find("X-Other: kept\r\n") != std::string::npos);
}

TEST_CASE("one model of the list is found by its name, also percent-encoded") {
    World world;
    world.backend("a", "meta/llama 3");
    world.backend("b", "qwen");
    world.start();
    for (const auto* target :
         {"/v1/models/qwen", "/v1/models/meta%2Fllama%203", "/v1/models/meta/llama%203"}) {
        INFO(target);
        const auto response = world.ask(get(target));
        CHECK(status_of(response) == 200);
        CHECK(nlohmann::json::parse(body_of(response)).at("object") == "model");
    }
    const auto unknown = world.ask(get("/v1/models/gpt"));
    CHECK(status_of(unknown) == 404);
    CHECK(nlohmann::json::parse(body_of(unknown)).at("error").at("code") == "model_not_found");
}

TEST_CASE("one of the models that an only engine lists is found, though that engine cannot tell of one") {
    Recorder engine{json_answer(R"({"object":"list","data":[{"id":"qwen"},{"id":"org/adapter"}]})")};
    World world;
    world.backend_at("a", engine.url(), GENERATE("", "qwen"));
    world.start();
    CHECK(body_of(world.ask(get("/v1/models/org/adapter"))) == R"({"id":"org/adapter"})");
    CHECK(engine.last().starts_with("GET /v1/models HTTP"));
    CHECK(status_of(world.ask(get("/v1/models/gpt"))) == 404);
}

TEST_CASE("an only engine that does not answer does not make a model unknown") {
    World world;
    SECTION("gone") {
        world.backend("a", "").stop();
        world.start();
        CHECK(status_of(world.ask(get("/v1/models/qwen"))) == 502);
    }
    SECTION("with an answer of its own") {
        Recorder engine{
            "HTTP/1.1 418 No\r\nContent-Type: text/x\r\nTransfer-Encoding: "
            "chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"};
        world.backend_at("a", engine.url(), "");
        world.start();
        const auto response = world.ask(get("/v1/models/qwen"));
        CHECK(status_of(response) == 418);
        CHECK(body_of(response) == "no");
        CHECK(response.find("Content-Type: text/x\r\n") != std::string::npos);
    }
}

TEST_CASE("a model whose backends are gone stands in the list all the same") {
    World world;
    world.backend("a", "qwen");
    world.backend("b", "llama").stop();
    world.start();
    CHECK(ids_of(world.ask(get("/v1/models"))) == std::vector<std::string>{"llama", "qwen"});
}

TEST_CASE("with one model, the engine's own list is relayed, and aliases stand beside it") {
    Recorder engine{json_answer(R"({"object":"list","data":[{"id":"qwen"},{"id":"adapter"}]})")};
    SECTION("without aliases byte for byte") {
        World world;
        world.backend_at("a", engine.url(), "qwen");
        world.start();
        CHECK(body_of(world.ask(get("/v1/models"))) ==
              R"({"object":"list","data":[{"id":"qwen"},{"id":"adapter"}]})");
    }
    SECTION("with one") {
        World world;
        world.backend_at("a", engine.url(), "qwen");
        world.settings.model_aliases = {{"gpt-4o", "qwen"}};
        world.start();
        CHECK(ids_of(world.ask(get("/v1/models"))) == std::vector<std::string>{"adapter", "gpt-4o", "qwen"});
    }
}

TEST_CASE("a backend without a model of its own is asked for what an alias stands for") {
    Recorder engine;
    World world;
    world.settings.options.health_check = false;  // the last request is to be the client's
    world.settings.model_aliases = {{"fast", "qwen"}};
    world.backend_at("open", engine.url(), "").api_key = GENERATE("", "key");
    SECTION("alone") {}
    SECTION("beside one that has a name, and is gone") { world.backend("named", "qwen").stop(); }
    world.start();
    CHECK(status_of(world.ask(post(chat, R"({"model":"fast","messages":[]})"))) == 200);
    CHECK(
        engine.last().ends_with("\r\n\r\n"
                                R"({"model":"qwen","messages":[]})"));
    CHECK(status_of(world.ask(post(chat, R"({"model":"other","messages":[]})"))) == 200);
    CHECK(
        engine.last().ends_with("\r\n\r\n"
                                R"({"model":"other","messages":[]})"));
    const std::string form = "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nfast\r\n--B--\r\n";
    CHECK(status_of(world.ask("POST /v1/audio/transcriptions HTTP/1.1\r\nHost: test\r\n"
                              "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: " +
                              std::to_string(form.size()) + "\r\n\r\n" + form)) == 200);
    CHECK(engine.last().find("\r\n\r\nqwen\r\n--B--") != std::string::npos);
}

TEST_CASE("every endpoint of an engine is relayed by its model, and what manages it is not") {
    Recorder qwen{json_answer(R"({"from":"qwen"})")};
    Recorder llama{json_answer(R"({"from":"llama"})")};
    World world;
    world.backend_at("a", qwen.url(), "qwen");
    world.backend_at("b", llama.url(), "llama");
    world.start();
    for (const std::string target :
         {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/rerank",
          "/v1/score", "/v1/audio/speech", "/v1/messages", "/tokenize", "/detokenize", "/score", "/rerank",
          "/v2/rerank", "/pooling", "/classify"}) {
        INFO(target);
        const auto response = world.ask(post(target, R"({"model":"llama","input":"x"})"));
        CHECK(body_of(response) == R"({"from":"llama"})");
        CHECK(llama.last().starts_with("POST " + target + " HTTP/1.1\r\n"));
        CHECK(llama.last().ends_with(R"({"model":"llama","input":"x"})"));
    }
    CHECK(qwen.count() == 0);
    for (const auto* target : {"/sleep", "/update_weights", "/scoreboard", "/tokenizer_info", "/v2/other"}) {
        INFO(target);
        CHECK(status_of(world.ask(post(target, R"({"model":"llama"})"))) == 404);
    }
}

TEST_CASE("a session's requests stay on one backend without any setting") {
    HashedWorld world;
    world.start();
    CHECK(ties_together(
        world, [](const std::string& word) { return post(chat, hello, "X-Session-ID: " + word + "\r\n"); }));
}

TEST_CASE("a user's requests stay on one backend, by the body's `user`") {
    HashedWorld world;
    world.start();
    CHECK(ties_together(world, [](const std::string& word) {
        return post(
            chat, R"({"model":"m","user":")" + word + R"(","messages":[{"role":"user","content":"Hello"}]})");
    }));
}

TEST_CASE("the header that the operator chose comes before session and user") {
    HashedWorld world;
    world.settings.affinity_header = "X-Tenant";
    world.start();
    int other = 0;
    const auto first = served_by(world, post(chat, hello, "X-Tenant: t\r\nX-Session-ID: 0\r\n"));
    for (int i = 1; i < 20; ++i) {
        const auto session = "X-Session-ID: " + std::to_string(i) + "\r\n";
        CHECK(served_by(world, post(chat, hello, "X-Tenant: t\r\n" + session)) == first);
        other += served_by(world, post(chat, hello, session)) != first ? 1 : 0;
    }
    CHECK(other > 0);
}

TEST_CASE("what the settings name alone ties requests together: the prompt's beginning, the user, a header") {
    HashedWorld world;
    using fairlead::HashKey;
    const auto key = GENERATE(HashKey::any, HashKey::prefix, HashKey::user, HashKey::header);
    world.settings.hash_key = key;
    world.start();
    // Every request has another of what does not count, and where it counts the same for one word.
    int number = 0;
    const auto other = [&number] { return "other-" + std::to_string(number++); };
    CHECK(ties_together(world, [&](const std::string& word) {
        std::string prompt;
        const auto beginning = (key == HashKey::any || key == HashKey::prefix ? word : other()) + " ";
        while (prompt.size() < 5'000) prompt += beginning;  // more than 64 blocks of 64 bytes
        nlohmann::json body{{"model", "m"}, {"prompt", prompt + other()}, {"max_tokens", 1}};
        if (key != HashKey::any) body["user"] = key == HashKey::user ? word : other();
        const auto session = key == HashKey::header ? word : other();
        const auto header = key == HashKey::any ? "" : "X-Session-ID: " + session + "\r\n";
        return post("/v1/completions", body.dump(), header);
    }));
}

TEST_CASE("a conversation stays on its backend while it grows, and others do not follow its system prompt") {
    HashedWorld world;
    world.start();
    std::string all;
    for (int talk = 0; talk < 12; ++talk) {
        nlohmann::json messages{{{"role", "system"}, {"content", std::string(5'000, 's')}},
                                {{"role", "user"}, {"content", "talk " + std::to_string(talk)}}};
        std::string first;
        for (int turn = 0; turn < 4; ++turn) {
            const nlohmann::json body{{"model", "m"}, {"max_tokens", 1}, {"messages", messages}};
            const auto now = served_by(world, post(chat, body.dump()));
            if (turn == 0) first = now;
            CHECK(now == first);
            messages.push_back({{"role", "assistant"}, {"content", std::string(200, 'a')}});
            messages.push_back({{"role", "user"}, {"content", "and then?"}});
        }
        all += first;
    }
    CHECK(std::any_of(all.begin(), all.end(), [&](char c) { return c != all.front(); }));
}

TEST_CASE("a prompt has one key, whatever name a client gives to the only model") {
    HashedWorld world;
    for (auto& each : world.settings.backends) each.model_name = "m";
    world.settings.model_aliases["gpt-4"] = "m";
    world.start();
    std::string all;
    for (int talk = 0; talk < 12; ++talk) {
        std::string by;
        for (const auto* name : {"m", "gpt-4", "whatever"}) {
            const nlohmann::json body{
                {"model", name},
                {"max_tokens", 1},
                {"messages", {{{"role", "user"}, {"content", "talk " + std::to_string(talk)}}}}};
            by += served_by(world, post(chat, body.dump()));
        }
        CHECK(by == std::string(3, by.front()));
        all += by.front();
    }
    CHECK(std::any_of(all.begin(), all.end(), [&](char c) { return c != all.front(); }));
}

TEST_CASE("a hot session is spread over its backends as the bound of the settings says") {
    HashedWorld world;
    world.settings.options.hash_bounded_load = GENERATE(0.0, 1.25);
    world.start();
    for (const auto& backend : world.backends()) backend->set_failure(mock_llm::Failure::hang);
    std::vector<test::RawClient> clients;
    for (int i = 0; i < 12; ++i) {
        clients.push_back(world.connect());
        clients.back().send(post(chat, hello, "X-Session-ID: hot\r\n"));
    }
    REQUIRE(world.eventually([&] { return world.in_flight() == 12; }));
    std::uint32_t most = 0;
    for (const auto& each : world.gateway().balancer().snapshot()) most = std::max(most, each.in_flight);
    CHECK(most == (world.settings.options.hash_bounded_load > 0 ? 5 : 12));  // ceil(1.25 * 12 / 3)
}

TEST_CASE("the tokens that answers tell are counted, plain and streamed") {
    World world;
    world.backend("a");
    world.start();
    const auto figures = [&] { return world.gateway().balancer().snapshot().front(); };
    const auto plain = world.ask(post(chat, hello));
    const auto usage = nlohmann::json::parse(body_of(plain)).at("usage");
    CHECK(world.eventually([&] { return figures().completion_tokens > 0; }));
    CHECK(figures().prompt_tokens == usage.at("prompt_tokens"));
    CHECK(figures().completion_tokens == usage.at("completion_tokens"));

    world.connect().send(post(chat, hello_stream)).read_response();
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    CHECK(figures().prompt_tokens == 2 * usage.at("prompt_tokens").get<std::uint64_t>());
    CHECK(figures().completion_tokens == 2 * usage.at("completion_tokens").get<std::uint64_t>());
    CHECK(figures().tokens_in_flight == 0);
}
