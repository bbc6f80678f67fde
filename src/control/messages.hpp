// Every message that an operator reads about settings, in both languages side by side.
//
// {0}, {1} ... stand for what is filled in. A message says what is wrong and what would be right.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include <fairlead/control/language.hpp>

namespace fairlead::detail {

struct Text {
    std::string_view english{};
    std::string_view chinese{};

    constexpr std::string_view in(Language language) const noexcept {
        return language == Language::chinese ? chinese : english;
    }
};

/// The variables that name the locale, in the order in which POSIX asks for messages.
inline constexpr std::string_view locale_variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

/// The text in the given language with {0}, {1} ... filled in.
std::string say(Language language, const Text& text, std::initializer_list<std::string_view> arguments = {});

namespace text {

// --- numbers, switches, texts ----------------------------------------------------------------------------
inline constexpr Text out_of_range{"must be {0}, got {1}", "必须为 {0}，实际为 {1}"};
inline constexpr Text seconds_out_of_range{"must be {0} (seconds), got {1}", "必须为 {0}（秒），实际为 {1}"};
inline constexpr Text not_whole{"must be a whole number {0}, got {1}", "必须为整数 {0}，实际为 {1}"};
inline constexpr Text not_a_number{"must be a number {0}, got {1}", "必须为数字 {0}，实际为 {1}"};
inline constexpr Text not_on_off{"must be true/false, 1/0, yes/no or on/off, got {0}",
                                 "必须为 true/false、1/0、yes/no 或 on/off，实际为 {0}"};
inline constexpr Text not_text{"must be a text in quotes, got {0}", "必须为带引号的文本，实际为 {0}"};
inline constexpr Text not_one_of{"must be one of {0}, got {1}", "必须为 {0} 之一，实际为 {1}"};
inline constexpr Text not_list_of{"must be a list of {0}, or none; got {1}",
                                  "必须为 {0} 中的若干项，或 none；实际为 {1}"};
inline constexpr Text bad_path{"must begin with '/' and hold only visible ASCII without '#'",
                               "必须以 '/' 开头，且只含可见 ASCII 字符，不含 '#'"};
inline constexpr Text bad_header{"must be the name of an HTTP header, such as X-Session-Id",
                                 "必须为 HTTP 头的名称，例如 X-Session-Id"};
inline constexpr Text control_character{"must not hold control characters; is a line break at its end?",
                                        "不能含控制字符；末尾是否多了换行？"};
inline constexpr Text no_such_file{"is no file that can be read: {0}", "不是可读取的文件：{0}"};
inline constexpr Text unknown_strategy{"unknown strategy {0}; known are: {1}",
                                       "未知的策略 {0}；已知的策略有：{1}"};

// --- kinds of JSON values, as they stand behind "got" ----------------------------------------------------
inline constexpr Text kind_null{"null", "null"};
inline constexpr Text kind_switch{"true or false", "布尔值"};
inline constexpr Text kind_number{"a number", "数字"};
inline constexpr Text kind_text{"a text in quotes", "带引号的文本"};
inline constexpr Text kind_array{"an array", "数组"};
inline constexpr Text kind_object{"an object", "对象"};

// --- backends --------------------------------------------------------------------------------------------
inline constexpr Text not_array_of_backends{
    "must be a JSON array of backends, such as [{\"name\": \"a\", \"url\": \"http://host:8000\"}], got {0}",
    "必须为后端的 JSON 数组，例如 [{\"name\": \"a\", \"url\": \"http://host:8000\"}]，实际为 {0}"};
inline constexpr Text not_object{"must be an object in braces, got {0}", "必须为花括号中的对象，实际为 {0}"};
inline constexpr Text not_array_of_texts{"must be an array of texts, such as [\"fast\"], got {0}",
                                         "必须为文本数组，例如 [\"fast\"]，实际为 {0}"};
inline constexpr Text not_aliases{"must be a JSON object of names, such as {\"gpt-4o\": \"qwen\"}, got {0}",
                                  "必须为名称的 JSON 对象，例如 {\"gpt-4o\": \"qwen\"}，实际为 {0}"};
inline constexpr Text no_entries{"must hold at least one backend, got an empty array",
                                 "至少要有一个后端，实际为空数组"};
inline constexpr Text too_many{"must hold at most 65536 backends, got {0}",
                               "最多 65536 个后端，实际为 {0} 个"};
inline constexpr Text missing{"is missing; every backend needs one", "缺失；每个后端都必须有"};
inline constexpr Text bad_name{
    "must be 1 to 128 bytes of UTF-8 without control characters, '/' or leading and trailing blanks",
    "必须为 1 到 128 字节的 UTF-8，不含控制字符和 '/'，首尾不能有空白"};
inline constexpr Text bad_url{
    "must be http:// or https:// with a host, and optionally a port 1..65535 and a path; no user name, "
    "blank, "
    "query or fragment",
    "必须为 http:// 或 https:// 加主机，可带端口 1..65535 和路径；不能有用户名、空白、查询参数或片段"};
inline constexpr Text duplicate_name{"{0} is the name of {1} already; names must be unique",
                                     "{0} 已是 {1} 的名称；名称必须唯一"};
inline constexpr Text unknown_field{"unknown field; the nearest known one is {0}",
                                    "未知的字段；最接近的已知字段是 {0}"};

// --- JSON and dotenv text --------------------------------------------------------------------------------
inline constexpr Text bad_json{"invalid JSON at line {0}, column {1}: {2}",
                               "第 {0} 行第 {1} 列 JSON 无效：{2}"};
inline constexpr Text json_unexpected{"unexpected {0}", "意外的 {0}"};
inline constexpr Text json_unexpected_text{"unexpected text; is a quote, comma or bracket missing before it?",
                                           "意外的内容；前面是否缺少引号、逗号或括号？"};
inline constexpr Text json_end{"the text ends here, but a bracket is still open",
                               "内容在此结束，但还有括号没有闭合"};
inline constexpr Text json_empty{"there is nothing here", "内容为空"};
inline constexpr Text json_string{
    "a text is not closed with a quote, or holds a line break, a control character or an unknown escape",
    "文本没有用引号闭合，或含换行、控制字符、未知的转义"};
inline constexpr Text json_utf8{"not UTF-8; save the file as UTF-8", "不是 UTF-8；请将文件保存为 UTF-8"};
inline constexpr Text json_number{"a number that cannot be read or is too large", "数字无法读取或过大"};
inline constexpr Text json_deep{"nested deeper than {0} levels", "嵌套超过 {0} 层"};
inline constexpr Text duplicate_key{"stands twice in its object; keep one",
                                    "在同一对象中出现两次；请只保留一个"};
inline constexpr Text dotenv_no_equals{"no '=' behind the name; write NAME=value, or '#' before a comment",
                                       "名称后没有 '='；请写 名称=值，注释前加 '#'"};
inline constexpr Text dotenv_bad_name{
    "a name must be letters, digits and '_', and not begin with a digit; write NAME=value",
    "名称只能含字母、数字和 '_'，且不能以数字开头；请写 名称=值"};
inline constexpr Text dotenv_open_quote{"the quote that begins here is never closed",
                                        "此处开始的引号没有闭合"};
inline constexpr Text dotenv_after_quote{
    "only a comment may follow the closing quote; is there a quote within the value?",
    "闭合引号之后只能有注释；值中是否含有引号？"};
inline constexpr Text utf16{"is UTF-16; save the file as UTF-8", "是 UTF-16；请将文件保存为 UTF-8"};
inline constexpr Text at_place{"at line {0}, column {1}: {2}", "第 {0} 行第 {1} 列：{2}"};

// --- sources and names -----------------------------------------------------------------------------------
inline constexpr Text from_environment{"environment", "环境变量"};
inline constexpr Text from_file_line{"{0}, line {1}", "{0} 第 {1} 行"};
inline constexpr Text from_file_place{"{0}, line {1}, column {2}", "{0} 第 {1} 行第 {2} 列"};
inline constexpr Text cannot_read{"cannot be read: {0}", "无法读取：{0}"};
inline constexpr Text file_too_large{"cannot be read: larger than 16 MiB", "无法读取：超过 16 MiB"};
inline constexpr Text file_is_directory{"cannot be read: it is a directory", "无法读取：这是一个目录"};
inline constexpr Text file_not_object{"must be one JSON object of settings, got {0}",
                                      "必须为一个由设置组成的 JSON 对象，实际为 {0}"};
inline constexpr Text unknown_setting{"unknown setting; the nearest known one is {0}",
                                      "未知的设置；最接近的已知设置是 {0}"};
inline constexpr Text two_spellings{"is set as {0} as well, to another value; keep one",
                                    "另有 {0} 设为不同的值；请只保留一个"};
inline constexpr Text no_backend{
    "no backend is set; set VLLM_SERVER_URL=http://host:port for one, or LLM_BACKENDS to a JSON array of "
    "several",
    "没有设置后端；单个后端请设置 VLLM_SERVER_URL=http://host:port，多个后端请将 LLM_BACKENDS 设为 JSON "
    "数组"};

// --- modes: the Chinese lines are the operator's guide's, word for word ----------------------------------
inline constexpr Text mode_single{"load balancing is off: all requests go to the single backend",
                                  "负载均衡未启用，使用传统单后端模式"};
inline constexpr Text mode_single_balanced{
    "load balancing is on with a single backend, because no others are configured",
    "启用负载均衡但未检测到多后端配置，使用单后端负载均衡模式"};
inline constexpr Text mode_multi{"load balancing is on with {0} backends",
                                 "负载均衡LLM服务初始化完成，包含 {0} 个后端"};

}  // namespace text

}  // namespace fairlead::detail
