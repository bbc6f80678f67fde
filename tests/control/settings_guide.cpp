// The operator's guide, example by example, and its table of modes.
#include <chrono>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/control/mode_line.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/strategies/any_strategy.hpp>

#include "settings_support.hpp"
#include "support/catch.hpp"

using namespace fairlead;
using namespace settings_test;
using namespace std::chrono_literals;

namespace {

Settings load_guide(std::string_view name) { return load_settings(from_env_file(guide_path(name))); }

}  // namespace

TEST_CASE("the guide's example 1 is one backend that is not balanced") {
    const Settings settings = load_guide("example1.env");
    CHECK(settings.mode == Mode::single_backend);
    REQUIRE(settings.backends.size() == 1);
    BackendConfig expected{.name = "default", .url = "http://192.168.8.6:8000", .model_name = "qwenOmni7"};
    expected.api_key = "abc123";
    expected.max_connections = max_connections_limit;
    CHECK(settings.backends.front() == expected);
    CHECK_FALSE(settings.options.health_check);
    CHECK_FALSE(settings.options.ejection);
    CHECK(settings.options.max_retries == 0);
    CHECK(mode_line(settings, Language::chinese) == "负载均衡未启用，使用传统单后端模式");
    CHECK(mode_line(settings, Language::english) ==
          "load balancing is off: all requests go to the single backend");
}

TEST_CASE("the guide's example 2 is one backend under the full machinery") {
    const Settings settings = load_guide("example2.env");
    CHECK(settings.mode == Mode::single_backend_balanced);
    REQUIRE(settings.backends.size() == 1);
    CHECK(settings.backends.front().name == "default");
    CHECK(settings.backends.front().max_connections == 50);
    CHECK(settings.options == Options{});
    CHECK(mode_line(settings, Language::chinese) ==
          "启用负载均衡但未检测到多后端配置，使用单后端负载均衡模式");
    CHECK(mode_line(settings, Language::english) ==
          "load balancing is on with a single backend, because no others are configured");
}

TEST_CASE("the guide's example 3 is two backends with all that it writes about them") {
    const Settings settings = load_guide("example3.env");
    CHECK(settings.mode == Mode::multi_backend);
    CHECK(settings.strategy == "weighted_round_robin");
    BackendConfig primary{.name = "primary", .url = "http://192.168.8.6:8000", .model_name = "qwenOmni7"};
    primary.api_key = "abc123";
    primary.weight = 3;
    primary.tags = {"primary", "fast"};
    BackendConfig backup{.name = "backup", .url = "http://192.168.8.7:8000", .model_name = "qwenOmni7"};
    backup.api_key = "def456";
    backup.max_connections = 30;
    backup.timeout = 35s;
    backup.priority = 1;
    backup.tags = {"backup", "stable"};
    CHECK(settings.backends == std::vector{primary, backup});
    CHECK(settings.options == Options{});
    CHECK(mode_line(settings, Language::chinese) == "负载均衡LLM服务初始化完成，包含 2 个后端");
    CHECK(mode_line(settings, Language::english) == "load balancing is on with 2 backends");
}

TEST_CASE("the guide's example 4 as it stands is no JSON, and the error says where") {
    const std::string path = guide_path("example4.env");
    CHECK(error_of(from_env_file(path)) ==
          "LLM_BACKENDS: invalid JSON at line 1, column 23: unexpected \".\" (" + path +
              ", line 2, column 37)");
    SettingsSources chinese = from_env_file(path);
    chinese.language = Language::chinese;
    CHECK(error_of(chinese) ==
          "LLM_BACKENDS: 第 1 行第 23 列 JSON 无效：意外的 \".\" (" + path + " 第 2 行第 37 列)");
}

TEST_CASE("the guide's example 4 filled in is its first backend alone, without a limit") {
    const Settings settings = load_guide("example4-filled-in.env");
    CHECK(settings.mode == Mode::single_backend);
    REQUIRE(settings.backends.size() == 1);
    CHECK(settings.backends.front().name == "backend1");
    CHECK(settings.backends.front().max_connections == max_connections_limit);
}

