// The environment, the dotenv file and the JSON file, in the order in which they count.
#include "setting_sources.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include <unistd.h>

#include "dotenv.hpp"
#include "json_reader.hpp"
#include "setting_list.hpp"

namespace fairlead::detail {
namespace {

/// Settings of 65,536 backends take about 10 MB; a file beyond this is another file.
constexpr std::size_t most_file_bytes = std::size_t{16} * 1024 * 1024;

/// Of the command line tool, which may share its shell with a gateway.
constexpr std::array<std::string_view, 3> names_of_others{"FAIRLEAD_SERVER_URL", "FAIRLEAD_API_KEY",
                                                          "FAIRLEAD_BACKEND_API_KEY"};

constexpr std::string_view own_prefix = "FAIRLEAD_";

std::optional<std::string> read_settings_file(const std::string& path, Problems& problems) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
        problems.add(path, text::file_is_directory);
        return std::nullopt;
    }
    errno = 0;
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rb"), &std::fclose};
    if (!file) {
        problems.add(path, text::cannot_read, {std::error_code{errno, std::generic_category()}.message()});
        return std::nullopt;
    }
    std::string content;
    std::array<char, 16 * 1024> block{};  // a few system calls for any real file
    for (;;) {
        const std::size_t got = std::fread(block.data(), 1, block.size(), file.get());
        content.append(block.data(), got);
        if (content.size() > most_file_bytes) {
            problems.add(path, text::file_too_large);
            return std::nullopt;
        }
        if (got == 0) break;
    }
    if (std::ferror(file.get()) != 0) {
        problems.add(path, text::cannot_read, {std::error_code{errno, std::generic_category()}.message()});
        return std::nullopt;
    }
    return content;
}

bool is_of_others(const std::string& name) {
    const std::string wanted = upper(name);
    for (const std::string_view other : names_of_others) {
        if (wanted == other) return true;
    }
    return false;
}

/// The setting of this name; when there is none, null, and a problem if the name claims to be one of ours.
const SettingInfo* known_or_refused(const std::string& name, Problems& problems) {
    const SettingInfo* info = find_setting(name);
    if (info == nullptr && upper(name).starts_with(own_prefix) && !is_of_others(name))
        problems.add(shown(name), text::unknown_setting, {nearest_setting(name)});
    return info;
}

void collect_environment(const std::map<std::string, std::string>& environment, RawSettings& settings,
                         Problems& problems) {
    const std::string source = problems.say(text::from_environment);
    problems.set_source(source);
    std::map<std::string, std::string> spelled;  // JSON name -> as the environment spells it
    for (const auto& [name, value] : environment) {
        const SettingInfo* info = known_or_refused(name, problems);
        if (info == nullptr) continue;
        const auto [other, is_new] = spelled.emplace(info->json_name, name);
        if (!is_new) {
            if (environment.at(other->second) != value)
                problems.add(shown(name), text::two_spellings, {shown(other->second)});
            continue;
        }
        settings.emplace(info->json_name, RawSetting{value, info->name, true, source, {}, {}});
    }
}

void collect_dotenv(const std::string& path, RawSettings& settings, Problems& problems) {
    problems.set_source({});
    const auto content = read_settings_file(path, problems);
    if (!content) return;
    Dotenv file = parse_dotenv(*content);
    for (const DotenvProblem& problem : file.problems)
        problems.add(path, text::at_place,
                     {std::to_string(problem.at.line), std::to_string(problem.at.column),
                      problems.say(*problem.message)});
    RawSettings said;
    for (DotenvEntry& entry : file.entries) {
        const std::string source =
            problems.say(text::from_file_line, {path, std::to_string(entry.name_at.line)});
        problems.set_source(source);
        const SettingInfo* info = known_or_refused(entry.name, problems);
        if (info == nullptr) continue;
        // A name that stands twice: the last one counts, as in every reader of dotenv files.
        said.insert_or_assign(info->json_name,
                              RawSetting{std::move(entry.value), info->name, true, source,
                                         entry.verbatim ? path : std::string{}, entry.value_at});
    }
    settings.merge(said);
}

void collect_json(const std::string& path, RawSettings& settings, Problems& problems) {
    problems.set_source({});
    const auto content = read_settings_file(path, problems);
    if (!content) return;
    std::vector<JsonProblem> found;
    auto root = parse_json(*content, problems.language(), found);
    for (const JsonProblem& problem : found) problems.add_json(path, problem);
    if (!root) return;
    if (!root->is_object()) return problems.add(path, text::file_not_object, {problems.say(kind_of(*root))});
    problems.set_source(path);
    std::map<std::string, std::string> spelled;
    for (auto& [key, value] : root->items()) {
        const SettingInfo* info = find_json_setting(key);
        if (info == nullptr) {
            // A name of nothing would leave the problem without a place.
            problems.add(trimmed(key).empty() ? in_quotes(key) : shown(key), text::unknown_setting,
                         {nearest_json_setting(key)});
            continue;
        }
        const auto [other, is_new] = spelled.emplace(info->json_name, key);
        if (!is_new) {
            problems.add(shown(key), text::two_spellings, {shown(other->second)});
            continue;
        }
        settings.emplace(info->json_name, RawSetting{std::move(value), info->json_name, false, path, {}, {}});
    }
}

bool is_empty_value(const nlohmann::json& value) {
    return value.is_null() || (value.is_string() && trimmed(value.get_ref<const std::string&>()).empty());
}

}  // namespace

std::map<std::string, std::string> process_environment() {
    std::map<std::string, std::string> variables;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text{*entry};
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos)
            variables.emplace(std::string{text.substr(0, equals)}, std::string{text.substr(equals + 1)});
    }
    return variables;
}

RawSettings collect_settings(const SettingsSources& sources,
                             const std::map<std::string, std::string>& environment, Problems& problems) {
    RawSettings settings;
    collect_environment(environment, settings, problems);
    const std::string env_file = sources.env_file.value_or(".env");
    std::error_code ignored;
    const bool skip = env_file.empty() || (!sources.env_file && !std::filesystem::exists(env_file, ignored));
    if (!skip) collect_dotenv(env_file, settings, problems);
    if (!sources.settings_file.empty()) collect_json(sources.settings_file, settings, problems);
    std::erase_if(settings, [](const auto& item) { return is_empty_value(item.second.value); });
    return settings;
}

}  // namespace fairlead::detail
