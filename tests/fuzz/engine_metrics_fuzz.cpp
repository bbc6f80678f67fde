// Whatever an engine's metrics or load header hold: the readers stay in bounds, and say nothing impossible.
//
// A fuzz target, and a test of the same body over what a fixed generator makes of a few seeds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <fairlead/resilience/engine_metrics.hpp>
#include <fairlead/transport/orca.hpp>

#include "fuzz.hpp"

namespace {

bool within(const std::optional<double>& value, double most) {
    return !value || (*value >= 0.0 && *value <= most);
}

void check_report(const fairlead::LoadReport& report) {
    // Sums of series of a billion at most, all in one text: plausible as a whole, too.
    if (!within(report.running, 1e9) || !within(report.waiting, 1e9) || !within(report.waiting_tokens, 1e9) ||
        !within(report.cache_use, 1.0)) {
        std::abort();
    }
    if (report.process_start && !(*report.process_start > 0.0 && *report.process_start <= 1e11)) std::abort();
    if (report.cache_blocks == 0U || report.block_tokens == 0U) std::abort();
}

/// Ends the program when a promise does not hold.
void fuzz_engine_metrics(std::string_view input) {
    if (const auto told = fairlead::read_orca(input)) {
        check_report(*told);
        if (!told->says_something()) std::abort();
    }
    const auto reading = fairlead::read_engine_metrics(input);
    check_report(reading.report);
    if (reading.problem.empty() != reading.report.says_something()) std::abort();
    if (!reading.problem.empty()) return;
    // A text that broke off in the middle of a line says nothing.
    if (fairlead::read_engine_metrics(input.substr(0, input.size() - 1)).report.says_something()) {
        if (input.size() > 1 && input[input.size() - 2] != '\n') std::abort();
    }
    // Other lines change nothing.
    const std::string more = "other{a=\"b\"} 1\n" + std::string{input} + "# the end\n";
    if (!(fairlead::read_engine_metrics(more).report == reading.report)) std::abort();
}

const fairlead::test::FuzzRegistration engine_metrics_body{"engine-metrics", fuzz_engine_metrics};

}  // namespace

#ifndef FAIRLEAD_FUZZING
#include <vector>

#include "support/catch.hpp"

TEST_CASE("the reader of engines' metrics bears its seeds and what mutation makes of them") {
    std::uint64_t state = 42;  // fixed: the same inputs on every run
    const auto next = [&] {
        return state = state * 6364136223846793005u + 1442695040888963407u, state >> 33;
    };
    const std::vector<std::string> seeds{
        "# HELP vllm:num_requests_running x\n# TYPE vllm:num_requests_running gauge\n"
        "vllm:num_requests_running{engine=\"0\",model_name=\"a\\\"b\\\\\"} 3.0\nvllm:num_requests_waiting 1 "
        "12\n"
        "vllm:kv_cache_usage_perc{a=\"b\",} 0.25\n"
        "vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"27895\"} 1.0\n"
        "process_start_time_seconds 1.76450000025e+09\n",
        "sglang:num_running_reqs{tp_rank=\"0\"} 1e2\nsglang_num_queue_reqs 0\nsglang:token_usage NaN\n",
        "tgi_queue_size +Inf\ntgi_batch_current_size 4\n",
        "TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=3",
        "JSON {\"named_metrics\": {\"kv_cache_usage_perc\": 0.4, \"num_requests_waiting\": 3}}",
    };
    for (int round = 0; round < 20'000; ++round) {
        auto text = seeds[next() % seeds.size()];
        for (auto changes = next() % 4; changes > 0; --changes) {
            const auto at = next() % text.size();
            if (next() % 3 == 0) {
                text.erase(at, next() % 4 + 1);
            } else {
                constexpr std::string_view likely = "\n{}\",=\\ -+.0123456789eNaIf:_\t";
                text[at] = next() % 2 == 0 ? likely[next() % likely.size()] : static_cast<char>(next());
            }
            if (text.empty()) text = "x";
        }
        fuzz_engine_metrics(text);
    }
    SUCCEED("nothing aborted");
}
#endif
