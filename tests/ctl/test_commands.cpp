// Each command: what it sends, what it prints, with which status it ends.
#include <cstdlib>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ctl/client.hpp"
#include "ctl/documents.hpp"
#include "ctl/fake_api.hpp"
#include "ctl/width.hpp"
#include "support/catch.hpp"

using test::FakeApi;
using test::Ran;
using test::run_ctl;

namespace {

std::string answer_to(const std::string& call, const std::string& document, std::vector<std::string> words,
                      fairlead::Language language = fairlead::Language::english) {
    FakeApi api;
    api.on(call, document);
    const Ran ran = run_ctl(api, std::move(words), {language});
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    return ran.out;
}

/// A variable of the environment for as long as this lives.
class Variable {
  public:
    Variable(const char* name, const char* value) : name_{name} { ::setenv(name, value, 1); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;
    ~Variable() { ::unsetenv(name_); }

  private:
    const char* name_;
};

}  // namespace

TEST_CASE("status shows each field of the answer on a line of its own") {
    CHECK(answer_to("GET /status", test::status_document, {"status"}) ==
          "load balancing         yes\n"
          "mode                   multi_backend\n"
          "strategy               least_connections\n"
          "backends               3\n"
          "healthy                2\n"
          "unhealthy              1\n"
          "available              primary, off\n"
          "health check running   yes\n"
          "requests               123\n"
          "success rate           97.5 %\n"
          "average response time  0.250 s\n");
}

TEST_CASE("list shows a row for each backend, in line though a name is Chinese") {
    CHECK(answer_to("GET /backends", test::backends_document, {"list"}) ==
          "least_connections: 2 of 3 healthy\n"
          "NAME     STATUS                 WEIGHT  IN FLIGHT  PRIORITY  MODEL  URL                   TAGS\n"
          "off      disabled                    1       0/50         0  -      http://10.0.0.8:8000  -\n"
          "primary  healthy                     3       7/50         0  qwen   http://10.0.0.6:8000  fast, "
          "primary\n"
          "主力 甲  unhealthy (half_open)      10        0/5         1  qwen   http://10.0.0.7:8000  -\n");
}

TEST_CASE("the titles are Chinese where the language is, and still in line") {
    const auto out =
        answer_to("GET /backends", test::backends_document, {"list"}, fairlead::Language::chinese);
    CHECK(out ==
          "least_connections：3 个后端中 2 个健康\n"
          "名称     状态                   权重  进行中  优先级  模型  地址                  标签\n"
          "off      disabled                  1    0/50       0  -     http://10.0.0.8:8000  -\n"
          "primary  healthy                   3    7/50       0  qwen  http://10.0.0.6:8000  fast, primary\n"
          "主力 甲  unhealthy (half_open)    10     0/5       1  qwen  http://10.0.0.7:8000  -\n");
}

TEST_CASE("tables show the load that engines tell, where some do, and nothing for what is unknown") {
    const std::string answer = R"({"status":"success","data":{
        "strategy":"least_tokens","total_backends":2,"healthy_backends":2,"backends":{
        "a":{"config":{"weight":1,"priority":0,"url":"http://a"},"metrics":{"status":"healthy",
            "active_connections":3,"tokens_in_flight":1200,"engine":{
            "running":{"value":3.0,"age":0.25},"waiting":{"value":1.0,"age":0.25},"waiting_tokens":null,
            "cache_use":{"value":0.405,"age":1.44}}}},
        "b":{"config":{"weight":1,"priority":0,"url":"http://b"},"metrics":{"status":"healthy",
            "active_connections":0,"tokens_in_flight":0,"engine":{
            "running":null,"waiting":null,"waiting_tokens":null,"cache_use":null}}}}}})";
    CHECK(answer_to("GET /backends", answer, {"list"}) ==
          "least_tokens: 2 of 2 healthy\n"
          "NAME  STATUS   WEIGHT  IN FLIGHT  PRIORITY  MODEL  URL       TAGS  TOKENS  ENGINE\n"
          "a     healthy       1          3         0  -      http://a  -       1200  3 running, 1 waiting, "
          "cache 40.5 %, 1.4 s ago\n"
          "b     healthy       1          0         0  -      http://b  -          0  -\n");
    CHECK(answer_to("GET /backends", answer, {"list"}, fairlead::Language::chinese)
              .find("运行 3, 等待 1, 缓存 40.5 %, 1.4 s前") != std::string::npos);
}

