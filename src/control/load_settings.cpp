// What the sources say becomes `Settings`: fields, backends, strategy, mode.
#include <fairlead/control/load_settings.hpp>

#include <algorithm>
#include <fstream>
#include <optional>

#include <nlohmann/json.hpp>

#include "backend_reader.hpp"
#include "field_reader.hpp"
#include "setting_list.hpp"
#include "setting_sources.hpp"

namespace fairlead {
namespace detail {
namespace {

/// RFC 9110's token: what may be a header's name.
bool is_header_name(std::string_view name) noexcept {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
        return is_ascii_alnum(c) || marks.find(c) != std::string_view::npos;
    });
}

/// Makes settings out of what was written; every step goes on after a problem, so that all are found.
class SettingsBuilder {
  public:
    SettingsBuilder(const RawSettings& raw, Problems& problems) : raw_(raw), problems_(problems) {}

    Settings build() {
        visit_settings(settings_, [this](std::string_view name, auto& field, const auto&... range) {
            if (const RawSetting* raw = find(name)) {
                reader_.read(Written{raw->value, raw->where, raw->is_text}, field, range...);
            }
        });
        check_texts();
        read_strategy();
        read_backends_and_mode();
        return std::move(settings_);
    }

  private:
    /// The setting as written, and problems from now on are of it.
    const RawSetting* find(std::string_view json_name) {
        const auto it = raw_.find(json_name);
        if (it == raw_.end()) return nullptr;
        it->second.mark(problems_);
        return &it->second;
    }

    std::string text_of(const RawSetting& raw) {
        std::string text;
        reader_.read(Written{raw.value, raw.where, raw.is_text}, text);
        return text;
    }

    void check_texts() {
        const auto check = [this](std::string_view name, bool good, const Text& message) {
            const RawSetting* raw = find(name);
            if (raw != nullptr && raw->value.is_string() && !good) problems_.add(raw->where, message);
        };
        check("admin_key", is_header_text(settings_.admin_key), text::control_character);
        check("affinity_header", is_header_name(settings_.affinity_header), text::bad_header);
        check("health_check_path", is_probe_path(settings_.options.health_check_path), text::bad_path);
        check("load_path", is_probe_path(settings_.options.load_path), text::bad_path);
        const RawSetting* file = find("tls_ca_file");
        if (file != nullptr && file->value.is_string() && !std::ifstream{settings_.tls_ca_file}.good())
            problems_.add(file->where, text::no_such_file, {shown(settings_.tls_ca_file)});
    }

    void read_strategy() {
        const RawSetting* raw = find("load_balance_strategy");
        if (raw == nullptr) return;
        const std::size_t before = problems_.list().size();
        const std::string name{trimmed(text_of(*raw))};
        if (problems_.list().size() != before) return;
        const auto known = known_strategies();
        if (std::find(known.begin(), known.end(), name) == known.end())
            return problems_.add(raw->where, text::unknown_strategy, {in_quotes(name), joined(known)});
        settings_.strategy = name;
    }

    void read_backends_and_mode() {
        std::optional<bool> enabled;
        if (const RawSetting* raw = find("load_balance_enabled")) {
            bool on = false;
            reader_.read(Written{raw->value, raw->where, raw->is_text}, on);
            enabled = on;
        }
        const bool listed = raw_.contains("llm_backends");
        std::vector<ReadBackend> backends = listed ? backends_of_list() : backend_of_guide();
        if (backends.empty()) return;  // with a problem
        if (enabled == false || (!listed && !enabled)) {
            settings_.mode = Mode::single_backend;
            backends.resize(1);
            ReadBackend& only = backends.front();
            if (!only.max_connections_written) only.config.max_connections = max_connections_limit;
            not_balanced(settings_.options);
        } else {
            settings_.mode = backends.size() > 1 ? Mode::multi_backend : Mode::single_backend_balanced;
        }
        for (ReadBackend& backend : backends) settings_.backends.push_back(std::move(backend.config));
    }

    std::vector<ReadBackend> backends_of_list() {
        const RawSetting& raw = *find("llm_backends");
        const auto array = reader_.parsed(Written{raw.value, raw.where, raw.is_text});
        return array ? read_backends(*array, raw.where, problems_) : std::vector<ReadBackend>{};
    }

    std::vector<ReadBackend> backend_of_guide() {
        ReadBackend only;
        only.config.name = "default";
        if (const RawSetting* raw = find("model_name")) only.config.model_name = text_of(*raw);
        if (const RawSetting* raw = find("api_key")) {
            only.config.api_key = text_of(*raw);
            if (!is_header_text(only.config.api_key)) problems_.add(raw->where, text::control_character);
        }
        const RawSetting* url = find("vllm_server_url");
        if (url == nullptr) {
            problems_.set_source({});
            problems_.add("LLM_BACKENDS, VLLM_SERVER_URL", text::no_backend);
            return {};
        }
        const std::size_t before = problems_.list().size();
        only.config.url = text_of(*url);
        if (problems_.list().size() == before && !is_backend_url(only.config.url))
            problems_.add(url->where, text::bad_url);
        return {only};
    }

    const RawSettings& raw_;
    Problems& problems_;
    FieldReader reader_{problems_};
    Settings settings_{};
};

Language language_for(const SettingsSources& sources) {
    if (sources.language) return *sources.language;
    if (!sources.environment) return language_from_environment();
    for (const std::string_view name : locale_variables) {
        const auto it = sources.environment->find(std::string{name});
        if (it != sources.environment->end() && !it->second.empty()) return language_of(it->second);
    }
    return Language::english;
}

}  // namespace
}  // namespace detail

Settings load_settings(const SettingsSources& sources) {
    detail::Problems problems{detail::language_for(sources)};
    const auto environment = sources.environment ? *sources.environment : detail::process_environment();
    const detail::RawSettings raw = detail::collect_settings(sources, environment, problems);
    Settings settings = detail::SettingsBuilder{raw, problems}.build();
    if (!problems.list().empty()) throw SettingsError{std::move(problems).take()};
    return settings;
}

}  // namespace fairlead
