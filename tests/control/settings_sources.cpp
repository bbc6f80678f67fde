// Which source counts, and what dotenv and JSON files may look like.
#include <chrono>

#include "settings_support.hpp"
#include "support/catch.hpp"

using namespace fairlead;
using namespace settings_test;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

/// A dotenv file that has a backend, and these lines.
Settings load_lines(const std::string& lines) { return load_dotenv("VLLM_SERVER_URL=http://a\n" + lines); }

/// What a dotenv file makes of FAIRLEAD_HEALTH_CHECK_CONTAINS=`written`: any text is good there.
std::string value_of(const std::string& written) {
    return load_lines("FAIRLEAD_HEALTH_CHECK_CONTAINS=" + written).options.health_check_contains;
}

std::string dotenv_error(const std::string& content) {
    const File file{content};
    std::string error = error_of(from_env_file(file.path()));
    for (std::size_t at; (at = error.find(file.path())) != std::string::npos;)
        error.replace(at, file.path().size(), "FILE");
    return error;
}

}  // namespace

TEST_CASE("for each name the environment goes before the dotenv file, and that before the JSON file") {
    const File dotenv{"MAX_RETRIES=5\nFAILURE_THRESHOLD=5\nLOAD_BALANCE_ENABLED=true\n"};
    const File json{R"({"vllm_server_url": "http://a", "max_retries": 6, "failure_threshold": 6,
                        "health_check_interval": 6})"};
    SettingsSources sources = from({{"MAX_RETRIES", "4"}});
    sources.env_file = dotenv.path();
    sources.settings_file = json.path();
    const Settings settings = load_settings(sources);
    CHECK(settings.options.max_retries == 4);
    CHECK(settings.options.failure_threshold == 5);
    CHECK(settings.options.health_check_interval == 6s);
    CHECK(settings.backends.front().url == "http://a");
}

