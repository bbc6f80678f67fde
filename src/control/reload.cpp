// What differs between two readings of the settings.
#include <fairlead/control/reload.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "setting_list.hpp"

namespace fairlead::detail {
namespace {

template <class Field>
bool take(Field& running, const Field& before, const Field& after) {
    if (before == after || running == after) return false;
    running = after;
    return true;
}

}  // namespace

bool take_over(BackendConfig& running, const BackendConfig& before, const BackendConfig& after) {
    bool changed = false;
    const auto each = [&](auto field) { changed |= take(running.*field, before.*field, after.*field); };
    each(&BackendConfig::url);
    each(&BackendConfig::model_name);
    each(&BackendConfig::api_key);
    each(&BackendConfig::weight);
    each(&BackendConfig::max_connections);
    each(&BackendConfig::timeout);
    each(&BackendConfig::priority);
    each(&BackendConfig::tags);
    each(&BackendConfig::connect_timeout);
    each(&BackendConfig::first_byte_timeout);
    each(&BackendConfig::idle_timeout);
    each(&BackendConfig::total_timeout);
    each(&BackendConfig::health);
    each(&BackendConfig::mirror);
    return changed;
}

std::vector<std::string> fixed_settings_that_differ(const Settings& before, const Settings& after) {
    // Those that `reload` applies.
    constexpr std::array<std::string_view, 3> applied{"max_retries", "failure_threshold",
                                                      "health_check_interval"};
    std::vector<std::string> differ;
    // The same walk over both: fields are told apart by their place in it.
    std::map<std::string, const void*> fields;
    visit_settings(before, [&](std::string_view name, const auto& field, const auto&...) {
        fields.emplace(name, &field);
    });
    visit_settings(after, [&](std::string_view name, const auto& field, const auto&...) {
        using Field = std::remove_cvref_t<decltype(field)>;
        if (std::find(applied.begin(), applied.end(), name) != applied.end()) return;
        if (!(*static_cast<const Field*>(fields.at(std::string{name})) == field)) differ.emplace_back(name);
    });
    return differ;
}

const BackendConfig* find_backend(const Settings& settings, const std::string& name) noexcept {
    for (const auto& backend : settings.backends) {
        if (backend.name == name) return &backend;
    }
    return nullptr;
}

}  // namespace fairlead::detail
