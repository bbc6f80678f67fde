// Small questions about header values: lists of tokens, blanks, hosts.
#pragma once

#include <string_view>

#include <fairlead/transport/http_message.hpp>

namespace fairlead::detail {

/// Without blanks and tabs at either end.
constexpr std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// Calls `visit(token)` for each element of a comma-separated list that is not empty.
template <class Visitor>
constexpr void for_each_token(std::string_view list, Visitor&& visit) {
    while (!list.empty()) {
        const auto comma = list.find(',');
        const auto token = trimmed(list.substr(0, comma));
        if (!token.empty()) visit(token);
        if (comma == std::string_view::npos) return;
        list.remove_prefix(comma + 1);
    }
}

/// Whether one of the fields of this name lists `token`, in any case.
inline bool has_token(const HttpHeaders& headers, std::string_view name, std::string_view token) {
    bool found = false;
    for (const auto& field : headers) {
        if (!equal_ignoring_case(field.name, name)) continue;
        for_each_token(field.value,
                       [&](std::string_view each) { found |= equal_ignoring_case(each, token); });
    }
    return found;
}

/// Whether `value` can be a `Host`: what RFC 3986 allows in a host and a port, and no separator that another
/// reader could take for the end of one. Empty is allowed (RFC 9110, 7.2).
constexpr bool is_host_value(std::string_view value) noexcept {
    for (const char c : value) {
        const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && std::string_view{"-._~%!$&'()*+;=:[]"}.find(c) == std::string_view::npos) return false;
    }
    return true;
}

}  // namespace fairlead::detail
