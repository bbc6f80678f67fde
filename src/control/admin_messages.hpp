// What the admin API says, in both languages side by side. Problems of a body's fields are in messages.hpp.
#pragma once

#include "messages.hpp"

namespace fairlead::detail::text {

// --- who may ask -----------------------------------------------------------------------------------------
inline constexpr Text key_missing{"no key: send the admin key in X-API-Key or as Authorization: Bearer",
                                  "缺少密钥：请在 X-API-Key 或 Authorization: Bearer 中提供管理密钥"};
inline constexpr Text key_wrong{"wrong key: it is not the one in FAIRLEAD_ADMIN_KEY",
                                "密钥错误：与 FAIRLEAD_ADMIN_KEY 不一致"};
inline constexpr Text only_loopback{
    "no admin key is set, so only this machine is answered; set FAIRLEAD_ADMIN_KEY to allow others",
    "未设置管理密钥，仅本机可访问；如需允许其他机器，请设置 FAIRLEAD_ADMIN_KEY"};
inline constexpr Text notice_loopback{
    "the admin API answers only to this machine, because FAIRLEAD_ADMIN_KEY is not set",
    "未设置 FAIRLEAD_ADMIN_KEY，管理 API 仅本机可访问"};

// --- what was asked --------------------------------------------------------------------------------------
inline constexpr Text no_such_path{"there is nothing at {0}; the calls are listed in docs/openapi.yaml",
                                   "{0} 不存在；所有调用见 docs/openapi.yaml"};
inline constexpr Text wrong_method{"{0} is not possible here; use {1}", "此处不能使用 {0}；请使用 {1}"};
inline constexpr Text bad_escape{"the path holds a '%' that is not followed by two hexadecimal digits",
                                 "路径中的 '%' 后不是两位十六进制数"};
inline constexpr Text body_too_large{"the body is larger than 1 MiB", "请求体超过 1 MiB"};
inline constexpr Text no_such_backend{"there is no backend {0}", "没有名为 {0} 的后端"};
inline constexpr Text backend_exists{"there is a backend {0} already", "已有名为 {0} 的后端"};
inline constexpr Text single_mode{
    "the mode is single_backend, in which nothing is balanced; set LOAD_BALANCE_ENABLED=true and restart",
    "当前为 single_backend 模式，未启用负载均衡；请设置 LOAD_BALANCE_ENABLED=true 后重启"};
inline constexpr Text strategy_is_fixed{"this program's strategy is fixed: {0}", "该程序的策略是固定的：{0}"};
inline constexpr Text no_checker{"this program has no health checker", "该程序没有健康检查器"};
inline constexpr Text not_changeable{
    "cannot be changed; remove the backend and add it again, or choose one of {0}",
    "不能修改；请移除该后端后重新添加，或修改 {0} 之一"};
inline constexpr Text internal_error{"the call failed: {0}", "调用失败：{0}"};

// --- what was done ---------------------------------------------------------------------------------------
inline constexpr Text was_added{"backend {0} was added", "已添加后端 {0}"};
inline constexpr Text was_changed{"backend {0} was changed", "已修改后端 {0}"};
inline constexpr Text was_removed{"backend {0} was removed; its requests in flight will finish",
                                  "已移除后端 {0}；进行中的请求会继续完成"};
inline constexpr Text was_enabled{"backend {0} is enabled", "已启用后端 {0}"};
inline constexpr Text was_disabled{"backend {0} is disabled", "已停用后端 {0}"};
inline constexpr Text is_draining{"backend {0} gets no new requests; {1} in flight",
                                  "后端 {0} 不再接收新请求；{1} 个请求进行中"};
inline constexpr Text strategy_set{"strategy {0} is in force", "已使用策略 {0}"};
inline constexpr Text checks_started{"the periodic health check is running", "定期健康检查已启动"};
inline constexpr Text checks_stopped{"the periodic health check is stopped", "定期健康检查已停止"};

// --- errors of backends, as `last_error` shows them ------------------------------------------------------
inline constexpr Text http_status{"HTTP status {0}", "HTTP 状态码 {0}"};
inline constexpr Text probe_failed{"health check: {0}", "健康检查：{0}"};

}  // namespace fairlead::detail::text