TEST_CASE("metrics, health-check and strategy get show what they ask for") {
    CHECK(answer_to("GET /metrics", test::metrics_document, {"metrics"}) ==
          "random: 1 of 1 healthy\n"
          "NAME     STATUS   REQUESTS  FAILED  IN FLIGHT  SUCCESS  AVERAGE  IN A ROW  LAST ERROR\n"
          "primary  healthy       120       1          7   99.2 %  0.251 s         2  timeout\n");
    CHECK(answer_to("POST /backends/primary/health_check", test::health_document,
                    {"health-check", "primary"}) ==
          "backend               primary\n"
          "health status         unhealthy\n"
          "last check            2023-11-14 22:13:20Z\n"
          "consecutive failures  2\n"
          "last error            connection refused\n");
    CHECK(answer_to("GET /strategy", test::strategy_document, {"strategy", "get"}) ==
          "strategy               random\n"
          "health check interval  15.5 s\n"
          "max retries            2\n"
          "failure threshold      3\n"
          "available strategies   round_robin, random\n");
}

TEST_CASE("commands that change something make the contract's call and print its message") {
    struct Case {
        std::vector<std::string> words;
        std::string call;
    };
    for (const auto& [words, call] :
         std::vector<Case>{{{"remove", "a"}, "DELETE /backends/a"},
                           {{"enable", "a"}, "POST /backends/a/enable"},
                           {{"disable", "a"}, "POST /backends/a/disable"},
                           {{"drain", "a"}, "POST /backends/a/drain"},
                           {{"health-check-control", "start"}, "POST /health_check/start"},
                           {{"health-check-control", "stop"}, "POST /health_check/stop"},
                           {{"remove", "list"}, "DELETE /backends/list"},  // named like a command
                           {{"remove", "--", "-x"}, "DELETE /backends/-x"}}) {
        INFO(call);
        CHECK(answer_to(call, test::done_document, words) == "it was done\n");
    }
    CHECK(answer_to("POST /backends/a/enable", R"({"status":"success"})", {"enable", "a"}) == "done\n");
}

TEST_CASE("a name goes into the path percent-encoded, as one segment") {
    using fairlead::ctl::as_path_segment;
    CHECK(as_path_segment("a-b._~9") == "a-b._~9");
    CHECK(as_path_segment("a b/c?d#e%") == "a%20b%2Fc%3Fd%23e%25");
    CHECK(as_path_segment("主") == "%E4%B8%BB");
    CHECK(as_path_segment("..") == "%2E%2E");
    CHECK(as_path_segment(".") == "%2E");
    CHECK(as_path_segment("...") == "...");
    CHECK(answer_to("POST /backends/%E4%B8%BB%20a/enable", test::done_document, {"enable", "主 a"}) ==
          "it was done\n");
}

TEST_CASE("add sends what was given and nothing else") {
    FakeApi api;
    api.on("POST /backends", test::done_document);
    CHECK(run_ctl(api, {"add", "--name", "主力", "--url", "http://h:1", "--model-name", "q",
                        "--backend-api-key", "xyz789"})
              .status == 0);
    CHECK(run_ctl(api, {"add",        "--name",       "b",    "--url",
                        "http://h:1", "--model-name", "",     "--backend-api-key",
                        "",           "--weight",     "010",  "--max-connections",
                        "7",          "--timeout",    "2.5",  "--priority",
                        "-3",         "--tag",        "fast", "--tag",
                        "[a,b]"})
              .status == 0);
    const auto asked = api.asked();
    REQUIRE(asked.size() == 2);
    CHECK(
        nlohmann::json::parse(asked[0].body) ==
        nlohmann::json{{"name", "主力"}, {"url", "http://h:1"}, {"model_name", "q"}, {"api_key", "xyz789"}});
    CHECK(nlohmann::json::parse(asked[1].body) == nlohmann::json{{"name", "b"},
                                                                 {"url", "http://h:1"},
                                                                 {"weight", 10},
                                                                 {"max_connections", 7},
                                                                 {"timeout", 2.5},
                                                                 {"priority", -3},
                                                                 {"tags", {"fast", "[a,b]"}}});
}

TEST_CASE("strategy set sends what was given and nothing else") {
    FakeApi api;
    api.on("PUT /strategy", R"({"status":"success","message":"set","data":{"strategy":"random"}})");
    CHECK(run_ctl(api, {"strategy", "set", "--strategy", "random"}).out == "set\n");
    CHECK(run_ctl(api, {"strategy", "set", "--strategy", "random", "--health-check-interval", "1.5",
                        "--max-retries", "0", "--failure-threshold", "4"})
              .status == 0);
    const auto asked = api.asked();
    REQUIRE(asked.size() == 2);
    CHECK(nlohmann::json::parse(asked[0].body) == nlohmann::json{{"strategy", "random"}});
    CHECK(nlohmann::json::parse(asked[1].body) == nlohmann::json{{"strategy", "random"},
                                                                 {"health_check_interval", 1.5},
                                                                 {"max_retries", 0},
                                                                 {"failure_threshold", 4}});
}

