// The gateway's rules that need no socket: which model, which headers, which errors.
#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <asio/error.hpp>

#include <fairlead/model/error.hpp>
#include <fairlead/transport/transport_error.hpp>

#include "gateway/errors.hpp"
#include "gateway/headers.hpp"
#include "gateway/model_router.hpp"
#include "support/catch.hpp"

using Verdict = gateway::ModelChoice::Verdict;

TEST_CASE("where all backends serve one model, or name none, any name or none will do") {
    for (const auto& models : {std::vector<std::string>{"m", "m"}, {"", ""}, {}}) {
        const gateway::ModelRouter router{models};
        for (const auto* name : {"", "m", "other"}) {
            CHECK(router.choose(name).verdict == Verdict::any);
            CHECK(router.choose(name).model.empty());
        }
    }
}

TEST_CASE("where several models are served, a name selects, an unknown one and a missing one are refused") {
    const gateway::ModelRouter router{{"a", "b", "b"}};
    const gateway::ModelRouter::Aliases aliases{{"gpt-4", "b"}, {"lost", "c"}};
    CHECK(router.choose("a").model == "a");
    CHECK(router.choose("gpt-4", aliases).model == "b");
    CHECK(router.choose("gpt-4", aliases).verdict == Verdict::selected);
    CHECK(router.choose("c").verdict == Verdict::unknown);
    CHECK(router.choose("lost", aliases).verdict == Verdict::unknown);
    CHECK(router.choose("").verdict == Verdict::missing);
}

TEST_CASE("a backend without a model of its own serves any name beside those that have one") {
    const gateway::ModelRouter router{{"a", ""}};
    CHECK(router.choose("a").model == "a");
    CHECK(router.choose("x").verdict == Verdict::selected);
    CHECK(router.choose("x").model == "x");
    CHECK(router.choose("").verdict == Verdict::missing);
}

TEST_CASE("a change of the fleet changes which models there are") {
    gateway::ModelRouter router{{"a", "b"}};
    router.set_models({"a", "c"});
    CHECK(router.choose("b").verdict == Verdict::unknown);
    CHECK(router.choose("c").verdict == Verdict::selected);
}

TEST_CASE("names matter as soon as one backend has a model of its own") {
    gateway::ModelRouter router{std::vector<std::string>{"", ""}};
    CHECK_FALSE(router.names_matter());
    router.set_models({"", "b"});
    CHECK(router.names_matter());
    router.set_models({"b"});
    CHECK(router.names_matter());  // another name is replaced by it
    router.set_models({});
    CHECK_FALSE(router.names_matter());
}

TEST_CASE("fields of one connection, and those that Connection names, are not passed on") {
    fairlead::HttpHeaders headers;
    headers.add("connection", "close, X-Secret");
    headers.add("Connection", "x-other ,");
    headers.add("X-Secret", "1");
    headers.add("X-Other", "2");
    headers.add("TE", "trailers");
    headers.add("Transfer-Encoding", "chunked");
    headers.add("Proxy-Authorization", "Basic eA==");
    headers.add("Upgrade", "h2c");
    headers.add("Accept", "*/*");
    gateway::remove_hop_by_hop(headers);
    std::vector<std::string> left;
    for (const auto& [name, value] : headers) left.emplace_back(name);
    CHECK(left == std::vector<std::string>{"Accept"});
}

TEST_CASE("a backend's name goes into a header percent-encoded") {
    CHECK(gateway::percent_encoded("a-b.c_d~1") == "a-b.c_d~1");
    CHECK(gateway::percent_encoded("a b\r\n%") == "a%20b%0D%0A%25");
    CHECK(gateway::percent_encoded("\xE4\xB8\xBB") == "%E4%B8%BB");
}

TEST_CASE("dot segments are found however they are spelt") {
    for (const auto* path : {"/v1/../x", "/v1/..", "/v1/%2e%2E/x", "/v1/.%2e", "/v1/./x", "/v1/..%2fx",
                             "/v1\\..\\x", "/v1/a%5c..%5Cb", "/v1/..?x"}) {
        INFO(path);
        CHECK(gateway::has_dot_segment(path));
    }
    for (const auto* path : {"/v1/models", "/v1/a..b", "/v1/...", "/v1/.hidden", "/v1/x?p=/../"}) {
        INFO(path);
        CHECK_FALSE(gateway::has_dot_segment(path));
    }
}

