// The figures as JSON, for scripts.
#include <nlohmann/json.hpp>

#include "simulator/report.hpp"

namespace simulator {

std::string json_of(const TraceFigures& trace, std::span<const Row> rows) {
    using json = nlohmann::ordered_json;
    json list = json::array();
    for (const auto& row : rows) {
        const auto& figures = row.figures;
        json one{{"strategy", figures.strategy},
                 {"backends", row.backends},
                 {"gateways", row.gateways},
                 {"load", row.load},
                 {"first_token_seconds",
                  {{"mean", figures.mean}, {"p50", figures.p50}, {"p90", figures.p90}, {"p99", figures.p99}}},
                 {"seconds_per_token", figures.per_token},
                 {"hit_rate", figures.hit_rate},
                 {"largest_share", figures.imbalance},
                 {"requests", figures.requests},
                 {"shed", figures.shed},
                 {"failed", figures.failed},
                 {"retries", figures.retries},
                 {"pick_nanoseconds", figures.pick_ns}};
        if (!row.timeline.empty()) {
            auto& timeline = one["timeline"] = json::array();
            for (const auto& interval : row.timeline) {
                timeline.push_back({{"begin_seconds", interval.begin},
                                    {"first_token_seconds", interval.mean},
                                    {"hit_rate", interval.hit_rate},
                                    {"served", interval.served}});
            }
        }
        list.push_back(std::move(one));
    }
    const json document{{"trace",
                         {{"requests", trace.requests},
                          {"seconds", trace.seconds},
                          {"mean_prompt_tokens", trace.prompt_tokens},
                          {"mean_output_tokens", trace.output_tokens},
                          {"shared_prompt_tokens", trace.shared}}},
                        {"rows", std::move(list)}};
    return document.dump(2) + "\n";
}

}  // namespace simulator
