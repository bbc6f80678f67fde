// What inference engines call their load in `/metrics`, and how it is read from there.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fairlead/model/load_report.hpp>
#include <fairlead/resilience/detail/metrics_text.hpp>

namespace fairlead {

/// What one metrics text came to: a report (without its time), or a sentence on why there is none.
struct EngineReading {
    LoadReport report{};
    std::string_view engine{};  ///< "vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp"; empty: none known
    std::string problem{};      ///< empty when the report says something
};

/// Metrics texts beyond this are not read. vLLM's, with all its histograms for some models and adapters, has
/// some hundred kilobytes.
inline constexpr std::size_t max_metrics_bytes = std::size_t{4} * 1024 * 1024;

/// Reads the load from an engine's metrics by the names that it uses (`detail::engine_gauges`). Series are
/// added up over their labels (vLLM's `engine`, SGLang's `dp_rank`), shares of a cache averaged. Some of
/// SGLang's are copies and count once: the ranks of one replica (`tp_rank`, `pp_rank`, `moe_ep_rank`), each
/// of which tells the same requests when all schedulers show metrics, and the parts by `priority`, whose
/// whole stands beside them. Where an engine has two names for one thing the first in the table counts, and
/// where names of two engines are found the first engine. What is absent, negative, not finite, or too large
/// to be true is unknown. A text that is broken anywhere says nothing at all. Whatever the engine, the start
/// of its process is Prometheus' own `process_start_time_seconds`, the latest where there are several; alone
/// it is no report. Any thread; O(size); allocates for a problem, and for ranks.
EngineReading read_engine_metrics(std::string_view text);

// What a user of the library needs ends here.

namespace detail {

enum class EngineFigure : std::uint8_t { running, waiting, waiting_tokens, cache_use };

struct EngineGauge {
    std::string_view engine;
    EngineFigure figure;
    std::string_view name;
};

/// Of one engine and figure, the name in use today comes first.
inline constexpr std::array<EngineGauge, 20> engine_gauges{{
    {"vllm", EngineFigure::running, "vllm:num_requests_running"},
    {"vllm", EngineFigure::waiting, "vllm:num_requests_waiting"},
    {"vllm", EngineFigure::cache_use, "vllm:kv_cache_usage_perc"},
    {"vllm", EngineFigure::cache_use, "vllm:gpu_cache_usage_perc"},
    {"sglang", EngineFigure::running, "sglang:num_running_reqs"},
    {"sglang", EngineFigure::running, "sglang_num_running_reqs"},
    {"sglang", EngineFigure::waiting, "sglang:num_queue_reqs"},
    {"sglang", EngineFigure::waiting, "sglang_num_queue_reqs"},
    {"sglang", EngineFigure::waiting_tokens, "sglang:num_waiting_uncached_tokens"},
    {"sglang", EngineFigure::waiting_tokens, "sglang_num_waiting_uncached_tokens"},
    {"sglang", EngineFigure::cache_use, "sglang:token_usage"},
    {"sglang", EngineFigure::cache_use, "sglang_token_usage"},
    {"tensorrt-llm", EngineFigure::running, "trtllm_num_requests_running"},
    {"tensorrt-llm", EngineFigure::waiting, "trtllm_num_requests_waiting"},
    {"tensorrt-llm", EngineFigure::cache_use, "trtllm_kv_cache_utilization"},
    {"tgi", EngineFigure::running, "tgi_batch_current_size"},
    {"tgi", EngineFigure::waiting, "tgi_queue_size"},
    {"llama.cpp", EngineFigure::running, "llamacpp:requests_processing"},
    {"llama.cpp", EngineFigure::waiting, "llamacpp:requests_deferred"},
    {"llama.cpp", EngineFigure::cache_use, "llamacpp:kv_cache_usage_ratio"},
}};

/// Its labels say how large vLLM's cache is; its value is always 1.
inline constexpr std::string_view cache_info_name = "vllm:cache_config_info";

/// Prometheus' own libraries show it, so it has this name in every engine.
inline constexpr std::string_view process_start_name = "process_start_time_seconds";

/// All of `text` as a whole number from 1 to `most`. Engines write `None` before they know.
inline std::optional<std::uint64_t> plausible_size(std::string_view text, std::uint64_t most) noexcept {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > most)
        return std::nullopt;
    return value;
}

/// The size of the cache, from all the series of `vllm:cache_config_info`: one an engine behind one address.
class CacheInfo {
  public:
    void add(std::string_view labels) noexcept {
        constexpr std::uint64_t most_blocks = std::uint64_t{1} << 40;  // of a byte each: a terabyte
        constexpr std::uint64_t most_tokens = 65'536;                  // a block of which holds any prompt
        const auto blocks =
            plausible_size(MetricsText::label(labels, "num_gpu_blocks").value_or(""), most_blocks);
        const auto tokens =
            plausible_size(MetricsText::label(labels, "block_size").value_or(""), most_tokens);
        blocks_ += blocks.value_or(0);
        all_blocks_ = all_blocks_ && blocks && blocks_ <= most_blocks;
        one_size_ = one_size_ && tokens && (series_ == 0 || tokens == tokens_);
        tokens_ = tokens.value_or(0);
        ++series_;
    }

