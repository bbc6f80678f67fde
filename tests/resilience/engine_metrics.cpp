// What engines write in their metrics, and what others might: the load that is read from it, or none.
#include <fairlead/resilience/engine_metrics.hpp>

#include <string>

#include "support/catch.hpp"

namespace {

using namespace fairlead;

LoadReport report_of(std::string_view text) {
    const auto reading = read_engine_metrics(text);
    INFO(reading.problem);
    CHECK(reading.problem.empty());
    return reading.report;
}

std::string problem_of(std::string_view text) {
    const auto reading = read_engine_metrics(text);
    CHECK_FALSE(reading.report.says_something());
    return reading.problem;
}

/// A good line, and another: whether the whole is taken shows whether the other was.
bool takes(std::string_view line) {
    const std::string text = "vllm:num_requests_running 3\n" + std::string{line} + "\n";
    return read_engine_metrics(text).problem.empty();
}

}  // namespace

TEST_CASE("each engine's load is read by the names that it uses") {
    struct Case {
        const char* engine;
        const char* running;
        const char* waiting;
        const char* cache;
    };
    const Case cases[] = {
        {"vllm", "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"},
        {"vllm", "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:gpu_cache_usage_perc"},
        {"sglang", "sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage"},
        {"sglang", "sglang_num_running_reqs", "sglang_num_queue_reqs", "sglang_token_usage"},
        {"tensorrt-llm", "trtllm_num_requests_running", "trtllm_num_requests_waiting",
         "trtllm_kv_cache_utilization"},
        {"tgi", "tgi_batch_current_size", "tgi_queue_size", ""},
        {"llama.cpp", "llamacpp:requests_processing", "llamacpp:requests_deferred",
         "llamacpp:kv_cache_usage_ratio"},
    };
    for (const auto& [engine, running, waiting, cache] : cases) {
        std::string text =
            std::string{"# TYPE x gauge\n"} + running + "{model=\"m\"} 7.0\n" + waiting + " 2\n";
        if (*cache != '\0') text += std::string{cache} + " 0.25\n";
        INFO(text);
        const auto reading = read_engine_metrics(text);
        CHECK(reading.engine == engine);
        CHECK(reading.report.running == 7.0);
        CHECK(reading.report.waiting == 2.0);
        CHECK(reading.report.cache_use == (*cache != '\0' ? std::optional{0.25} : std::nullopt));
    }
}

TEST_CASE("a gauge that is absent is unknown, not 0") {
    const auto report = report_of("vllm:num_requests_waiting 4\nother_metric 1\n");
    CHECK(report.waiting == 4.0);
    CHECK_FALSE(report.running);
    CHECK_FALSE(report.waiting_tokens);
    CHECK_FALSE(report.cache_use);
    CHECK(report_of("vllm:num_requests_running 0\n").running == 0.0);
    CHECK(problem_of("process_cpu_seconds_total 12\n") == "the metrics have no gauge of a known engine");
    CHECK(problem_of("") == "the metrics have no gauge of a known engine");
}

TEST_CASE("series of one engine are added up over their labels, shares of the cache averaged") {
    const auto report = report_of(
        "vllm:num_requests_running{engine=\"0\",model_name=\"a,b}\\\"c\\\\\"} 3\n"
        "vllm:num_requests_running{engine=\"1\",} 4\n"
        "vllm:kv_cache_usage_perc{engine=\"0\"} 0.2\n"
        "vllm:kv_cache_usage_perc{engine=\"1\"} 0.6\n");
    CHECK(report.running == 7.0);
    CHECK(report.cache_use == Approx(0.4));
}