TEST_CASE("the guide's configuration for development is one backend") {
    const Settings settings = load_guide("development.env");
    CHECK(settings.mode == Mode::single_backend);
    REQUIRE(settings.backends.size() == 1);
    CHECK(settings.backends.front().url == "http://localhost:8000");
    CHECK(settings.backends.front().api_key == "your-key");
}

TEST_CASE("the guide's configuration for production is three backends") {
    const Settings settings = load_guide("production.env");
    CHECK(settings.mode == Mode::multi_backend);
    CHECK(settings.strategy == "weighted_round_robin");
    REQUIRE(settings.backends.size() == 3);
    CHECK(settings.backends[0].weight == 3);
    CHECK(settings.backends[1].max_connections == 80);
    CHECK(settings.backends[2].name == "backup");
    CHECK(settings.backends[2].timeout == 45s);
    CHECK(settings.options.health_check_interval == 15s);
    CHECK(settings.options.max_retries == 3);
    CHECK(settings.options.failure_threshold == 2);
    CHECK(mode_line(settings, Language::chinese) == "负载均衡LLM服务初始化完成，包含 3 个后端");
}

TEST_CASE("every row of the table of modes") {
    struct Row {
        const char* backends;
        const char* enabled;
        Mode mode;
        std::vector<std::string> names;
    };
    const Row row = GENERATE(Row{nullptr, nullptr, Mode::single_backend, {"default"}},
                             Row{nullptr, "false", Mode::single_backend, {"default"}},
                             Row{nullptr, "true", Mode::single_backend_balanced, {"default"}},
                             Row{one_backend, nullptr, Mode::single_backend_balanced, {"a"}},
                             Row{one_backend, "true", Mode::single_backend_balanced, {"a"}},
                             Row{two_backends, nullptr, Mode::multi_backend, {"a", "b"}},
                             Row{two_backends, "true", Mode::multi_backend, {"a", "b"}},
                             Row{one_backend, "false", Mode::single_backend, {"a"}},
                             Row{two_backends, "false", Mode::single_backend, {"a"}});
    Environment environment{{"VLLM_SERVER_URL", "http://localhost:8000"}};
    if (row.backends != nullptr) environment["LLM_BACKENDS"] = row.backends;
    if (row.enabled != nullptr) environment["LOAD_BALANCE_ENABLED"] = row.enabled;
    const Settings settings = load(environment);
    CHECK(settings.mode == row.mode);
    std::vector<std::string> names;
    for (const BackendConfig& backend : settings.backends) names.push_back(backend.name);
    CHECK(names == row.names);
    const bool machinery = row.mode != Mode::single_backend;
    CHECK(settings.options.health_check == machinery);
    CHECK(settings.options.ejection == machinery);
    CHECK(settings.options.max_retries == (machinery ? 2 : 0));
    CHECK(settings.options.rest_max == (machinery ? 60s : 0s));
    CHECK(settings.options.timing == machinery);
    CHECK(settings.backends.front().max_connections == (machinery ? 50 : max_connections_limit));
}

TEST_CASE("single_backend gives the one backend whatever it answered") {
    const Settings settings = load({{"VLLM_SERVER_URL", "http://a"}});
    Balancer<AnyStrategy> balancer{settings};
    Outcome busy = Outcome::rate_limited;
    busy.retry_after = 30s;
    Outcome unavailable = Outcome::from_status(503);
    unavailable.retry_after = 30s;
    for (const Outcome& outcome :
         {busy, unavailable, Outcome::from_status(429), Outcome{Outcome::timeout},
          Outcome{Outcome::connect_error}, Outcome::from_status(500), Outcome::from_status(500)}) {
        Lease lease = balancer.select();
        REQUIRE(lease);
        CHECK(lease->name == "default");
        balancer.report(std::move(lease), outcome);
    }
    CHECK(balancer.snapshot().front().state == BackendState::healthy);
    Lease lease = balancer.select();
    balancer.first_byte(lease);  // nothing is measured, and nothing stays behind
    balancer.came(lease, 100);
    CHECK(balancer.snapshot().front().in_flight == 1);
    balancer.report(std::move(lease), Outcome::success);
    CHECK(balancer.snapshot().front().in_flight == 0);
    CHECK(balancer.snapshot().front().decoding == 0);
}

