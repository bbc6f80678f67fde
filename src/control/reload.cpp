// What differs between two readings of the settings.
#include <fairlead/control/reload.hpp>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "setting_list.hpp"

namespace fairlead::detail {
namespace {

template <class Field>
bool take(Field& running, const Field& before, const Field& after) {
    if (before == after || running == after) return false;
    running = after;
    return true;
}

/// The fields of one `Settings` by name, to be looked up on a walk over another's.
template <class S>
class Fields {
  public:
    explicit Fields(S& settings) {
        visit_settings(settings, [&](std::string_view name, auto& field, const auto&...) {
            fields_.emplace(name, &field);
        });
    }

    /// The field that has the name and type of `like`.
    template <class Field>
    auto& at(std::string_view name, const Field&) const {
        using Wanted = std::conditional_t<std::is_const_v<S>, const Field, Field>;
        return *static_cast<Wanted*>(fields_.at(name));
    }

  private:
    using Pointer = std::conditional_t<std::is_const_v<S>, const void*, void*>;
    std::map<std::string_view, Pointer> fields_;  // names are literals
};

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
    each(&BackendConfig::cache_blocks);
    each(&BackendConfig::mirror);
    return changed;
}

SettingNames settings_that_differ(const Settings& before, const Settings& after) {
    SettingNames names;
    Settings same_host = before;  // but for the options: what differs from it is an option
    same_host.options = after.options;
    const Fields old{before};
    const Fields options{std::as_const(same_host)};
    visit_settings(after, [&](std::string_view name, const auto& field, const auto&...) {
        if (old.at(name, field) == field) return;
        const bool is_option = options.at(name, field) == field;
        auto& among = find_json_setting(name)->needs_restart ? names.at_next_start
                      : is_option                            ? names.options
                                                             : names.of_host;
        among.emplace_back(name);
    });
    return names;
}

void take_over(Options& running, const Options& before, const Options& after) {
    Settings to;
    Settings was;
    Settings is;
    to.options = running;
    was.options = before;
    is.options = after;
    const Fields old{was};
    const Fields present{to};
    visit_settings(is, [&](std::string_view name, const auto& field, const auto&...) {
        if (find_json_setting(name)->needs_restart) return;
        if (!(old.at(name, field) == field)) present.at(name, field) = field;
    });
    running = std::move(to.options);
}

std::error_code check(const Settings& settings) {
    if (!validate(settings.options).empty()) return Errc::bad_option;
    if (!AnyStrategy::from_name(settings.strategy)) return Errc::unknown_strategy;
    std::set<std::string_view> names;
    for (const auto& backend : settings.backends) {
        if (const auto error = validate(backend)) return error;
        if (!names.insert(backend.name).second) return Errc::duplicate_name;
    }
    return {};
}

const BackendConfig* find_backend(const Settings& settings, const std::string& name) noexcept {
    for (const auto& backend : settings.backends) {
        if (backend.name == name) return &backend;
    }
    return nullptr;
}

}  // namespace fairlead::detail