TEST_CASE("SGLang's ranks of one replica tell the same requests, and its priorities parts of them") {
    // As it writes them: four ranks in two replicas of attention, all schedulers shown, priorities scheduled.
    const auto labels = [](int dp, int tp, const std::string& priority) {
        return "{dp_rank=\"" + std::to_string(dp) +
               "\",engine_type=\"unified\",model_name=\"q\",moe_ep_rank=\"" + std::to_string(tp) +
               "\",pp_rank=\"0\",priority=\"" + priority + "\",tp_rank=\"" + std::to_string(tp) + "\"} ";
    };
    std::string text = "# TYPE sglang:num_running_reqs gauge\n";
    for (int tp = 0; tp < 4; ++tp) {
        const int dp = tp / 2;
        const auto line = [&](const char* name, const std::string& priority, const char* value) {
            text += name + labels(dp, tp, priority) + value + "\n";
        };
        line("sglang:num_running_reqs", "", dp == 0 ? "5.0" : "3.0");
        line("sglang:num_running_reqs", "0", dp == 0 ? "4.0" : "3.0");
        line("sglang:num_running_reqs", "10", dp == 0 ? "1.0" : "0.0");
        // One rank has written its news, the other not yet.
        line("sglang:num_queue_reqs", "", dp == 0 ? "2.0" : (tp == 2 ? "0.0" : "1.0"));
        line("sglang:num_queue_reqs", "0", "1.0");
        line("sglang:token_usage", "", dp == 0 ? "0.6" : "0.2");
    }
    const auto report = report_of(text);
    CHECK(report.running == 8.0);
    CHECK(report.waiting == 3.0);
    CHECK(report.cache_use == 0.4);
    // One replica over two stages.
    CHECK(report_of("sglang:num_running_reqs{pp_rank=\"0\",tp_rank=\"0\"} 4\n"
                    "sglang:num_running_reqs{pp_rank=\"1\",tp_rank=\"0\"} 4\n")
              .running == 4.0);
    // Replicas without a common rank are told apart by their number.
    CHECK(report_of("sglang:num_running_reqs{dp_rank=\"0\"} 4\nsglang:num_running_reqs{dp_rank=\"1\"} 3\n")
              .running == 7.0);
    // vLLM's engines behind one address are no copies.
    CHECK(report_of("vllm:num_requests_running{engine=\"0\",model_name=\"q\"} 4\n"
                    "vllm:num_requests_running{engine=\"1\",model_name=\"q\"} 4\n")
              .running == 8.0);
    // A rank that says what cannot be true spoils the sum, and so do more replicas than there can be.
    CHECK_FALSE(report_of("sglang:num_queue_reqs 1\nsglang:num_running_reqs{tp_rank=\"0\"} 4\n"
                          "sglang:num_running_reqs{tp_rank=\"1\"} NaN\n")
                    .running);
    std::string many = "sglang:num_queue_reqs 1\n";
    for (int i = 0; i < 2'000; ++i)
        many += "sglang:num_running_reqs{dp_rank=\"" + std::to_string(i) + "\",tp_rank=\"0\"} 1\n";
    CHECK_FALSE(report_of(many).running);
}

TEST_CASE("of two names for one thing the newer counts, not their sum") {
    const auto both = report_of("sglang_num_running_reqs 5\nsglang:num_running_reqs 6\n");
    CHECK(both.running == 6.0);
    const auto shares = report_of("vllm:gpu_cache_usage_perc 0.9\nvllm:kv_cache_usage_perc 0.3\n");
    CHECK(shares.cache_use == 0.3);
}

TEST_CASE("tokens that wait are read where an engine shows them") {
    const auto report = report_of(
        "sglang:num_queue_reqs 2\nsglang:num_waiting_uncached_tokens{dp_rank=\"0\"} 8192\n"
        "sglang:num_waiting_uncached_tokens{dp_rank=\"1\"} 8\n");
    CHECK(report.waiting_tokens == 8200.0);
}

TEST_CASE("the size of the cache is read from the labels of cache_config_info") {
    const auto size = [](std::string_view text) {
        const auto report = report_of("vllm:num_requests_running 1\n" + std::string{text});
        return std::pair{report.cache_blocks.value_or(0), report.block_tokens.value_or(0)};
    };
    using Size = std::pair<std::uint64_t, std::uint32_t>;
    CHECK(size("vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\",num_gpu_blocks=\"27895\"} "
               "1.0\n") == Size{27'895, 16});
    // One engine behind the address after the other.
    CHECK(size("vllm:cache_config_info{block_size=\"32\",engine=\"0\",num_gpu_blocks=\"10\"} 1\n"
               "vllm:cache_config_info{block_size=\"32\",engine=\"1\",num_gpu_blocks=\"20\"} 1\n") ==
          Size{30, 32});
    CHECK(size("vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"10\"} 1\n"
               "vllm:cache_config_info{block_size=\"32\",num_gpu_blocks=\"20\"} 1\n") == Size{30, 0});
    // Not known yet, or no number: half of a sum would be a wrong size.
    CHECK(size("vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"None\"} 1\n") == Size{0, 16});
    CHECK(size("vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"10\"} 1\n"
               "vllm:cache_config_info{block_size=\"16\"} 1\n") == Size{0, 16});
    CHECK(size("vllm:cache_config_info{block_size=\"-16\",num_gpu_blocks=\"99999999999999999999\"} 1\n") ==
          Size{0, 0});
    CHECK(size("vllm:cache_config_info 1\n") == Size{0, 0});
}

TEST_CASE("when an engine's process began is read whatever the engine, the latest of several") {
    for (const char* load :
         {"vllm:num_requests_running 1\n", "sglang:num_queue_reqs 1\n", "trtllm_num_requests_running 1\n",
          "tgi_queue_size 1\n", "llamacpp:requests_processing 1\n"}) {
        const auto start = [&](const std::string& lines) { return report_of(load + lines).process_start; };
        CHECK_FALSE(start(""));
        CHECK(start("process_start_time_seconds 1.76450000025e+09\n") == 1'764'500'000.25);
        CHECK(start("process_start_time_seconds{pid=\"1\"} 20\nprocess_start_time_seconds{pid=\"2\"} 30\n"
                    "process_start_time_seconds{pid=\"3\"} 10\nprocess_start_time_seconds NaN\n") == 30.0);
        for (const char* value : {"NaN", "+Inf", "-Inf", "0", "-1764500000", "1e300", "1764500000000"}) {
            INFO(value);
            CHECK_FALSE(start("process_start_time_seconds " + std::string{value} + "\n"));
        }
    }
    // It is no load.
    const auto alone = read_engine_metrics("process_start_time_seconds 1764500000\n");
    CHECK(alone.problem == "the metrics have no gauge of a known engine");
    CHECK(alone.report == LoadReport{});
}

TEST_CASE("a figure that cannot be true is unknown") {
    for (const char* value : {"NaN", "+Inf", "-Inf", "-1", "1e300", "1e999", "2000000000"}) {
        INFO(value);
        const auto text =
            std::string{"vllm:num_requests_waiting 1\nvllm:num_requests_running "} + value + "\n";
        CHECK_FALSE(report_of(text).running);
    }
    for (const char* value : {"37", "-0.1", "NaN", "1.01"}) {
        INFO(value);
        const auto text =
            std::string{"vllm:num_requests_waiting 1\nvllm:kv_cache_usage_perc "} + value + "\n";
        CHECK_FALSE(report_of(text).cache_use);
    }
    CHECK(report_of("vllm:kv_cache_usage_perc 1.0000001\n").cache_use == 1.0);
    // One of the series: the sum of the others would look like less load than there is.
    CHECK_FALSE(report_of("tgi_queue_size 1\ntgi_batch_current_size{a=\"1\"} 5\ntgi_batch_current_size NaN\n")
                    .running);
    CHECK(problem_of("tgi_queue_size NaN\n") == "the metrics have no figure that can be true");
}

TEST_CASE("a text that is broken anywhere says nothing") {
    CHECK(problem_of("vllm:num_requests_running 3\nvllm:num_requests_waiting 1") ==
          "line 2 of the metrics is broken");  // cut off: 1 might be the beginning of 12
    CHECK(problem_of("vllm:num_requests_running 3\n<html>\n") == "line 2 of the metrics is broken");
    for (const char* good : {"", "   ", "# anything \x80 at all", "a 1", "a\t1", " a 1 ", "a 1 1395066363000",
                             "a 1 -5", "a{} 1", "a{ b = \"\" , } 1", "a{b=\"\\n\\\\\\\"\"}1",
                             "a{b=\"} 2\"} 1", "a +1", "a .5", "a 1e-9", "a NaN"}) {
        INFO(good);
        CHECK(takes(good));
    }
    for (const char* bad : {"a",
                            "a ",
                            "1a 1",
                            "a 1 2 3",
                            "a 1 x",
                            "a 1.5 1.5",
                            "a -",
                            "a --1",
                            "a +-1",
                            "a nan",
                            "a inf",
                            "a infinity",
                            "a 0x10",
                            "a 1,5",
                            "a 1\r",
                            "a{b} 1",
                            "a{b=c} 1",
                            "a{b=\"c} 1",
                            "a{b=\"\\t\"} 1",
                            "a{b=\"c\" d=\"e\"} 1",
                            "a{,} 1",
                            "a{b=\"c\"",
                            "a{b:c=\"d\"} 1",
                            "{a=\"b\"} 1",
                            "a{b=\"c\"} } 1",
                            "a[1] 1",
                            "a=1",
                            "a 1 # {trace=\"1\"} 2",
                            "a{b=\"\\"}) {
        INFO(bad);
        CHECK_FALSE(takes(bad));
    }
}

TEST_CASE("a metrics text is bounded") {
    std::string text = "vllm:num_requests_running 3\n# ";
    text.append(max_metrics_bytes - text.size() - 1, 'x').append("\n");
    CHECK(report_of(text).running == 3.0);
    text += "\n";
    CHECK(problem_of(text) == "the metrics have more than 4 MiB");
}
