// The sentences, side by side.
#include "gateway/messages.hpp"

#include <string_view>

#include <fairlead/control/mode_line.hpp>

namespace gateway {
namespace {

using fairlead::Language;

std::string pick(Language language, std::string_view english, std::string_view chinese) {
    return std::string{language == Language::chinese ? chinese : english};
}

void add_names(std::string& text, std::string_view what, const std::vector<std::string>& names) {
    if (names.empty()) return;
    text += text.empty() ? "" : "; ";
    text += what;
    for (std::size_t i = 0; i < names.size(); ++i) text += (i == 0 ? " " : ", ") + names[i];
}

}  // namespace

std::string listening(const std::string& url) { return "listening on " + url; }

std::string admin_at(const std::string& url, Language language) {
    return pick(language, "admin API: ", "管理 API：") + url;
}

std::string stopping(std::size_t connections, Language language) {
    const std::string count = std::to_string(connections);
    return language == Language::chinese ? "正在停止；还有 " + count + " 个连接"
                                         : "stopping; " + count + " connections are open";
}

std::string stopped(Language language) { return pick(language, "stopped", "已停止"); }

std::vector<std::string> reloaded(const fairlead::ReloadReport& report, const fairlead::Settings& before,
                                  const fairlead::Settings& after, Language language) {
    if (report.error) return not_reloaded({message(report.error, language)}, language);
    if (!report.applied) {
        const std::string from = to_string(before.mode);
        const std::string to = to_string(after.mode);
        return {language == Language::chinese
                    ? "配置未重新加载：模式从 " + from + " 变为 " + to + " 需要重启；保持原有配置"
                    : "settings not reloaded: the mode would change from " + from + " to " + to +
                          ", which takes a restart; everything stays as it was"};
    }
    std::string what;
    add_names(what, pick(language, "added", "新增"), report.added);
    add_names(what, pick(language, "changed", "变更"), report.changed);
    add_names(what, pick(language, "draining", "排空"), report.draining);
    add_names(what, pick(language, "in force", "生效"), report.settings);
    if (what.empty()) what = pick(language, "nothing that takes effect changed", "没有可生效的变更");
    std::vector<std::string> lines{pick(language, "settings reloaded: ", "配置已重新加载：") + what};
    for (const auto& each : report.refused) {
        lines.push_back(pick(language, "not changed: ", "未变更：") + each.name + ": " +
                        message(each.error, language));
    }
    if (before.mode != after.mode) lines.push_back(mode_line(after, language));
    if (!report.at_next_start.empty()) {
        std::string rest;
        add_names(rest, pick(language, "at the next start:", "下次启动时生效："), report.at_next_start);
        lines.push_back(rest);
    }
    return lines;
}

std::vector<std::string> not_reloaded(const std::vector<std::string>& problems, Language language) {
    std::vector<std::string> lines{pick(
        language, "settings not reloaded; everything stays as it was:", "配置未重新加载；保持原有配置：")};
    lines.insert(lines.end(), problems.begin(), problems.end());
    return lines;
}

}  // namespace gateway
