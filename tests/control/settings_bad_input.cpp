// Everything that an operator can get wrong, with the exact words that the answer has.
#include <nlohmann/json.hpp>

#include "../../src/control/field_reader.hpp"
#include "../../src/control/problems.hpp"
#include "settings_support.hpp"
#include "support/catch.hpp"

using namespace fairlead;
using namespace settings_test;

namespace {

/// LLM_BACKENDS with a good first backend and one whose fields these are.
std::string second_backend(const std::string& fields) {
    return R"([{"name": "a", "url": "http://a:1"}, {"name": "b", "url": "http://b:2")" +
           (fields.empty() ? "" : ", " + fields) + "}]";
}

struct Bad {
    std::string value;
    std::string english;
    std::string chinese;
};

}  // namespace

TEST_CASE("a bad field of a backend is named with its place, what it must be, and what it is") {
    const Bad bad = GENERATE(
        Bad{R"("weight": 0)", "LLM_BACKENDS[1].weight: must be 1..65535, got 0 (environment)",
            "LLM_BACKENDS[1].weight: 必须为 1..65535，实际为 0 (环境变量)"},
        Bad{R"("weight": 65536)", "LLM_BACKENDS[1].weight: must be 1..65535, got 65536 (environment)",
            "LLM_BACKENDS[1].weight: 必须为 1..65535，实际为 65536 (环境变量)"},
        Bad{R"("weight": -1)", "LLM_BACKENDS[1].weight: must be 1..65535, got -1 (environment)",
            "LLM_BACKENDS[1].weight: 必须为 1..65535，实际为 -1 (环境变量)"},
        Bad{R"("weight": 2.5)",
            "LLM_BACKENDS[1].weight: must be a whole number 1..65535, got 2.5 (environment)",
            "LLM_BACKENDS[1].weight: 必须为整数 1..65535，实际为 2.5 (环境变量)"},
        Bad{R"("weight": 1e300)", "LLM_BACKENDS[1].weight: must be 1..65535, got 1e+300 (environment)",
            "LLM_BACKENDS[1].weight: 必须为 1..65535，实际为 1e+300 (环境变量)"},
        Bad{R"("weight": "3")",
            "LLM_BACKENDS[1].weight: must be a whole number 1..65535, got a text in quotes (environment)",
            "LLM_BACKENDS[1].weight: 必须为整数 1..65535，实际为 带引号的文本 (环境变量)"},
        Bad{R"("max_connections": 0)",
            "LLM_BACKENDS[1].max_connections: must be 1..1048575, got 0 (environment)",
            "LLM_BACKENDS[1].max_connections: 必须为 1..1048575，实际为 0 (环境变量)"},
        Bad{R"("max_connections": 1048576)",
            "LLM_BACKENDS[1].max_connections: must be 1..1048575, got 1048576 (environment)",
            "LLM_BACKENDS[1].max_connections: 必须为 1..1048575，实际为 1048576 (环境变量)"},
        Bad{R"("timeout": 0)", "LLM_BACKENDS[1].timeout: must be > 0 (seconds), got 0 (environment)",
            "LLM_BACKENDS[1].timeout: 必须为 > 0（秒），实际为 0 (环境变量)"},
        Bad{R"("timeout": -0.5)", "LLM_BACKENDS[1].timeout: must be > 0 (seconds), got -0.5 (environment)",
            "LLM_BACKENDS[1].timeout: 必须为 > 0（秒），实际为 -0.5 (环境变量)"},
        Bad{R"("timeout": 1e300)",
            "LLM_BACKENDS[1].timeout: must be <= 1000000000 (seconds), got 1e+300 (environment)",
            "LLM_BACKENDS[1].timeout: 必须为 <= 1000000000（秒），实际为 1e+300 (环境变量)"},
        Bad{R"("cache_blocks": 2e9)",
            "LLM_BACKENDS[1].cache_blocks: must be 0..1000000000, got 2000000000 (environment)",
            "LLM_BACKENDS[1].cache_blocks: 必须为 0..1000000000，实际为 2000000000 (环境变量)"},
        Bad{R"("priority": "high")",
            "LLM_BACKENDS[1].priority: must be a whole number -2147483648..2147483647, got a text in quotes "
            "(environment)",
            "LLM_BACKENDS[1].priority: 必须为整数 -2147483648..2147483647，实际为 带引号的文本 (环境变量)"},
        Bad{R"("tags": "fast")",
            "LLM_BACKENDS[1].tags: must be an array of texts, such as [\"fast\"], got a text in quotes "
            "(environment)",
            "LLM_BACKENDS[1].tags: 必须为文本数组，例如 [\"fast\"]，实际为 带引号的文本 (环境变量)"},
        Bad{R"("tags": ["fast", 7])",
            "LLM_BACKENDS[1].tags[1]: must be a text in quotes, got a number (environment)",
            "LLM_BACKENDS[1].tags[1]: 必须为带引号的文本，实际为 数字 (环境变量)"},
        Bad{R"("model_name": 7)",
            "LLM_BACKENDS[1].model_name: must be a text in quotes, got a number (environment)",
            "LLM_BACKENDS[1].model_name: 必须为带引号的文本，实际为 数字 (环境变量)"},
        Bad{R"("wieght": 3)",
            "LLM_BACKENDS[1].wieght: unknown field; the nearest known one is \"weight\" (environment)",
            "LLM_BACKENDS[1].wieght: 未知的字段；最接近的已知字段是 \"weight\" (环境变量)"},
        Bad{R"("health": {"intervall": 3})",
            "LLM_BACKENDS[1].health.intervall: unknown field; the nearest known one is \"interval\" "
            "(environment)",
            "LLM_BACKENDS[1].health.intervall: 未知的字段；最接近的已知字段是 \"interval\" (环境变量)"},
        Bad{R"("health": {"path": "models"})",
            "LLM_BACKENDS[1].health.path: must begin with '/' and hold only visible ASCII without '#' "
            "(environment)",
            "LLM_BACKENDS[1].health.path: 必须以 '/' 开头，且只含可见 ASCII 字符，不含 '#' (环境变量)"},
        Bad{R"("health": {"expected_status": 99})",
            "LLM_BACKENDS[1].health.expected_status: must be 100..599, got 99 (environment)",
            "LLM_BACKENDS[1].health.expected_status: 必须为 100..599，实际为 99 (环境变量)"},
        Bad{R"("health": 3)",
            "LLM_BACKENDS[1].health: must be an object in braces, got a number (environment)",
            "LLM_BACKENDS[1].health: 必须为花括号中的对象，实际为 数字 (环境变量)"},
        Bad{R"("weight": 1, "weight": 2)",
            "LLM_BACKENDS[1].weight: stands twice in its object; keep one (environment)",
            "LLM_BACKENDS[1].weight: 在同一对象中出现两次；请只保留一个 (环境变量)"});
    CHECK(error_of_backends(second_backend(bad.value)) == bad.english);
    CHECK(error_of_backends(second_backend(bad.value), Language::chinese) == bad.chinese);
}