    void write(LoadReport& report) const noexcept {
        if (series_ == 0) return;
        if (all_blocks_) report.cache_blocks = blocks_;
        if (one_size_) report.block_tokens = static_cast<std::uint32_t>(tokens_);
    }

  private:
    std::size_t series_ = 0;
    std::uint64_t blocks_ = 0;
    std::uint64_t tokens_ = 0;
    bool all_blocks_ = true;  // every series says how many
    bool one_size_ = true;    // and all the same size
};

/// Whether the series is a part of another one: SGLang shows the whole under `priority=""`, and each priority
/// beside it.
inline bool is_part(std::string_view labels) noexcept {
    return !MetricsText::label(labels, "priority").value_or("").empty();
}

/// Whether the series is one rank's of several that may tell the same.
inline bool is_of_rank(std::string_view labels) noexcept {
    return MetricsText::label(labels, "tp_rank") || MetricsText::label(labels, "pp_rank") ||
           MetricsText::label(labels, "moe_ep_rank");
}

/// The series of one gauge.
class GaugeSum {
  public:
    void add(double value, EngineFigure figure, std::string_view labels) {
        const auto plausible =
            figure == EngineFigure::cache_use ? plausible_share(value) : plausible_count(value);
        known_ = known_ && plausible;
        if (!plausible) {
            ++series_;
        } else if (is_of_rank(labels)) {
            add_rank(*plausible, labels);
        } else {
            sum_ += *plausible;
            ++series_;
        }
    }

    std::size_t series() const noexcept { return series_; }

    std::optional<double> result(EngineFigure figure) const noexcept {
        if (series_ == 0 || !known_) return std::nullopt;
        double sum = sum_;
        for (const auto& replica : replicas_) sum += replica.most;
        return figure == EngineFigure::cache_use ? sum / static_cast<double>(series_) : plausible_count(sum);
    }

  private:
    /// The ranks that work on the same requests.
    struct Replica {
        std::array<std::optional<std::string_view>, 3> name;
        double most;  // the ranks write one after the other: the latest has the news
    };

    void add_rank(double value, std::string_view labels) {
        const std::array name{MetricsText::label(labels, "dp_rank"), MetricsText::label(labels, "model_name"),
                              MetricsText::label(labels, "engine_type")};
        for (auto& replica : replicas_) {
            if (replica.name == name) return static_cast<void>(replica.most = std::max(replica.most, value));
        }
        constexpr std::size_t most_replicas = 1'024;  // behind one address; the search is linear
        known_ = known_ && replicas_.size() < most_replicas;
        if (!known_) return;
        replicas_.push_back({name, value});
        ++series_;
    }

    double sum_ = 0.0;
    std::size_t series_ = 0;  // that count: each replica's ranks once
    bool known_ = true;       // each of them
    std::vector<Replica> replicas_{};
};

inline std::optional<double>& field_of(LoadReport& report, EngineFigure figure) noexcept {
    switch (figure) {
        case EngineFigure::running:
            return report.running;
        case EngineFigure::waiting:
            return report.waiting;
        case EngineFigure::waiting_tokens:
            return report.waiting_tokens;
        case EngineFigure::cache_use:
            break;
    }
    return report.cache_use;
}

}  // namespace detail

inline EngineReading read_engine_metrics(std::string_view text) {
    EngineReading reading;
    if (text.size() > max_metrics_bytes) {
        reading.problem = "the metrics have more than 4 MiB";
        return reading;
    }
    std::array<detail::GaugeSum, detail::engine_gauges.size()> sums{};
    detail::CacheInfo cache;
    std::optional<double> process_start;
    detail::MetricsText metrics{text};
    while (const auto sample = metrics.next()) {
        if (sample->name == detail::cache_info_name) cache.add(sample->labels);
        if (sample->name == detail::process_start_name)  // unknown is less than any
            process_start = std::max(process_start, detail::plausible_start(sample->value));
        for (std::size_t i = 0; i < sums.size(); ++i) {
            const auto& gauge = detail::engine_gauges[i];
            if (sample->name != gauge.name) continue;
            if (gauge.engine != "sglang" || !detail::is_part(sample->labels))
                sums[i].add(sample->value, gauge.figure, sample->labels);
        }
    }
    if (metrics.broken_line() != 0) {
        reading.problem = "line " + std::to_string(metrics.broken_line()) + " of the metrics is broken";
        return reading;
    }
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const auto& [engine, figure, name] = detail::engine_gauges[i];
        if (sums[i].series() == 0 || (!reading.engine.empty() && reading.engine != engine)) continue;
        auto& field = detail::field_of(reading.report, figure);
        if (!field) field = sums[i].result(figure);
        reading.engine = engine;
    }
    if (reading.engine.empty() || reading.engine == "vllm") cache.write(reading.report);
    if (reading.report.cache_blocks || reading.report.block_tokens) reading.engine = "vllm";
    if (!reading.report.says_something()) {
        reading.problem = reading.engine.empty() ? "the metrics have no gauge of a known engine"
                                                 : "the metrics have no figure that can be true";
    } else {
        reading.report.process_start = process_start;
    }
    return reading;
}

}  // namespace fairlead
