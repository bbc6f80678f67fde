// Figures and configs as JSON.
#include "admin_json.hpp"

#include <chrono>

#include <nlohmann/json.hpp>

#include <fairlead/model/event.hpp>
#include <fairlead/model/outcome.hpp>

#include "admin_messages.hpp"

namespace fairlead::detail {
namespace {

nlohmann::json seconds_or_null(const std::optional<Duration>& time) {
    return time ? nlohmann::json(seconds_of(*time)) : nlohmann::json(nullptr);
}

/// What the engine tells of its load; null for what is unknown.
nlohmann::json engine_json(const LoadFigures& load) {
    const auto told = [](const std::optional<LoadFigure>& figure) {
        return figure ? nlohmann::json{{"value", figure->value}, {"age", seconds_of(figure->age)}}
                      : nlohmann::json(nullptr);
    };
    return {{"running", told(load.running)},
            {"waiting", told(load.waiting)},
            {"waiting_tokens", told(load.waiting_tokens)},
            {"cache_use", told(load.cache_use)}};
}

/// The last thing that went wrong: what still goes on first.
nlohmann::json last_error(const BackendFigures& backend, const std::optional<HealthReport>& probe,
                          Language language) {
    const bool probe_says = probe && !probe->ok;
    if (probe_says && backend.consecutive_failures == 0)
        return say(language, text::probe_failed, {probe->error});
    if (!backend.last_failure) return nullptr;
    std::string error = to_string(*backend.last_failure);
    if (backend.last_failure_status != 0) {
        error += ": ";
        error += say(language, text::http_status, {std::to_string(backend.last_failure_status)});
    }
    return error;
}

}  // namespace

double seconds_of(Duration time) noexcept { return std::chrono::duration<double>(time).count(); }

double success_rate(std::uint64_t succeeded, std::uint64_t completed) noexcept {
    return completed == 0 ? 1.0 : static_cast<double>(succeeded) / static_cast<double>(completed);
}

const char* status_word(const BackendFigures& backend) noexcept {
    if (backend.state == BackendState::disabled || backend.state == BackendState::draining) return "disabled";
    return backend.in_service ? "healthy" : "unhealthy";
}

nlohmann::json config_json(const BackendConfig& config) {
    nlohmann::json health = nlohmann::json::object();
    if (config.health.path) health["path"] = *config.health.path;
    if (config.health.interval) health["interval"] = seconds_of(*config.health.interval);
    if (config.health.expected_status) health["expected_status"] = *config.health.expected_status;
    if (config.health.body_contains) health["body_contains"] = *config.health.body_contains;
    return {{"name", config.name},
            {"url", config.url},
            {"model_name", config.model_name},
            {"weight", config.weight},
            {"max_connections", config.max_connections},
            {"timeout", seconds_of(config.timeout)},
            {"priority", config.priority},
            {"tags", config.tags},
            {"connect_timeout", seconds_of(config.connect_timeout)},
            {"first_byte_timeout", seconds_or_null(config.first_byte_timeout)},
            {"idle_timeout", seconds_or_null(config.idle_timeout)},
            {"total_timeout", seconds_or_null(config.total_timeout)},
            {"health", std::move(health)},
            {"cache_blocks", config.cache_blocks},
            {"mirror", config.mirror}};
}

nlohmann::json metrics_json(const BackendFigures& backend, const std::optional<HealthReport>& probe,
                            Language language) {
    nlohmann::json outcomes = nlohmann::json::object();
    for (std::size_t i = 0; i < backend.outcomes.size(); ++i)
        outcomes[to_string(static_cast<Outcome::Kind>(i))] = backend.outcomes[i];
    return {{"status", status_word(backend)},
            {"state", to_string(backend.state)},
            {"total_requests", backend.completed},
            {"successful_requests", backend.succeeded},
            {"failed_requests", backend.failed},
            {"active_connections", backend.in_flight},
            {"average_response_time", seconds_of(backend.average_response_time)},
            {"success_rate", success_rate(backend.succeeded, backend.completed)},
            {"consecutive_failures", backend.consecutive_failures},
            {"last_error", last_error(backend, probe, language)},
            {"last_check_time", probe ? probe->checked_at : 0.0},
            {"outcomes", std::move(outcomes)},
            {"retries", backend.retries},
            {"ejections", backend.ejections},
            {"tokens_in_flight", backend.tokens_in_flight},
            {"prompt_tokens", backend.prompt_tokens},
            {"completion_tokens", backend.completion_tokens},
            {"slowness", backend.slowness},
            {"engine", engine_json(backend.load)}};
}

}  // namespace fairlead::detail
