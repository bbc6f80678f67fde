// Figures as Prometheus text. Names and labels follow https://prometheus.io/docs/practices/naming: base
// units,
// `_total` for counters, one unit and one meaning for each name.
#include <fairlead/control/prometheus.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/model/event.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/validate.hpp>

namespace fairlead::detail {
namespace {

constexpr std::array all_states{BackendState::healthy,   BackendState::resting,  BackendState::half_open,
                                BackendState::unhealthy, BackendState::draining, BackendState::disabled};

/// One label's value: the format escapes these three and nothing else.
/// What is no UTF-8 would spoil the whole page: a byte of it becomes U+FFFD, as in the admin API.
std::string escaped_label(std::string_view value) {
    std::string text;
    text.reserve(value.size());
    for (std::size_t at = 0; at < value.size();) {
        const std::size_t begin = at;
        if (!detail::next_code_point(value, at)) {
            text += "\xEF\xBF\xBD";
            ++at;
        } else if (value[begin] == '\n') {
            text += "\\n";
        } else {
            if (value[begin] == '\\' || value[begin] == '"') text += '\\';
            text += value.substr(begin, at - begin);
        }
    }
    return text;
}

std::string label(std::string_view name, std::string_view value) {
    return std::string{name} + "=\"" + escaped_label(value) + '"';
}

std::string number(double value) {
    char text[32];  // because the longest shortest form of a double has 24 characters
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string in_seconds(Duration time) { return number(std::chrono::duration<double>(time).count()); }

/// Writes one metric after the other: all series of a name must stand together.
class PrometheusWriter {
  public:
    void metric(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
        text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
    }

    void sample(std::string_view labels, std::string_view value, std::string_view suffix = {}) {
        text_.append(name_).append(suffix);
        if (!labels.empty()) text_.append("{").append(labels).append("}");
        text_.append(" ").append(value).append("\n");
    }
    void sample(std::string_view labels, std::uint64_t value, std::string_view suffix = {}) {
        sample(labels, std::to_string(value), suffix);
    }

    void histogram(const std::string& labels, const LatencyCounts& counts, Duration sum) {
        std::uint64_t so_far = 0;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            so_far += counts[i];
            const std::string bound = i < latency_bounds.size() ? in_seconds(latency_bounds[i]) : "+Inf";
            sample(labels + ',' + label("le", bound), so_far, "_bucket");
        }
        sample(labels, in_seconds(sum), "_sum");
        sample(labels, so_far, "_count");
    }

    std::string take() { return std::move(text_); }

  private:
    std::string name_;
    std::string text_;
};

void write_requests(PrometheusWriter& out, std::span<const BackendFigures> backends,
                    std::span<const std::string> labels, bool with_latencies) {
    const auto each = [&](auto&& write) {
        for (std::size_t i = 0; i < backends.size(); ++i) write(backends[i], labels[i]);
    };
    out.metric("fairlead_requests_total", "counter", "Requests that ended, by how they went.");
    each([&](const BackendFigures& backend, const std::string& of) {
        for (std::size_t i = 0; i < backend.outcomes.size(); ++i) {
            const char* outcome = to_string(static_cast<Outcome::Kind>(i));
            out.sample(of + ',' + label("outcome", outcome), backend.outcomes[i]);
        }
    });
    out.metric("fairlead_failures_total", "counter", "Requests that ended as a failure of the backend.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.failed); });
    out.metric("fairlead_retries_total", "counter", "Requests that were tried again after failing here.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.retries); });
    out.metric("fairlead_requests_in_flight", "gauge", "Requests under way.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.in_flight); });
    out.metric("fairlead_tokens_in_flight", "gauge", "Tokens under way, as requests estimated them.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.tokens_in_flight); });
    out.metric("fairlead_tokens_total", "counter", "Tokens, as answers told them.");
    each([&](const auto& backend, const auto& of) {
        out.sample(of + ',' + label("kind", "prompt"), backend.prompt_tokens);
        out.sample(of + ',' + label("kind", "completion"), backend.completion_tokens);
    });
    if (!with_latencies) return;
    out.metric("fairlead_request_duration_seconds", "histogram",
               "Time from the choice of the backend to the end of the answer.");
    each([&](const auto& backend, const auto& of) {
        out.histogram(of, backend.response_times, backend.response_time_sum);
    });
    out.metric("fairlead_time_to_first_byte_seconds", "histogram",
               "Time from the choice of the backend to the first byte of the answer, where it was told.");
    each([&](const auto& backend, const auto& of) {
        out.histogram(of, backend.first_byte_times, backend.first_byte_sum);
    });
}

void write_backends(PrometheusWriter& out, std::span<const BackendFigures> backends,
                    std::span<const std::string> labels) {
    const auto each = [&](auto&& write) {
        for (std::size_t i = 0; i < backends.size(); ++i) write(backends[i], labels[i]);
    };
    out.metric("fairlead_backend_info", "gauge", "Always 1; tells the model.");
    each([&](const BackendFigures& backend, const std::string& of) {
        out.sample(of + ',' + label("model", backend.config.model_name), std::uint64_t{1});
    });
    out.metric("fairlead_backend_state", "gauge", "1 for the state that the backend is in.");
    each([&](const BackendFigures& backend, const std::string& of) {
        for (const BackendState state : all_states) {
            out.sample(of + ',' + label("state", to_string(state)), std::uint64_t{backend.state == state});
        }
    });
    out.metric("fairlead_backend_in_service", "gauge", "1 when it may be given requests.");
    each([&](const auto& backend, const auto& of) { out.sample(of, std::uint64_t{backend.in_service}); });
    out.metric("fairlead_backend_weight", "gauge", "Relative capacity, as configured.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.config.weight); });
    out.metric("fairlead_backend_max_connections", "gauge", "Requests in flight at most, as configured.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.config.max_connections); });
    out.metric("fairlead_backend_consecutive_failures", "gauge", "Failed requests since the last good one.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.consecutive_failures); });
    out.metric("fairlead_ejections_total", "counter", "How often failing requests made it unhealthy.");
    each([&](const auto& backend, const auto& of) { out.sample(of, backend.ejections); });
}

/// As the engines tell it: no series where nothing is known, which is not 0.
void write_engines(PrometheusWriter& out, std::span<const BackendFigures> backends,
                   std::span<const std::string> labels) {
    struct Row {
        std::string_view name;
        std::string_view figure;
        std::string_view help;
        std::optional<LoadFigure> LoadFigures::*field;
    };
    constexpr std::array rows{
        Row{"fairlead_engine_requests_running", "running", "Requests that the engine works on, as it says.",
            &LoadFigures::running},
        Row{"fairlead_engine_requests_waiting", "waiting", "Requests in the engine's queue, as it says.",
            &LoadFigures::waiting},
        Row{"fairlead_engine_waiting_tokens", "waiting_tokens",
            "Prompt tokens in the engine's queue that must be computed, as it says.",
            &LoadFigures::waiting_tokens},
        Row{"fairlead_engine_cache_use_ratio", "cache_use",
            "Share of the engine's key-value cache in use, as it says.", &LoadFigures::cache_use}};
    const auto known = [&](const Row& row) {
        return std::any_of(backends.begin(), backends.end(),
                           [&](const auto& backend) { return (backend.load.*row.field).has_value(); });
    };
    if (std::none_of(rows.begin(), rows.end(), known)) return;
    for (const Row& row : rows) {
        if (!known(row)) continue;
        out.metric(row.name, "gauge", row.help);
        for (std::size_t i = 0; i < backends.size(); ++i) {
            if (const auto& told = backends[i].load.*row.field) out.sample(labels[i], number(told->value));
        }
    }
    out.metric("fairlead_engine_figure_age_seconds", "gauge", "How long ago the engine said so.");
    for (std::size_t i = 0; i < backends.size(); ++i) {
        for (const Row& row : rows) {
            if (const auto& told = backends[i].load.*row.field)
                out.sample(labels[i] + ',' + label("figure", row.figure), in_seconds(told->age));
        }
    }
}

void write_queue(PrometheusWriter& out, const QueueFigures& queue) {
    out.metric("fairlead_queue_length", "gauge", "Requests that wait for a place.");
    out.sample({}, queue.waiting);
    out.metric("fairlead_queue_wait_seconds", "summary", "Time that requests waited until they got a place.");
    out.sample({}, in_seconds(queue.waited), "_sum");
    out.sample({}, queue.served, "_count");
    out.metric("fairlead_queue_refused_total", "counter", "Requests that waited, or would have, in vain.");
    out.sample(label("reason", "full"), queue.overflowed);
    out.sample(label("reason", "timeout"), queue.timed_out);
    out.sample(label("reason", "cancelled"), queue.cancelled);
}

}  // namespace

std::string prometheus_text(std::span<const BackendFigures> backends, const Totals& totals,
                            bool with_latencies) {
    std::vector<std::string> labels;
    labels.reserve(backends.size());
    for (const auto& backend : backends) labels.push_back(label("backend", backend.config.name));
    PrometheusWriter out;
    write_requests(out, backends, labels, with_latencies);
    write_backends(out, backends, labels);
    write_engines(out, backends, labels);
    out.metric("fairlead_picks_total", "counter", "Backends chosen, by the strategy that was in force.");
    for (const auto& [strategy, picks] : totals.picks) out.sample(label("strategy", strategy), picks);
    out.metric("fairlead_retries_refused_total", "counter", "Further tries that the retry budget forbade.");
    out.sample({}, totals.retries_refused);
    write_queue(out, totals.queue);
    return out.take();
}

}  // namespace fairlead::detail
