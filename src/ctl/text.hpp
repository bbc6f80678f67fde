// Every sentence of fairlead-ctl, in both languages side by side. Names of fields, states and options are the
// same in both, so that what is shown can be searched for and typed.
#pragma once

#include "control/messages.hpp"

namespace fairlead::ctl::text {

using detail::Text;

// --- help ------------------------------------------------------------------------------------------------
inline constexpr Text purpose{"Manages a running fairlead load balancer through its admin API.",
                              "通过管理 API 管理运行中的 fairlead 负载均衡器。"};
inline constexpr Text footer{
    "Exit status: 0 done; 1 the server refused, its reason is on stderr; 2 the command line is wrong;\n"
    "3 the server could not be reached, or what answered is no admin API.\n"
    "FAIRLEAD_API_KEY and FAIRLEAD_BACKEND_API_KEY keep the keys out of the shell's history.",
    "退出状态：0 成功；1 服务器拒绝，原因见标准错误；2 命令行有误；\n"
    "3 无法连接服务器，或应答者不是管理 API。\n"
    "用 FAIRLEAD_API_KEY 和 FAIRLEAD_BACKEND_API_KEY 可避免密钥留在 shell 历史中。"};
inline constexpr Text help_help{"Print this help and exit", "显示本帮助并退出"};
inline constexpr Text help_version{"Print the version and exit", "显示版本并退出"};
inline constexpr Text help_server_url{"The server with the admin API", "提供管理 API 的服务器"};
inline constexpr Text help_api_key{"Key of the admin API", "管理 API 的密钥"};
inline constexpr Text help_request_timeout{"Seconds that an answer may take", "等待应答的最长秒数"};
inline constexpr Text help_json{"Print the raw answer", "输出原始应答"};

inline constexpr Text help_status{"Show mode, strategy and totals", "显示模式、策略和总计"};
inline constexpr Text help_list{"List the backends", "列出后端"};
inline constexpr Text help_add{"Add a backend", "添加后端"};
inline constexpr Text help_remove{"Remove a backend; requests in flight finish",
                                  "移除后端；进行中的请求会完成"};
inline constexpr Text help_enable{"Give it requests again", "重新接收请求"};
inline constexpr Text help_disable{"Give it no more requests", "停止接收新请求"};
inline constexpr Text help_drain{"Give it no more requests and watch for the last one to end",
                                 "停止接收新请求，并等待进行中的请求结束"};
inline constexpr Text help_wait{"Return when nothing is in flight any more", "等到没有进行中的请求时才返回"};
inline constexpr Text help_health_check{"Probe a backend now", "立即探测后端"};
inline constexpr Text help_strategy{"Show or change the strategy", "显示或更改策略"};
inline constexpr Text help_strategy_get{"Show the strategy and those that are known",
                                        "显示当前策略和可用策略"};
inline constexpr Text help_strategy_set{"Change the strategy", "更改策略"};
inline constexpr Text help_metrics{"Show the figures of each backend", "显示各后端的指标"};
inline constexpr Text help_control{"Start or stop the periodic health check", "启动或停止定期健康检查"};
inline constexpr Text help_start{"Start it", "启动"};
inline constexpr Text help_stop{"Stop it", "停止"};
inline constexpr Text help_watch{"A live table of the backends; Ctrl-C ends it",
                                 "后端实时表格；按 Ctrl-C 结束"};
inline constexpr Text help_interval{"Seconds between two looks", "刷新间隔（秒）"};
inline constexpr Text help_count{"End after so many looks; 0: never", "刷新若干次后结束；0 表示不结束"};

inline constexpr Text help_name{"The backend's name", "后端名称"};
inline constexpr Text help_url{"http://HOST:PORT of the backend", "后端的 http://HOST:PORT"};
inline constexpr Text help_model{"The model it serves", "后端提供的模型"};
inline constexpr Text help_backend_key{
    "Key that the backend wants, may be empty; else FAIRLEAD_BACKEND_API_KEY",
    "后端要求的密钥，可为空；未给出时取 FAIRLEAD_BACKEND_API_KEY"};
inline constexpr Text help_weight{"Relative capacity, 1..65535", "相对权重，1..65535"};
inline constexpr Text help_connections{"Requests in flight at most, 1..1048575",
                                       "最大并发请求数，1..1048575"};
inline constexpr Text help_timeout{"Seconds that its answer may take to begin, > 0",
                                   "等待其应答开始的秒数，> 0"};
inline constexpr Text help_priority{"Lower ones serve first", "数字小者优先"};
inline constexpr Text help_tag{"A tag that requests may ask for; may be given again",
                               "请求可指定的标签；可重复给出"};
inline constexpr Text help_new_strategy{"Its name, as `strategy get` lists them",
                                        "策略名称，见 strategy get"};
inline constexpr Text help_check_interval{"Seconds between two probes, > 0", "两次探测之间的秒数，> 0"};
inline constexpr Text help_retries{"Further tries after the first, >= 0", "首次之后的重试次数，>= 0"};
inline constexpr Text help_threshold{"Consecutive failures until unhealthy, >= 1",
                                     "判定为不健康的连续失败次数，>= 1"};

// --- usage -----------------------------------------------------------------------------------------------
inline constexpr Text see_help{"fairlead-ctl: {0}; see fairlead-ctl --help",
                               "fairlead-ctl：{0}；见 fairlead-ctl --help"};
inline constexpr Text no_command{"a command is missing", "缺少命令"};
inline constexpr Text missing_options{"missing: {0}", "缺少：{0}"};
inline constexpr Text not_expected{"not understood: {0}", "无法识别：{0}"};
inline constexpr Text needs_one_value{"{0} must be given once, with a value", "{0} 必须给出一次，并带一个值"};
inline constexpr Text not_whole{"{0} must be a whole number, got \"{1}\"", "{0} 必须为整数，实际为 \"{1}\""};
inline constexpr Text not_number{"{0} must be a number, got \"{1}\"", "{0} 必须为数字，实际为 \"{1}\""};
inline constexpr Text out_of_range{"{0} must be {1}, got \"{2}\"", "{0} 必须为 {1}，实际为 \"{2}\""};
inline constexpr Text bad_server_url{
    "--server-url must be http://HOST:PORT or https://HOST:PORT, got \"{0}\"",
    "--server-url 必须为 http://HOST:PORT 或 https://HOST:PORT，实际为 \"{0}\""};
inline constexpr Text bad_key{"the API key must not hold control characters", "API 密钥不能含控制字符"};
inline constexpr Text not_utf8{"{0} must be UTF-8", "{0} 必须为 UTF-8"};

// --- no answer -------------------------------------------------------------------------------------------
inline constexpr Text unreachable{"{0} could not be reached: {1}", "无法连接 {0}：{1}"};
inline constexpr Text no_name{"the host name was not found", "找不到主机名"};
inline constexpr Text refused_connection{"the connection was refused; does the server run there?",
                                         "连接被拒绝；服务器是否在运行？"};
inline constexpr Text no_route{"its host or network is unreachable", "主机或网络不可达"};
inline constexpr Text too_slow{"no answer came in time", "未在时限内应答"};
inline constexpr Text closed_connection{"the connection was closed before the answer", "连接在应答前被关闭"};
inline constexpr Text bad_certificate{"its certificate is not trusted or names another host",
                                      "证书不受信任或主机名不符"};
inline constexpr Text no_admin_api{"what answers there (status {0}) is no fairlead admin API",
                                   "应答者（状态码 {0}）不是 fairlead 管理 API"};

// --- answers ---------------------------------------------------------------------------------------------
inline constexpr Text done{"done", "完成"};
inline constexpr Text output_failed{"what was to be printed could not be written", "无法写出输出内容"};
inline constexpr Text drained{"{0}: nothing is in flight any more", "{0}：已没有进行中的请求"};
inline constexpr Text gone{"{0}: is gone", "{0}：已被移除"};
inline constexpr Text taken_back{"{0}: was enabled again before it was empty", "{0}：在排空之前又被启用"};
inline constexpr Text yes{"yes", "是"};
inline constexpr Text no{"no", "否"};
inline constexpr Text summary{"{0}: {1} of {2} healthy", "{0}：{2} 个后端中 {1} 个健康"};
inline constexpr Text lost{"no answer since {0} s: {1}", "已有 {0} 秒没有应答：{1}"};
inline constexpr Text more_rows{"... {0} more", "... 还有 {0} 行"};

inline constexpr Text name{"NAME", "名称"};
inline constexpr Text status{"STATUS", "状态"};
inline constexpr Text weight{"WEIGHT", "权重"};
inline constexpr Text in_flight{"IN FLIGHT", "进行中"};
inline constexpr Text priority{"PRIORITY", "优先级"};
inline constexpr Text model{"MODEL", "模型"};
inline constexpr Text url{"URL", "地址"};
inline constexpr Text tags{"TAGS", "标签"};
inline constexpr Text requests{"REQUESTS", "请求"};
inline constexpr Text failed{"FAILED", "失败"};
inline constexpr Text success{"SUCCESS", "成功率"};
inline constexpr Text average{"AVERAGE", "平均响应"};
inline constexpr Text rate{"PER SECOND", "每秒"};
inline constexpr Text in_a_row{"IN A ROW", "连续失败"};
inline constexpr Text last_error{"LAST ERROR", "最近错误"};
inline constexpr Text tokens{"TOKENS", "TOKEN"};
inline constexpr Text engine{"ENGINE", "引擎"};
inline constexpr Text engine_running{"{0} running", "运行 {0}"};
inline constexpr Text engine_waiting{"{0} waiting", "等待 {0}"};
inline constexpr Text engine_waiting_tokens{"{0} tokens waiting", "等待 token {0}"};
inline constexpr Text engine_cache{"cache {0}", "缓存 {0}"};
inline constexpr Text engine_age{"{0} ago", "{0}前"};

inline constexpr Text row_enabled{"load balancing", "负载均衡"};
inline constexpr Text row_mode{"mode", "模式"};
inline constexpr Text row_strategy{"strategy", "策略"};
inline constexpr Text row_total{"backends", "后端总数"};
inline constexpr Text row_healthy{"healthy", "健康"};
inline constexpr Text row_unhealthy{"unhealthy", "不健康"};
inline constexpr Text row_available{"available", "可用"};
inline constexpr Text row_checking{"health check running", "健康检查运行中"};
inline constexpr Text row_requests{"requests", "请求总数"};
inline constexpr Text row_success{"success rate", "成功率"};
inline constexpr Text row_average{"average response time", "平均响应时间"};
inline constexpr Text row_backend{"backend", "后端"};
inline constexpr Text row_health{"health status", "健康状态"};
inline constexpr Text row_checked{"last check", "最近检查"};
inline constexpr Text row_failures{"consecutive failures", "连续失败"};
inline constexpr Text row_error{"last error", "最近错误"};
inline constexpr Text row_interval{"health check interval", "健康检查间隔"};
inline constexpr Text row_retries{"max retries", "最大重试次数"};
inline constexpr Text row_threshold{"failure threshold", "故障阈值"};
inline constexpr Text row_strategies{"available strategies", "可用策略"};

}  // namespace fairlead::ctl::text
