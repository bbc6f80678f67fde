// The rules of passing on.
#include "gateway/headers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace gateway {
namespace {

// What OpenAI's API keeps of a POST. Not the endpoints that only compute: chat, completions, embeddings,
// audio, images, moderations.
constexpr std::array<std::string_view, 13> storing{
    "/v1/files",      "/v1/uploads", "/v1/batches",       "/v1/fine_tuning", "/v1/evals",
    "/v1/assistants", "/v1/threads", "/v1/vector_stores", "/v1/containers",  "/v1/conversations",
    "/v1/responses",  "/v1/videos",  "/v1/skills"};

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Calls `visit` for each element of a list, `a, b`, that is not empty.
template <class Visitor>
void for_each_element(std::string_view list, Visitor visit) {
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        if (const auto element = trimmed(list.substr(0, comma)); !element.empty()) visit(element);
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
}

/// `path` itself or something below it.
bool under(std::string_view path, std::string_view prefix) {
    return path.starts_with(prefix) &&
           (path.size() == prefix.size() || path[prefix.size()] == '/' || path[prefix.size()] == '?');
}

/// The Content-Type as it was written, without its parameters.
std::string_view type_of(const fairlead::HttpResponse& head) {
    const auto value = head.headers.get("Content-Type").value_or("");
    return trimmed(value.substr(0, value.find(';')));
}

bool has_type(const fairlead::HttpResponse& head, std::string_view type) {
    return fairlead::equal_ignoring_case(type_of(head), type);
}

bool is_readable(const fairlead::HttpResponse& head) {
    return head.status / 100 == 2 &&
           fairlead::equal_ignoring_case(head.headers.get("Content-Encoding").value_or("identity"),
                                         "identity");
}

}  // namespace

void remove_hop_by_hop(fairlead::HttpHeaders& headers) {
    std::vector<std::string> named;
    for (const auto& [name, value] : headers) {
        if (!fairlead::equal_ignoring_case(name, "Connection")) continue;
        for_each_element(value, [&named](std::string_view token) { named.emplace_back(token); });
    }
    headers.remove_if([&named](const fairlead::HttpHeader& field) {
        return fairlead::is_hop_by_hop(field.name) ||
               std::any_of(named.begin(), named.end(),
                           [&](const auto& name) { return fairlead::equal_ignoring_case(name, field.name); });
    });
}

std::optional<std::vector<std::string>> take_tags(fairlead::HttpHeaders& headers) {
    std::vector<std::string> tags;
    headers.remove_if([&tags](const fairlead::HttpHeader& field) {
        if (!fairlead::equal_ignoring_case(field.name, tags_header)) return false;
        for_each_element(field.value, [&tags](std::string_view tag) { tags.emplace_back(tag); });
        return true;
    });
    std::sort(tags.begin(), tags.end());
    tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
    if (tags.size() > most_tags) return std::nullopt;
    return tags;
}

std::string media_type(std::string_view content_type) {
    std::string result{trimmed(content_type.substr(0, content_type.find(';')))};
    for (auto& c : result) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return result;
}

bool ends_with_done(std::string_view method, std::string_view path, const fairlead::HttpResponse& head) {
    path = path.substr(0, path.find('?'));
    return method == "POST" && (path == "/v1/chat/completions" || path == "/v1/completions") &&
           is_stream_of_events(head);
}

bool is_stream_of_events(const fairlead::HttpResponse& head) {
    return has_type(head, "text/event-stream") && is_readable(head);
}

bool is_json(const fairlead::HttpResponse& head) {
    return has_type(head, "application/json") && is_readable(head);
}

std::optional<std::uint64_t> content_length(const fairlead::HttpHeaders& headers) {
    const auto text = headers.get("Content-Length").value_or("");
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return length;
}

std::string percent_encoded(std::string_view name) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string result;
    result.reserve(name.size());
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            result += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            result += '%';
            result += digits[byte >> 4];
            result += digits[byte & 15];
        }
    }
    return result;
}

bool has_dot_segment(std::string_view path) {
    path = path.substr(0, path.find('?'));
    if (std::none_of(path.begin(), path.end(), [](char c) { return c == '.' || c == '%'; })) return false;
    std::string plain;  // with the dots, slashes and backslashes that are percent-encoded
    for (std::size_t i = 0; i < path.size(); ++i) {
        const auto code = path.substr(i, 3);
        if (code == "%2e" || code == "%2E") {
            plain += '.';
            i += 2;
        } else if (code == "%2f" || code == "%2F" || code == "%5c" || code == "%5C") {
            plain += '/';
            i += 2;
        } else {
            plain += path[i] == '\\' ? '/' : path[i];
        }
    }
    plain += '/';
    return plain.find("/./") != std::string::npos || plain.find("/../") != std::string::npos;
}

bool stores_something(std::string_view method, std::string_view path) {
    if (method == "DELETE") return true;
    return method != "GET" && method != "HEAD" &&
           std::any_of(storing.begin(), storing.end(), [path](auto prefix) { return under(path, prefix); });
}

}  // namespace gateway