TEST_CASE("a bad list of backends says what it must be") {
    const Bad bad = GENERATE(
        Bad{"[]", "LLM_BACKENDS: must hold at least one backend, got an empty array (environment)",
            "LLM_BACKENDS: 至少要有一个后端，实际为空数组 (环境变量)"},
        Bad{"{}",
            "LLM_BACKENDS: must be a JSON array of backends, such as [{\"name\": \"a\", \"url\": "
            "\"http://host:8000\"}], got an object (environment)",
            "LLM_BACKENDS: 必须为后端的 JSON 数组，例如 [{\"name\": \"a\", \"url\": "
            "\"http://host:8000\"}]，实际为 "
            "对象 (环境变量)"},
        Bad{"[7]", "LLM_BACKENDS[0]: must be an object in braces, got a number (environment)",
            "LLM_BACKENDS[0]: 必须为花括号中的对象，实际为 数字 (环境变量)"},
        Bad{"[-7]", "LLM_BACKENDS[0]: must be an object in braces, got a number (environment)",
            "LLM_BACKENDS[0]: 必须为花括号中的对象，实际为 数字 (环境变量)"},
        Bad{R"([{"url": "http://a"}])",
            "LLM_BACKENDS[0].name: is missing; every backend needs one (environment)",
            "LLM_BACKENDS[0].name: 缺失；每个后端都必须有 (环境变量)"},
        Bad{R"([{"name": "a"}])", "LLM_BACKENDS[0].url: is missing; every backend needs one (environment)",
            "LLM_BACKENDS[0].url: 缺失；每个后端都必须有 (环境变量)"},
        Bad{R"([{"name": "a/b", "url": "http://a"}])",
            "LLM_BACKENDS[0].name: must be 1 to 128 bytes of UTF-8 without control characters, '/' or "
            "leading "
            "and trailing blanks (environment)",
            "LLM_BACKENDS[0].name: 必须为 1 到 128 字节的 UTF-8，不含控制字符和 '/'，首尾不能有空白 "
            "(环境变量)"},
        Bad{R"([{"name": "a", "url": "ftp://a"}])",
            "LLM_BACKENDS[0].url: must be http:// or https:// with a host, and optionally a port 1..65535 "
            "and a "
            "path; no user name, blank, query or fragment (environment)",
            "LLM_BACKENDS[0].url: 必须为 http:// 或 https:// 加主机，可带端口 1..65535 "
            "和路径；不能有用户名、空白、查询参数或片段 (环境变量)"},
        Bad{R"([{"name": "a", "url": "http://a"}, {"name": "a", "url": "http://b"}])",
            "LLM_BACKENDS[1].name: \"a\" is the name of LLM_BACKENDS[0] already; names must be unique "
            "(environment)",
            "LLM_BACKENDS[1].name: \"a\" 已是 LLM_BACKENDS[0] 的名称；名称必须唯一 (环境变量)"});
    CHECK(error_of_backends(bad.value) == bad.english);
    CHECK(error_of_backends(bad.value, Language::chinese) == bad.chinese);
}

