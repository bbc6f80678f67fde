// The search for "usage", resumable at every byte.
#include "gateway/usage_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

namespace gateway {
namespace {

constexpr std::string_view member = "\"usage\"";
// OpenAI's own, with the details of prompt and completion, has some 400 bytes.
constexpr std::size_t longest_object = 1024;

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// The number that follows the member `quoted_name` in `object`; 0 where there is none, or one that is no
/// count.
std::uint64_t count_of(std::string_view object, std::string_view quoted_name) {
    const auto at = object.find(quoted_name);
    if (at == std::string_view::npos) return 0;
    auto rest = object.substr(at + quoted_name.size());
    while (!rest.empty() && (is_blank(rest.front()) || rest.front() == ':')) rest.remove_prefix(1);
    std::uint64_t count = 0;
    // Far beyond any context: what is larger is no count of tokens, and must not distort an account.
    constexpr std::uint64_t most = 1'000'000'000;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    return error == std::errc{} && count <= most ? count : 0;
}

Usage usage_in(std::string_view object) {
    const auto either = [object](std::string_view one, std::string_view other) {
        const auto count = count_of(object, one);
        return count != 0 ? count : count_of(object, other);
    };
    return {either("\"prompt_tokens\"", "\"input_tokens\""),
            either("\"completion_tokens\"", "\"output_tokens\""), count_of(object, "\"cached_tokens\"")};
}

}  // namespace

bool UsageReader::feed(std::string_view piece) {
    whole_ = false;
    while (!piece.empty()) {
        switch (state_) {
            case State::text:
                piece = find(piece);
                break;
            case State::object:
                piece = collect(piece);
                break;
            default:
                piece = match(piece);
        }
    }
    return whole_;
}

/// Skips to where the name stands, or may begin at the piece's end.
std::string_view UsageReader::find(std::string_view piece) {
    const auto* at =
        static_cast<const char*>(memmem(piece.data(), piece.size(), member.data(), member.size()));
    if (at == nullptr) {
        // A name that the piece's end cuts.
        const auto tail = piece.substr(piece.size() - std::min(piece.size(), member.size() - 1));
        for (std::size_t skip = 0; skip < tail.size(); ++skip) {
            if (!member.starts_with(tail.substr(skip))) continue;
            at = tail.data() + skip;
            break;
        }
        if (at == nullptr) {
            last_ = piece.back();
            return {};
        }
    }
    const auto before = static_cast<std::size_t>(at - piece.data());
    const char previous = before == 0 ? last_ : piece[before - 1];
    last_ = '"';
    if (previous != '\\') {
        state_ = State::name;
        matched_ = 1;
    }
    return piece.substr(before + 1);
}

std::string_view UsageReader::match(std::string_view piece) {
    while (!piece.empty()) {
        const char c = piece.front();
        if (state_ == State::name) {
            if (c != member[matched_]) break;
            if (++matched_ == member.size()) state_ = State::after_name;
        } else if (state_ == State::after_name && c == ':') {
            state_ = State::after_colon;
        } else if (state_ == State::after_colon && c == '{') {
            state_ = State::object;
            depth_ = 0;
            object_.clear();
            return piece;
        } else if (!is_blank(c)) {
            break;
        }
        last_ = c;
        piece.remove_prefix(1);
    }
    if (!piece.empty()) state_ = State::text;  // `"usage": null`, or another word
    return piece;
}

std::string_view UsageReader::collect(std::string_view piece) {
    const auto room = piece.substr(0, longest_object - object_.size());
    std::size_t end = 0;
    bool ended = false;
    while (end < room.size() && !ended) {
        const char c = room[end++];
        if (c == '{') ++depth_;
        ended = c == '}' && --depth_ == 0;
    }
    object_.append(room.substr(0, end));
    last_ = room[end - 1];
    if (ended) {
        const auto usage = usage_in(std::exchange(object_, {}));
        // One of that name may stand anywhere, an extension's below the true one, say.
        if (!found_ || usage != Usage{}) {
            found_ = usage;
            whole_ = true;
        }
    }
    if (ended || object_.size() == longest_object) state_ = State::text;
    return piece.substr(end);
}

}  // namespace gateway
