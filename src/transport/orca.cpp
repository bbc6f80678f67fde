// The two ways of writing a load report into a header.
#include <fairlead/transport/orca.hpp>

#include <algorithm>
#include <array>
#include <string>

#include <nlohmann/json.hpp>

#include <fairlead/resilience/engine_metrics.hpp>
#include <fairlead/transport/http_message.hpp>

namespace fairlead {
namespace {

using detail::EngineFigure;

struct NamedMetric {
    std::string_view name;
    EngineFigure figure;
};

/// vLLM's names, Triton's, and SGLang's as its metrics have them.
constexpr std::array named_metrics{NamedMetric{"kv_cache_usage_perc", EngineFigure::cache_use},
                                   NamedMetric{"kv_cache_utilization", EngineFigure::cache_use},
                                   NamedMetric{"gpu_cache_usage_perc", EngineFigure::cache_use},
                                   NamedMetric{"token_usage", EngineFigure::cache_use},
                                   NamedMetric{"num_requests_running", EngineFigure::running},
                                   NamedMetric{"num_running_reqs", EngineFigure::running},
                                   NamedMetric{"num_requests_waiting", EngineFigure::waiting},
                                   NamedMetric{"num_queue_reqs", EngineFigure::waiting},
                                   NamedMetric{"num_waiting_uncached_tokens", EngineFigure::waiting_tokens}};
constexpr std::string_view map_name = "named_metrics";

void take(LoadReport& report, std::string_view name, double value) {
    for (const auto& metric : named_metrics) {
        if (metric.name != name) continue;
        auto& field = detail::field_of(report, metric.figure);
        field = metric.figure == EngineFigure::cache_use ? detail::plausible_share(value)
                                                         : detail::plausible_count(value);
    }
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// `name=value` and commas; what lies in a map has the map's name before it.
bool read_text(std::string_view text, LoadReport& report) {
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        const auto pair = trimmed(text.substr(0, comma));
        text.remove_prefix(std::min(comma + 1, text.size()));
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos || equals == 0) return false;
        auto name = trimmed(pair.substr(0, equals));
        const auto value = detail::MetricsText::metric_value(trimmed(pair.substr(equals + 1)));
        if (!value) return false;
        if (name.starts_with(map_name) && name.size() > map_name.size() && name[map_name.size()] == '.')
            name.remove_prefix(map_name.size() + 1);
        take(report, name, *value);
    }
    return true;
}

bool read_json(std::string_view text, LoadReport& report) {
    const auto object = nlohmann::json::parse(text, nullptr, false);
    if (!object.is_object()) return false;
    const auto take_all = [&](const nlohmann::json& map) {
        for (const auto& [name, value] : map.items()) {
            if (value.is_number()) take(report, name, value.get<double>());
        }
    };
    take_all(object);
    if (const auto named = object.find(map_name); named != object.end()) {
        if (!named->is_object()) return false;
        take_all(*named);
    }
    return true;
}

/// Takes a word and the blanks after it off the front.
bool skip(std::string_view& value, std::string_view word) {
    if (!equal_ignoring_case(value.substr(0, word.size()), word)) return false;
    value.remove_prefix(word.size());
    return true;
}

}  // namespace

std::optional<LoadReport> read_orca(std::string_view value) {
    if (value.size() > max_orca_bytes) return std::nullopt;
    value = trimmed(value);
    const bool is_json = skip(value, "JSON ") || (!skip(value, "TEXT ") && value.starts_with('{'));
    LoadReport report;
    const bool good = is_json ? read_json(value, report) : read_text(trimmed(value), report);
    if (!good || !report.says_something()) return std::nullopt;
    return report;
}

}  // namespace fairlead