TEST_CASE("requests that store something are not sent twice") {
    for (const auto* path :
         {"/v1/files", "/v1/files?x=y", "/v1/uploads/u/parts", "/v1/batches", "/v1/fine_tuning/jobs",
          "/v1/evals/e/runs", "/v1/assistants", "/v1/threads/t/runs", "/v1/vector_stores", "/v1/containers",
          "/v1/conversations/c/items", "/v1/responses", "/v1/videos", "/v1/skills"}) {
        INFO(path);
        CHECK(gateway::stores_something("POST", path));
        CHECK_FALSE(gateway::stores_something("GET", path));
    }
    CHECK(gateway::stores_something("DELETE", "/v1/models/m"));
    for (const auto* path :
         {"/v1/filesystem", "/v1/chat/completions", "/v1/completions", "/v1/embeddings",
          "/v1/audio/transcriptions", "/v1/images/generations", "/v1/moderations", "/v1/rerank"}) {
        INFO(path);
        CHECK_FALSE(gateway::stores_something("POST", path));
    }
}

TEST_CASE("each way of not relaying has its status") {
    using fairlead::Errc;
    const std::map<Errc, int> expected{{Errc::unknown_model, 404},   {Errc::no_backends, 503},
                                       {Errc::all_disabled, 503},    {Errc::all_unhealthy, 503},
                                       {Errc::all_full, 503},        {Errc::all_resting, 503},
                                       {Errc::queue_full, 503},      {Errc::queue_timeout, 503},
                                       {Errc::deadline_passed, 504}, {Errc::no_response, 502}};
    for (const auto& [errc, status] : expected) {
        INFO(make_error_code(errc).message());
        CHECK(gateway::could_not_relay(errc).status == status);
    }
    // The five limits of time, and of sending: each is 504, in words of its own.
    std::set<std::string> messages;
    using fairlead::TransportErrc;
    for (const auto late :
         {TransportErrc::connect_timeout, TransportErrc::write_timeout, TransportErrc::response_timeout,
          TransportErrc::first_byte_timeout, TransportErrc::idle_timeout, TransportErrc::total_timeout}) {
        const auto error = gateway::could_not_relay(late);
        INFO(error.message);
        CHECK(error.status == 504);
        CHECK(error.code == "timeout");
        CHECK(messages.insert(error.message).second);
    }
    CHECK(gateway::could_not_relay(asio::error::connection_refused).status == 502);
    CHECK(gateway::could_not_relay(asio::error::connection_reset).status == 502);
}

TEST_CASE("a 503 says when to come back, in whole seconds, at least one") {
    using namespace std::chrono_literals;
    const auto wait = [](std::optional<fairlead::Duration> rest) {
        const auto response = gateway::could_not_relay_response(fairlead::Errc::all_resting, rest);
        return std::string{response.headers.get("Retry-After").value_or("")};
    };
    CHECK(wait({}) == "1");
    CHECK(wait(1ms) == "1");
    CHECK(wait(2001ms) == "3");
    CHECK_FALSE(
        gateway::could_not_relay_response(fairlead::Errc::no_response, {}).headers.contains("Retry-After"));
}

TEST_CASE("errors have OpenAI's shape, also with bytes that are no UTF-8") {
    const auto response = gateway::error_response(gateway::unknown_model("a\xFF\"b"));
    CHECK(response.status == 404);
    const auto error = nlohmann::json::parse(response.body)["error"];
    CHECK(error["type"] == "invalid_request_error");
    CHECK(error["param"] == "model");
    CHECK(error["code"] == "model_not_found");
    CHECK(error["message"].get<std::string>().find("\"b") != std::string::npos);
    CHECK(nlohmann::json::parse(gateway::error_response(gateway::unknown_path("/x?y")).body)["error"]["param"]
              .is_null());
}