TEST_CASE("an empty value is the default, and hides the sources behind") {
    const File dotenv{"VLLM_SERVER_URL=http://a\nLOAD_BALANCE_ENABLED=true\nMAX_RETRIES=5\nAPI_KEY=k\n"};
    SettingsSources sources = from({{"MAX_RETRIES", ""}, {"API_KEY", ""}});
    sources.env_file = dotenv.path();
    const Settings settings = load_settings(sources);
    CHECK(settings.options.max_retries == 2);
    CHECK(settings.backends.front().api_key.empty());
    CHECK(load_json(R"({"vllm_server_url": "http://a", "model_name": null})").backends.front().model_name ==
          "");
}

TEST_CASE("a bad value that another source hides is no problem") {
    const File dotenv{"VLLM_SERVER_URL=http://a\nMAX_RETRIES=many\n"};
    SettingsSources sources = from({{"MAX_RETRIES", "1"}});
    sources.env_file = dotenv.path();
    CHECK(error_of(sources) == "no error");
}

TEST_CASE("names are not case sensitive in any source") {
    CHECK(load({{"vllm_Server_URL", "http://a"}}).backends.front().url == "http://a");
    CHECK(load_dotenv("vllm_server_url=http://a\nload_balance_enabled=1\nfairlead_gateways=4\n")
              .options.gateways == 4);
    CHECK(load_json(R"({"VLLM_SERVER_URL": "http://a", "Gateways": 4})").options.gateways == 4);
}

TEST_CASE("a dotenv file that is named must be there; the default one need not") {
    SettingsSources named = from({{"VLLM_SERVER_URL", "http://a"}});
    named.env_file = "no-such-directory/.env";
    CHECK(error_of(named).starts_with("no-such-directory/.env: cannot be read: "));
    named.language = Language::chinese;
    CHECK(error_of(named).starts_with("no-such-directory/.env: 无法读取："));

    const File directory_name{""};
    const auto old = std::filesystem::current_path();
    const auto empty = std::filesystem::path{directory_name.path() + "-dir"};
    std::filesystem::create_directory(empty);
    std::filesystem::current_path(empty);
    SettingsSources by_default = from({});
    by_default.env_file.reset();
    const std::string without = error_of(by_default);
    std::ofstream{".env"} << "VLLM_SERVER_URL=http://from-dotenv\n";
    const std::string with = load_settings(by_default).backends.front().url;
    std::filesystem::current_path(old);
    std::filesystem::remove_all(empty);
    CHECK(without.find("no backend is set") != std::string::npos);
    CHECK(without.find("cannot be read") == std::string::npos);
    CHECK(with == "http://from-dotenv");
}

TEST_CASE("a directory, a missing and a huge JSON file are errors") {
    const std::string directory = std::filesystem::temp_directory_path().string();
    CHECK(error_of(from_json_file(directory)).starts_with(directory + ": cannot be read: it is a directory"));
    CHECK(error_of(from_json_file("no-such-file.json")).starts_with("no-such-file.json: cannot be read: "));
    const File huge{""};
    std::filesystem::resize_file(huge.path(), 16 * 1024 * 1024 + 1);
    CHECK(error_of(from_json_file(huge.path())).find(": cannot be read: larger than 16 MiB") !=
          std::string::npos);
}

TEST_CASE("dotenv values are bare, in double quotes or in single quotes") {
    CHECK(value_of("plain") == "plain");
    CHECK(value_of("  two words  ") == "two words");
    CHECK(value_of("a#b") == "a#b");
    CHECK(value_of("a #b") == "a");
    CHECK(value_of("#b") == "#b");
    CHECK(value_of(" # nothing") == "");
    CHECK(value_of("a=b='c'") == "a=b='c'");
    CHECK(value_of("$HOME\\n") == "$HOME\\n");
    CHECK(value_of("\"a b\" # comment") == "a b");
    CHECK(value_of(R"("tab\t quote\" line\n back\\slash \$x \d")") ==
          "tab\t quote\" line\n back\\slash $x \\d");
    CHECK(value_of("\"two\nlines # no comment\"") == "two\nlines # no comment");
    CHECK(value_of(R"('raw \n "double" $x #')") == R"(raw \n "double" $x #)");
    CHECK(value_of("'two\r\nlines'\r") == "two\nlines");
    CHECK(value_of("''") == "");
}

TEST_CASE(
    "dotenv files may have exports, comments, blank lines, CRLF, a byte order mark and no last line end") {
    const Settings settings = load_dotenv(
        "\xEF\xBB\xBF# comment\r\n\r\n   \r\n  export VLLM_SERVER_URL = http://a "
        "\r\nexport\tMAX_RETRIES=4\r\n"
        "LOAD_BALANCE_ENABLED=yes\r\nOTHER.name-1=x\r\nexport=1\r\n\t# more\r\nFAILURE_THRESHOLD=7");
    CHECK(settings.backends.front().url == "http://a");
    CHECK(settings.options.max_retries == 4);
    CHECK(settings.options.failure_threshold == 7);
}

TEST_CASE("of a name that stands twice in a dotenv file the last counts") {
    CHECK(load_lines("LOAD_BALANCE_ENABLED=true\nMAX_RETRIES=1\nmax_retries=3\n").options.max_retries == 3);
}

TEST_CASE("what is wrong in a dotenv file is told with line and column") {
    const std::string url = "VLLM_SERVER_URL=http://a\n";
    CHECK(dotenv_error(url + "  MAX_RETRIES 3\n") ==
          "FILE: at line 2, column 3: no '=' behind the name; write NAME=value, or '#' before a comment");
    CHECK(dotenv_error(url + "\nMY NAME=3\n") ==
          "FILE: at line 3, column 1: a name must be letters, digits and '_', and not begin with a digit; "
          "write "
          "NAME=value");
    CHECK(dotenv_error(url + "9=3\n").find("line 2, column 1: a name must be") != std::string::npos);
    CHECK(dotenv_error(url + "=3\n").find("line 2, column 1: a name must be") != std::string::npos);
    CHECK(dotenv_error(url + "MODEL_NAME='qwen\nAPI_KEY=k\n") ==
          "FILE: at line 2, column 12: the quote that begins here is never closed");
    CHECK(dotenv_error(url + "MODEL_NAME=\"qwen\\\"\n") ==
          "FILE: at line 2, column 12: the quote that begins here is never closed");
    CHECK(dotenv_error(url + "MODEL_NAME='it's'\n") ==
          "FILE: at line 2, column 16: only a comment may follow the closing quote; is there a quote within "
          "the "
          "value?");
    CHECK(dotenv_error(url + "MODEL_NAME='模型' x\n").find("line 2, column 17:") != std::string::npos);
    CHECK(dotenv_error("\xFF\xFEV\0"s).find("FILE: at line 1, column 1: is UTF-16; save the file as UTF-8") ==
          0);
    CHECK(dotenv_error(url + "MAX_RETRIES=x\n") ==
          "MAX_RETRIES: must be a whole number >= 0, got \"x\" (FILE, line 2)");
    CHECK(
        dotenv_error(url + "FAIRLEAD_X=1\n").find("FAIRLEAD_X: unknown setting; the nearest known one is ") ==
        0);
}

TEST_CASE("a place in JSON is one of the dotenv file where the value stands there as it is") {
    CHECK(dotenv_error("# first\nLLM_BACKENDS='[\n  {\"name\" 1}\n]'\n") ==
          "LLM_BACKENDS: invalid JSON at line 2, column 11: unexpected text; is a quote, comma or bracket "
          "missing "
          "before it? (FILE, line 3, column 11)");
    CHECK(dotenv_error("LLM_BACKENDS=\"[\n  {\\\"name\\\" 1}\n]\"\n") ==
          "LLM_BACKENDS: invalid JSON at line 2, column 11: unexpected text; is a quote, comma or bracket "
          "missing "
          "before it? (FILE, line 1)");
}

TEST_CASE("LLM_BACKENDS in double quotes with escapes is the same list") {
    const Settings settings =
        load_dotenv("LLM_BACKENDS=\"[{\\\"name\\\": \\\"a\\\", \\\"url\\\": \\\"http://a\\\"}]\"\n");
    CHECK(settings.backends.front().name == "a");
}

TEST_CASE("a JSON file has the same names in lower case, and lists as arrays or as text") {
    const Settings settings = load_json(R"({
        "llm_backends": [{"name": "a", "url": "https://a:8443/v1", "timeout": 0.25, "priority": -3,
                          "connect_timeout": 1, "first_byte_timeout": 2, "idle_timeout": 3, "total_timeout": 4.5,
                          "api_key": null, "weight": 2.0,
                          "health": {"path": "/health", "interval": 7, "expected_status": 204,
                                     "body_contains": "ok"}},
                         {"name": "后端", "url": "http://[::1]:8000"}],
        "load_balance_strategy": "least_connections", "load_balance_enabled": true, "health_check_interval": 1.5,
        "max_retries": 0, "failure_threshold": 9, "admin_key": "k", "affinity_header": "X-Session-Id",
        "model_aliases": {"gpt-4o": "qwen"}, "max_body_bytes": 1000000, "retry_on": ["timeout"],
        "latency_to": "last_byte", "seed": 18446744073709551615, "queue_timeout": 2, "ejection": false,
        "slow_start": 0, "panic_threshold": 0.3})");
    REQUIRE(settings.backends.size() == 2);
    const BackendConfig& a = settings.backends.front();
    CHECK(a.timeout == 250ms);
    CHECK(a.priority == -3);
    CHECK(a.connect_timeout == 1s);
    CHECK(a.first_byte_timeout == Duration{2s});
    CHECK(a.idle_timeout == Duration{3s});
    CHECK(a.total_timeout == Duration{4500ms});
    CHECK(a.weight == 2);
    CHECK(a.health == HealthOverride{"/health", Duration{7s}, 204, "ok"});
    CHECK(settings.backends.back().name == "后端");
    CHECK(settings.strategy == "least_connections");
    CHECK(settings.options.health_check_interval == 1500ms);
    CHECK(settings.options.max_retries == 0);
    CHECK(settings.options.failure_threshold == 9);
    CHECK(settings.admin_key == "k");
    CHECK(settings.affinity_header == "X-Session-Id");
    CHECK(settings.model_aliases == std::map<std::string, std::string>{{"gpt-4o", "qwen"}});
    CHECK(settings.max_body_bytes == 1'000'000);
    CHECK(settings.options.retry_on ==
          RetryOn{.connect_error = false, .timeout = true, .server_error = false, .rate_limited = false});
    CHECK(settings.options.latency_to == LatencyTo::last_byte);
    CHECK(settings.options.seed == 18'446'744'073'709'551'615u);
    CHECK(settings.options.queue_timeout == 2s);
    CHECK_FALSE(settings.options.ejection);
    CHECK(settings.options.panic_threshold == 0.3);

    const Settings text = load_json(R"({"llm_backends": "[{\"name\": \"a\", \"url\": \"http://a\"}]"})");
    CHECK(text.backends.front().name == "a");
}

TEST_CASE("a JSON file that is none says where, and one with a wrong type says which") {
    const auto error = [](std::string_view content) {
        const File file{content};
        std::string text = error_of(from_json_file(file.path()));
        for (std::size_t at; (at = text.find(file.path())) != std::string::npos;)
            text.replace(at, file.path().size(), "FILE");
        return text;
    };
    CHECK(error("{\n  \"max_retries\": 3,\n}")
              .starts_with("FILE: invalid JSON at line 3, column 1: unexpected \"}\""));
    CHECK(error("").starts_with("FILE: invalid JSON at line 1, column 1: there is nothing here"));
    CHECK(error("[]").starts_with("FILE: must be one JSON object of settings, got an array"));
    CHECK(error(R"({"vllm_server_url": "http://a", "max_retries": "3"})") ==
          "max_retries: must be a whole number >= 0, got a text in quotes (FILE)");
    CHECK(error(R"({"vllm_server_url": "http://a", "load_balance_enabled": [true]})") ==
          "load_balance_enabled: must be true/false, 1/0, yes/no or on/off, got an array (FILE)");
    CHECK(error(R"({"vllm_server_url": "http://a", "retry_on": true})").find("or none; got ") !=
          std::string::npos);
    CHECK(error(R"({"llm_backends": [{"name": "a", "url": "http://a", "weight": 0}]})") ==
          "llm_backends[0].weight: must be 1..65535, got 0 (FILE)");
    CHECK(error(R"({"vllm_server_url": "http://a", "vllm_server_url": "http://b"})")
              .starts_with("FILE.vllm_server_url: stands twice in its object; keep one"));
    CHECK(error(R"({"vllm_server_url": "http://a", "VLLM_SERVER_URL": "http://b"})").find("is set as ") !=
          std::string::npos);
}

TEST_CASE("the process's environment is the default") {
    const EnvironmentVariable limit{"FAIRLEAD_QUEUE_LIMIT", "77"};
    const EnvironmentVariable url{"VLLM_SERVER_URL", "http://from-process"};
    SettingsSources sources;
    sources.env_file = "";
    const Settings settings = load_settings(sources);
    CHECK(settings.options.queue_limit == 77);
    CHECK(settings.backends.front().url == "http://from-process");
}