TEST_CASE("text that is no JSON is reported with line and column, and nothing of it is shown") {
    const auto [value, english] = GENERATE(table<std::string, std::string>(
        {{"[{\"name\": \"a\",\n  \"url\": nope}]",
          "invalid JSON at line 2, column 11: unexpected text; is a quote, comma or bracket missing before "
          "it?"},
         {"[{\"name\": \"a\" \"url\": 1}]",
          "invalid JSON at line 1, column 15: unexpected text; is a quote, comma or bracket missing before "
          "it?"},
         {"[{\"name\": \"a\",}]", "invalid JSON at line 1, column 15: unexpected \"}\""},
         {"[{\"name\": \"a\"}",
          "invalid JSON at line 1, column 15: the text ends here, but a bracket is still open"},
         {"[{\"name\": \"secret\n\"}]",
          "invalid JSON at line 1, column 18: a text is not closed with a quote, or holds a line break, a "
          "control "
          "character or an unknown escape"},
         {"[{\"api_key\": \"secret",
          "invalid JSON at line 1, column 21: a text is not closed with a quote, or holds a line break, a "
          "control "
          "character or an unknown escape"},
         {"[{\"weight\": 1e999}]",
          "invalid JSON at line 1, column 17: a number that cannot be read or is too large"},
         {"[{\"weight\": NaN}]",
          "invalid JSON at line 1, column 13: unexpected text; is a quote, comma or bracket missing before "
          "it?"},
         {"[\"\xFF\"]", "invalid JSON at line 1, column 3: not UTF-8; save the file as UTF-8"},
         {"[\"é\", }", "invalid JSON at line 1, column 7: unexpected \"}\""},
         {"[true false]",
          "invalid JSON at line 1, column 7: unexpected text; is a quote, comma or bracket missing before "
          "it?"},
         {"[{\"a\": 1 23}]",
          "invalid JSON at line 1, column 10: unexpected text; is a quote, comma or bracket missing before "
          "it?"},
         {"[] []", "invalid JSON at line 1, column 4: unexpected \"[\""},
         {"'[]'", "invalid JSON at line 1, column 1: unexpected \"'\""}}));
    CHECK(error_of_backends(value) == "LLM_BACKENDS: " + english + " (environment)");
}

TEST_CASE("JSON nested too deeply is an error and no crash") {
    const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
    CHECK(error_of_backends(deep) == "LLM_BACKENDS: nested deeper than 32 levels (environment)");
    std::string objects;
    for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
    CHECK(error_of_backends(objects) == "LLM_BACKENDS: nested deeper than 32 levels (environment)");
    CHECK(error_of_backends(std::string(33, '[') + std::string(33, ']'), Language::chinese) ==
          "LLM_BACKENDS: 嵌套超过 32 层 (环境变量)");
    CHECK(error_of_backends(std::string(32, '[') + std::string(32, ']')).find("nested") == std::string::npos);
}

