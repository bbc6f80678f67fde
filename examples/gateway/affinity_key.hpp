// What ties requests to one another, for consistent_hash.
#pragma once

#include <string>
#include <string_view>

#include <fairlead/model/settings.hpp>
#include <fairlead/transport/http_message.hpp>

namespace gateway {

/// The plainest word first: the header that the operator chose, the session that other routers' clients send,
/// the body's `user`; or what the settings name alone. Empty: none of them is there, or the prompt decides.
inline std::string affinity_key(const fairlead::HttpHeaders& headers, const std::string& user,
                                const fairlead::Settings& settings) {
    using fairlead::HashKey;
    constexpr std::string_view session_header = "X-Session-ID";
    const auto is_wanted = [&](HashKey key) {
        return settings.hash_key == HashKey::any || settings.hash_key == key;
    };
    if (is_wanted(HashKey::header)) {
        for (const std::string_view name : {std::string_view{settings.affinity_header}, session_header}) {
            if (name.empty()) continue;
            if (const auto value = headers.get(name); value && !value->empty()) return std::string{*value};
        }
    }
    return is_wanted(HashKey::user) ? user : std::string{};
}

/// Whether the prompt decides where `affinity_key` finds nothing.
inline bool prompt_is_key(const fairlead::Settings& settings) {
    return settings.hash_key == fairlead::HashKey::any || settings.hash_key == fairlead::HashKey::prefix;
}

}  // namespace gateway