TEST_CASE("a written max_connections is a limit in single_backend too") {
    const Settings settings =
        load({{"LLM_BACKENDS", R"([{"name": "a", "url": "http://a", "max_connections": 7}])"},
              {"LOAD_BALANCE_ENABLED", "off"}});
    CHECK(settings.mode == Mode::single_backend);
    CHECK(settings.backends.front().max_connections == 7);
}

TEST_CASE("the switch takes every word for on and off, in any case") {
    const auto [word, on] = GENERATE(table<std::string, bool>({{"true", true},
                                                               {"1", true},
                                                               {"yes", true},
                                                               {"on", true},
                                                               {"TRUE", true},
                                                               {" On ", true},
                                                               {"false", false},
                                                               {"0", false},
                                                               {"no", false},
                                                               {"off", false},
                                                               {"No", false}}));
    const Settings settings = load({{"VLLM_SERVER_URL", "http://a"}, {"LOAD_BALANCE_ENABLED", word}});
    CHECK(settings.mode == (on ? Mode::single_backend_balanced : Mode::single_backend));
}

TEST_CASE("a locale that begins with zh is Chinese, all others are English") {
    CHECK(language_of("zh_CN.UTF-8") == Language::chinese);
    CHECK(language_of("zh") == Language::chinese);
    CHECK(language_of("zh-TW") == Language::chinese);
    CHECK(language_of("ZH_hk") == Language::chinese);
    CHECK(language_of("zhx") == Language::english);
    CHECK(language_of("C") == Language::english);
    CHECK(language_of("") == Language::english);
    CHECK(language_of("en_GB.UTF-8") == Language::english);
}

TEST_CASE("LC_ALL goes before LANG for the language of the messages") {
    SettingsSources sources = from({{"LANG", "en_US.UTF-8"}, {"LC_ALL", "zh_CN.UTF-8"}});
    sources.language.reset();
    CHECK(error_of(sources).find("没有设置后端") != std::string::npos);
    sources.environment = Environment{{"LANG", "zh_CN.UTF-8"}, {"LC_ALL", "C"}};
    CHECK(error_of(sources).find("no backend is set") != std::string::npos);
    sources.environment = Environment{{"LANG", "zh_CN.UTF-8"}, {"LC_ALL", ""}};
    CHECK(error_of(sources).find("没有设置后端") != std::string::npos);
}

TEST_CASE("the process's own locale is asked in the same order") {
    const EnvironmentVariable all{"LC_ALL", ""};
    const EnvironmentVariable messages{"LC_MESSAGES", "zh_CN.UTF-8"};
    const EnvironmentVariable lang{"LANG", "C"};
    CHECK(language_from_environment() == Language::chinese);
    {
        const EnvironmentVariable over{"LC_ALL", "C"};
        CHECK(language_from_environment() == Language::english);
    }
    const EnvironmentVariable no_messages{"LC_MESSAGES", ""};
    const EnvironmentVariable no_lang{"LANG", ""};
    CHECK(language_from_environment() == Language::english);
    SettingsSources without_locale = from({});
    without_locale.language.reset();
    CHECK(error_of(without_locale).find("no backend is set") != std::string::npos);
}

TEST_CASE("every error of the library has a Chinese sentence of its own") {
    for (int value = 1; value <= static_cast<int>(Errc::fixed_option); ++value) {
        const std::error_code error = make_error_code(static_cast<Errc>(value));
        CHECK(message(error, Language::english) == error.message());
        CHECK(message(error, Language::chinese) != error.message());
    }
    const auto other = std::make_error_code(std::errc::timed_out);
    CHECK(message(other, Language::chinese) == other.message());
}