TEST_CASE("--json prints the answer as it came, of a refusal too") {
    FakeApi api;
    const std::string raw = "{\"status\" :  \"success\",\"data\":{\"new\":\"field\"}}";
    api.on("GET /status", raw);
    CHECK(run_ctl(api, {"--json", "status"}).out == raw + "\n");
    CHECK(run_ctl(api, {"status", "--json"}).out == raw + "\n");
    const Ran refused = run_ctl(api, {"remove", "x", "--json"});
    CHECK(refused.status == 1);
    CHECK(refused.out == "{\"status\":\"error\",\"detail\":\"nothing is here\"}\n");
    CHECK(refused.err == "fairlead-ctl: nothing is here\n");
}

TEST_CASE("the key and the server come from the words, else from the environment") {
    FakeApi api;
    api.on("GET /status", test::status_document);
    const Variable url{"FAIRLEAD_SERVER_URL", api.url().c_str()};
    CHECK(run_ctl({"status"}).status == 0);
    const Variable key{"FAIRLEAD_API_KEY", "from-environment"};
    CHECK(run_ctl({"status"}).status == 0);
    CHECK(run_ctl({"--api-key", "from-words", "status"}).status == 0);
    CHECK(run_ctl({"status", "--server-url", "http://127.0.0.1:1"}).status == 3);
    const auto asked = api.asked();
    REQUIRE(asked.size() == 3);
    CHECK(asked[0].key.empty());
    CHECK(asked[1].key == "from-environment");
    CHECK(asked[2].key == "from-words");
}

TEST_CASE("the backend's key may come from the environment, and only add looks there") {
    FakeApi api;
    api.on("POST /backends", test::done_document).on("GET /status", test::status_document);
    const std::vector<std::string> add{"add", "--name", "b", "--url", "http://h:1", "--model-name", "q"};
    CHECK(run_ctl(api, add).status == 2);
    const Variable key{"FAIRLEAD_BACKEND_API_KEY", "secret"};
    CHECK(run_ctl(api, add).status == 0);
    CHECK(run_ctl(api, {"status"}).status == 0);
    const auto asked = api.asked();
    REQUIRE(asked.size() == 2);
    CHECK(nlohmann::json::parse(asked[0].body)["api_key"] == "secret");
    CHECK(asked[1].body.empty());
}

TEST_CASE("fields that are missing or of another kind are shown as such, never a crash") {
    for (const auto* const document :
         {R"({"status":"success"})", R"({"status":"success","data":[]})", R"({"status":"success","data":7})",
          R"({"status":"success","data":{"backends":[1]}})",
          R"({"status":"success","data":{"backends":{"a":1,"b":{"metrics":[]},"c":{"config":"x"}}}})",
          R"({"status":"success","message":{"a":1},"data":{"last_check_time":1e300,"success_rate":"x"}})"}) {
        for (const auto* const command : {"status", "list", "metrics"}) {
            INFO(command << " of " << document);
            FakeApi api;
            api.on("GET /status", document).on("GET /backends", document).on("GET /metrics", document);
            const Ran ran = run_ctl(api, {command});
            CHECK(ran.status == 0);
            CHECK(ran.out.find('-') != std::string::npos);
        }
        FakeApi api;
        api.on("POST /backends/a/health_check", document);
        CHECK(run_ctl(api, {"health-check", "a"}).status == 0);
    }
}

TEST_CASE("what stands in an answer cannot steer the terminal") {
    FakeApi api;
    api.on("GET /metrics",
           R"({"status":"success","data":{"backends":{"a":{"last_error":"\u001b[2J\u009b"}}}})")
        .on("POST /backends/a/enable", R"({"status":"success","message":"\u001b[2J"})")
        .on("POST /backends/a/disable", R"({"status":"error","detail":"\u001b[2J\n"})", 409);
    for (const auto& ran :
         {run_ctl(api, {"metrics"}), run_ctl(api, {"enable", "a"}), run_ctl(api, {"disable", "a"})}) {
        CHECK(ran.out.find('\x1b') == std::string::npos);
        CHECK(ran.err.find('\x1b') == std::string::npos);
        CHECK((ran.out + ran.err).find("\uFFFD[2J") != std::string::npos);
    }
}
