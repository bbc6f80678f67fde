// Every setting that is a field of `Settings` or `Options`: one walk over them, which all uses share.
//
// A new setting is a field in model/, a line here (for numbers of `Options`: in model/validate.hpp), and its
// meaning in setting_list.cpp.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <fairlead/control/load_settings.hpp>
#include <fairlead/model/validate.hpp>

namespace fairlead::detail {

/// Calls `visit(json_name, field)` or `visit(json_name, field, range)` for every field that is a setting by
/// itself. Mode, backends and strategy are not: they follow from several settings, or need more than a range.
template <class S, class Visitor>
requires std::same_as<std::remove_const_t<S>, Settings>
void visit_settings(S& settings, Visitor&& visit) {
    visit("admin_key", settings.admin_key);
    visit("metrics_key_required", settings.metrics_key_required);
    visit("affinity_header", settings.affinity_header);
    visit("model_aliases", settings.model_aliases);
    visit("tls_ca_file", settings.tls_ca_file);
    visit("hash_key", settings.hash_key);
    visit("stream_continuation", settings.stream_continuation);
    visit("comments_count", settings.comments_count);
    visit("max_body_bytes", settings.max_body_bytes, Range{.low = 1});

    visit_ranges(settings.options, visit);
    visit("retry_on", settings.options.retry_on);
    visit("ejection", settings.options.ejection);
    visit("probe_ends_ejection", settings.options.probe_ends_ejection);
    visit("health_check", settings.options.health_check);
    visit("health_check_path", settings.options.health_check_path);
    visit("health_check_contains", settings.options.health_check_contains);
    visit("load_monitor", settings.options.load_monitor);
    visit("load_path", settings.options.load_path);
    visit("load_headers", settings.options.load_headers);
    visit("prefix_learned_speed", settings.options.prefix_learned_speed);
    visit("timing", settings.options.timing);
    visit("latency_to", settings.options.latency_to);
    visit("seed", settings.options.seed);
}

/// The setting with this name in the environment (a JSON file); null when there is none. Any case.
const SettingInfo* find_setting(std::string_view name);
const SettingInfo* find_json_setting(std::string_view json_name);

/// The known name that `name` is nearest to, with or without `FAIRLEAD_`.
std::string_view nearest_setting(std::string_view name);
std::string_view nearest_json_setting(std::string_view json_name);

/// The strategies that a setting can name.
std::vector<std::string_view> known_strategies();

}  // namespace fairlead::detail