TEST_CASE("more backends than a balancer takes are refused before any is read") {
    std::string many = "[0";
    for (int i = 1; i <= 65'536; ++i) many += ",0";
    CHECK(error_of_backends(many + "]") ==
          "LLM_BACKENDS: must hold at most 65536 backends, got 65537 (environment)");
}

TEST_CASE("a bad value of another setting says what it must be") {
    struct Row {
        std::string name, value, english;
    };
    const Row row = GENERATE(
        Row{"MAX_RETRIES", "-1", "must be >= 0, got -1"},
        Row{"MAX_RETRIES", "two", "must be a whole number >= 0, got \"two\""},
        Row{"MAX_RETRIES", "1.5", "must be a whole number >= 0, got 1.5"},
        Row{"MAX_RETRIES", "4294967296", "must be 0..4294967295, got 4294967296"},
        Row{"MAX_RETRIES", "nan", "must be a whole number >= 0, got \"nan\""},
        Row{"HEALTH_CHECK_INTERVAL", "0", "must be > 0 (seconds), got 0"},
        Row{"HEALTH_CHECK_INTERVAL", "inf", "must be a number > 0, got \"inf\""},
        Row{"HEALTH_CHECK_INTERVAL", "30s", "must be a number > 0, got \"30s\""},
        Row{"HEALTH_CHECK_INTERVAL", "1e10", "must be <= 1000000000 (seconds), got 1e10"},
        Row{"FAILURE_THRESHOLD", "0", "must be >= 1, got 0"},
        Row{"LOAD_BALANCE_ENABLED", "maybe", "must be true/false, 1/0, yes/no or on/off, got \"maybe\""},
        Row{"FAIRLEAD_MAX_EJECTED", "1.5", "must be 0..1, got 1.5"},
        Row{"FAIRLEAD_HEDGE_QUANTILE", "1", "must be >= 0 and < 1, got 1"},
        Row{"FAIRLEAD_OVERPROVISIONING", "0.5", "must be 0 or >= 1, got 0.5"},
        Row{"FAIRLEAD_HEALTH_CHECK_STATUS", "600", "must be 0 or 100..599, got 600"},
        Row{"FAIRLEAD_LATENCY_TO", "middle", "must be one of first_byte, last_byte, got \"middle\""},
        Row{"FAIRLEAD_HASH_KEY", "session", "must be one of any, header, user, prefix, got \"session\""},
        Row{"FAIRLEAD_RETRY_ON", "timeout,sunday",
            "must be a list of connect_error, timeout, server_error, rate_limited, or none; got \"sunday\""},
        Row{"FAIRLEAD_SEED", "-1", "must be a whole number 0..18446744073709551615, got \"-1\""},
        Row{"FAIRLEAD_AFFINITY_HEADER", "X Session",
            "must be the name of an HTTP header, such as X-Session-Id"},
        Row{"FAIRLEAD_ADMIN_KEY", "k\n", "must not hold control characters; is a line break at its end?"},
        Row{"FAIRLEAD_TLS_CA_FILE", "/nowhere/ca.pem", "is no file that can be read: /nowhere/ca.pem"},
        Row{"FAIRLEAD_MODEL_ALIASES", "[1]",
            "must be a JSON object of names, such as {\"gpt-4o\": \"qwen\"}, got an array"},
        Row{"FAIRLEAD_MODEL_ALIASES", "{",
            "invalid JSON at line 1, column 2: the text ends here, but a bracket is "
            "still open"},
        Row{"FAIRLEAD_MAX_BODY_BYTES", "0", "must be >= 1, got 0"},
        Row{"FAIRLEAD_PREFIX_CACHE_BLOCKS", "1000000001", "must be 1..1000000000, got 1000000001"},
        Row{"LOAD_BALANCE_STRATEGY", "fastest", ""});
    const std::string error = error_of({{"VLLM_SERVER_URL", "http://a"}, {row.name, row.value}});
    if (row.english.empty()) {
        CHECK(error.starts_with("LOAD_BALANCE_STRATEGY: unknown strategy \"fastest\"; known are: "));
        for (const char* known : {"round_robin", "weighted_round_robin", "least_connections", "random",
                                  "consistent_hash", "response_time"})
            CHECK(error.find(known) != std::string::npos);
    } else {
        CHECK(error == row.name + ": " + row.english + " (environment)");
    }
}

TEST_CASE("a hash_key that is none of its words is refused with all of them, and leaves the one before") {
    const File file{R"({"vllm_server_url": "http://a", "hash_key": 3})"};
    CHECK(error_of(from_json_file(file.path())) ==
          "hash_key: must be one of any, header, user, prefix, got a number (" + file.path() + ")");
    detail::Problems problems{Language::chinese};
    const nlohmann::json value = "Prefix";  // its words are in small letters
    HashKey field = HashKey::user;
    detail::FieldReader{problems}.read({.value = value, .where = "hash_key"}, field);
    CHECK(field == HashKey::user);
    REQUIRE(problems.list().size() == 1);
    CHECK(problems.list()[0].text() == "hash_key: 必须为 any, header, user, prefix 之一，实际为 \"Prefix\"");
}

TEST_CASE("an unknown setting of ours is an error that names the nearest known one") {
    const Environment url{{"VLLM_SERVER_URL", "http://a"}};
    const auto with = [&](const char* name, Language language = Language::english) {
        Environment environment = url;
        environment[name] = "1";
        return error_of(environment, language);
    };
    CHECK(
        with("FAIRLEAD_QUEUE_LIMT") ==
        "FAIRLEAD_QUEUE_LIMT: unknown setting; the nearest known one is FAIRLEAD_QUEUE_LIMIT (environment)");
    CHECK(with("fairlead_gatway", Language::chinese) ==
          "fairlead_gatway: 未知的设置；最接近的已知设置是 FAIRLEAD_GATEWAYS (环境变量)");
    CHECK(with("FAIRLEAD_MAX_RETRIES") ==
          "FAIRLEAD_MAX_RETRIES: unknown setting; the nearest known one is MAX_RETRIES (environment)");
    CHECK(with("PATH") == "no error");
    CHECK(with("FAIRLEAD_API_KEY") == "no error");     // of the command line tool
    CHECK(with("FAIRLEAD_SERVER_URL") == "no error");  // the same
    CHECK(with("FAIRLEAD_BACKEND_API_KEY") == "no error");
}

TEST_CASE("what an operator wrote is shown on one line, and cut when it is long") {
    CHECK(error_of({{"VLLM_SERVER_URL", "http://a"}, {"MAX_RETRIES", "a\nb"}})
              .starts_with("MAX_RETRIES: must be a whole number >= 0, got \"a?b\" "));
    CHECK(error_of({{"VLLM_SERVER_URL", "http://a"}, {"LOAD_BALANCE_STRATEGY", std::string(41, 'x')}})
              .starts_with("LOAD_BALANCE_STRATEGY: unknown strategy \"" + std::string(40, 'x') +
                           "...\"; known "));
    CHECK(error_of_backends(R"([{"name": "a", "url": "http://a", "x\ny": 1}])")
              .starts_with("LLM_BACKENDS[0].x?y: "));
}

TEST_CASE("two neighbours in the wrong order are one slip, and a part of a name means that name") {
    // Without swaps both are two slips from "abdc", and the first would be named.
    const std::string_view names[] = {"abxx", "abcd"};
    CHECK(detail::nearest("abdc", names) == "abcd");
    const std::string_view settings[] = {"api_key", "load_balance_strategy"};
    CHECK(detail::nearest("Strategy", settings) == "load_balance_strategy");
}

TEST_CASE("an unknown key of the JSON file is an error that names the nearest known one") {
    const File file{R"({"vllm_server_url": "http://a", "strategy": "random", "fairlead_queue_limit": 3})"};
    CHECK(error_of(from_json_file(file.path())) ==
          "fairlead_queue_limit: unknown setting; the nearest known one is queue_limit (" + file.path() +
              ")\nstrategy: unknown setting; the nearest known one is load_balance_strategy (" + file.path() +
              ")");
    for (const std::string name : {"", " "}) {
        const File nameless{R"({"vllm_server_url": "http://a", ")" + name + R"(": 3})"};
        CHECK(error_of(from_json_file(nameless.path()))
                  .starts_with('"' + name + "\": unknown setting; the nearest known one is "));
    }
}

TEST_CASE("nothing set at all is an error that says what to set") {
    CHECK(
        error_of(Environment{}) ==
        "LLM_BACKENDS, VLLM_SERVER_URL: no backend is set; set VLLM_SERVER_URL=http://host:port for one, or "
        "LLM_BACKENDS to a JSON array of several");
    CHECK(error_of(Environment{}, Language::chinese) ==
          "LLM_BACKENDS, VLLM_SERVER_URL: 没有设置后端；单个后端请设置 "
          "VLLM_SERVER_URL=http://host:port，多个后端请将 LLM_BACKENDS 设为 JSON 数组");
    CHECK(error_of(Environment{{"LLM_BACKENDS", " "}}).find("no backend is set") != std::string::npos);
}

TEST_CASE("all problems are reported at once, one a line") {
    try {
        static_cast<void>(load({{"LLM_BACKENDS", second_backend(R"("weight": 0, "timeout": 0, "colour": 1)")},
                                {"MAX_RETRIES", "x"},
                                {"FAIRLEAD_NONSENSE", "1"},
                                {"LOAD_BALANCE_STRATEGY", "none"}}));
        FAIL("no error");
    } catch (const SettingsError& error) {
        REQUIRE(error.problems().size() == 6);
        std::string lines;
        for (const SettingsProblem& problem : error.problems())
            lines += (lines.empty() ? "" : "\n") + problem.text();
        CHECK(error.what() == lines);
        CHECK(error.problems()[0].where == "FAIRLEAD_NONSENSE");
        CHECK(error.problems()[0].source == "environment");
        CHECK(lines.find("LLM_BACKENDS[1].weight: must be 1..65535, got 0") != std::string::npos);
        CHECK(lines.find("LLM_BACKENDS[1].timeout") != std::string::npos);
        CHECK(lines.find("LLM_BACKENDS[1].colour") != std::string::npos);
        CHECK(lines.find("MAX_RETRIES") != std::string::npos);
    }
}

TEST_CASE("no key of a backend or of the admin API is ever in a message") {
    const std::string secret = "sk-topsecret";
    const std::string bad_json = GENERATE_COPY(
        R"([{"api_key": ")" + secret, R"([{"api_key": ")" + secret + "\n\"}]",
        R"([{"api_key": ")" + secret + R"(", "api_key": ")" + secret + R"("}])",
        R"([{"api_key": [")" + secret + R"("], "name": 1, "url": "x"}])",
        R"([{"api_key": ")" + secret + R"(\n", "name": "a", "url": "http://user:)" + secret + R"(@host"}])",
        R"([{"api_key": ")" + secret + R"(" "name": "a"}])", R"([{"api_key": )" + secret + "}]", secret);
    const std::string error = error_of(
        {{"LLM_BACKENDS", bad_json}, {"FAIRLEAD_ADMIN_KEY", secret + "\n"}, {"API_KEY", secret + "\n"}});
    CHECK(error.find("LLM_BACKENDS") != std::string::npos);
    CHECK(error.find("topsecret") == std::string::npos);
    CHECK(error_of({{"API_KEY", secret + "\n"}, {"VLLM_SERVER_URL", "http://u:" + secret + "@h"}})
              .find("topsecret") == std::string::npos);
}

TEST_CASE("what is wrong with the single backend is told by the names of its settings") {
    CHECK(error_of({{"VLLM_SERVER_URL", "localhost:8000"}, {"API_KEY", "k\n"}}) ==
          "API_KEY: must not hold control characters; is a line break at its end? (environment)\n"
          "VLLM_SERVER_URL: must be http:// or https:// with a host, and optionally a port 1..65535 and a "
          "path; "
          "no user name, blank, query or fragment (environment)");
}

TEST_CASE("a setting spelled twice with unlike values is an error") {
    CHECK(error_of({{"VLLM_SERVER_URL", "http://a"}, {"MAX_RETRIES", "1"}, {"max_retries", "2"}}) ==
          "max_retries: is set as MAX_RETRIES as well, to another value; keep one (environment)");
    CHECK(error_of({{"VLLM_SERVER_URL", "http://a"}, {"MAX_RETRIES", "1"}, {"max_retries", "1"}}) ==
          "no error");
}
