// Messages filled in, the choice of the language, and the Chinese of the library's errors.
#include "messages.hpp"

#include <cstdlib>

#include <fairlead/control/mode_line.hpp>
#include <fairlead/model/error.hpp>

namespace fairlead {

namespace detail {

std::string say(Language language, const Text& text, std::initializer_list<std::string_view> arguments) {
    const std::string_view form = text.in(language);
    std::string said;
    for (std::size_t at = 0; at < form.size(); ++at) {
        const bool slot = form[at] == '{' && at + 2 < form.size() && form[at + 2] == '}' &&
                          form[at + 1] >= '0' && form[at + 1] <= '9';
        const auto index = slot ? static_cast<std::size_t>(form[at + 1] - '0') : arguments.size();
        if (index < arguments.size()) {
            said += arguments.begin()[index];
            at += 2;
        } else {
            said += form[at];
        }
    }
    return said;
}

namespace {

/// The library's errors in Chinese; the English ones are in model/error.hpp.
std::string_view chinese_error(Errc error) noexcept {
    switch (error) {
        case Errc::no_backends:
            return "没有配置后端";
        case Errc::unknown_model:
            return "没有后端提供该模型";
        case Errc::unknown_tags:
            return "没有后端同时具有这些标签";
        case Errc::all_disabled:
            return "所有匹配的后端都已停用或正在排空";
        case Errc::all_unhealthy:
            return "所有匹配的后端都不健康";
        case Errc::all_full:
            return "所有匹配的后端都已达到 max_connections";
        case Errc::all_resting:
            return "所有匹配的后端都要求暂停一段时间";
        case Errc::all_excluded:
            return "所有匹配的后端都已被排除或已尝试过";
        case Errc::out_of_memory:
            return "内存不足";
        case Errc::queue_full:
            return "等待后端的请求过多（queue_limit）";
        case Errc::queue_timeout:
            return "在 queue_timeout 内没有空位";
        case Errc::deadline_passed:
            return "请求的截止时间已过";
        case Errc::cancelled:
            return "调用方取消了请求";
        case Errc::retry_budget_exhausted:
            return "请求失败，且重试预算（retry_budget_ratio）目前不允许再试";
        case Errc::no_response:
            return "传输层没有给出响应";
        case Errc::unknown_backend:
            return "没有该名称的后端";
        case Errc::duplicate_name:
            return "已有该名称的后端";
        case Errc::bad_name:
            return "后端的 name 必须为 1 到 128 字节的 UTF-8，不含控制字符和 '/'，首尾不能有空白";
        case Errc::bad_url:
            return "后端的 url 必须为 http:// 或 https:// 加主机，可带端口和路径";
        case Errc::bad_weight:
            return "后端的 weight 必须为 1..65535";
        case Errc::bad_max_connections:
            return "后端的 max_connections 必须为 1..1048575";
        case Errc::bad_timeout:
            return "后端的超时必须大于 0";
        case Errc::too_many_backends:
            return "最多 65,536 个后端";
        case Errc::too_many_changes:
            return "进行中的请求仍在使用该后端的 1,000 个配置；请待部分请求结束后再修改";
        case Errc::unknown_strategy:
            return "没有该名称的策略";
        case Errc::bad_option:
            return "某个选项超出范围";
        case Errc::fixed_option:
            return "timing 和 seed 在运行中不能更改";
    }
    return {};
}

}  // namespace

}  // namespace detail

Language language_of(std::string_view locale) noexcept {
    const bool zh = locale.size() >= 2 && (locale[0] == 'z' || locale[0] == 'Z') &&
                    (locale[1] == 'h' || locale[1] == 'H');
    const bool whole =
        locale.size() == 2 || (zh && std::string_view{"_-.@"}.find(locale[2]) != std::string_view::npos);
    return zh && whole ? Language::chinese : Language::english;
}

Language language_from_environment() noexcept {
    for (const std::string_view name : detail::locale_variables) {
        const char* value = std::getenv(name.data());  // each ends with a NUL: they are literals
        if (value != nullptr && *value != '\0') return language_of(value);
    }
    return Language::english;
}

std::string message(std::error_code error, Language language) {
    if (language == Language::chinese && error.category() == error_category()) {
        const std::string_view chinese = detail::chinese_error(static_cast<Errc>(error.value()));
        if (!chinese.empty()) return std::string{chinese};
    }
    return error.message();
}

std::string mode_line(const Settings& settings, Language language) {
    switch (settings.mode) {
        case Mode::single_backend:
            break;
        case Mode::single_backend_balanced:
            return detail::say(language, detail::text::mode_single_balanced);
        case Mode::multi_backend:
            return detail::say(language, detail::text::mode_multi,
                               {std::to_string(settings.backends.size())});
    }
    return detail::say(language, detail::text::mode_single);
}

}  // namespace fairlead
