// The JSON reader: nlohmann's parser, stopped at a depth, with duplicates found and errors put into words.
#include "json_reader.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

namespace fairlead::detail {
namespace {

using Json = nlohmann::json;

/// Builds the value from the parser's events. The names of the members are nlohmann's.
class JsonBuilder {
  public:
    JsonBuilder(std::string_view text, Language language, std::vector<JsonProblem>& problems)
        : text_(text), language_(language), problems_(problems) {}

    Json take() { return std::move(root_); }

    bool null() { return value(Json(nullptr)); }
    bool boolean(bool b) { return value(Json(b)); }
    bool number_integer(Json::number_integer_t n) { return value(Json(n)); }
    bool number_unsigned(Json::number_unsigned_t n) { return value(Json(n)); }
    bool number_float(Json::number_float_t n, const Json::string_t&) { return value(Json(n)); }
    bool string(Json::string_t& s) { return value(Json(std::move(s))); }
    bool binary(Json::binary_t&) { return false; }  // no such thing in JSON text

    bool start_object(std::size_t) { return open(Json::object()); }
    bool start_array(std::size_t) { return open(Json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }

    bool key(Json::string_t& name) {
        Level& level = levels_.back();
        level.key = name;
        if (!level.keys.insert(name).second)
            problems_.push_back({path(), {}, false, say(language_, text::duplicate_key)});
        return true;
    }

    bool parse_error(std::size_t position, const std::string& last_token, const Json::exception& error) {
        const std::string_view what = error.what();
        const auto says = [&](std::string_view part) { return what.find(part) != std::string_view::npos; };
        std::size_t offset = position == 0 ? 0 : position - 1;
        std::string message;
        if (says("unexpected end of input")) {
            offset = text_.size();
            message = say(language_, trimmed(text_).empty() ? text::json_empty : text::json_end);
        } else if (error.id == 406 || says("invalid number")) {
            message = say(language_, text::json_number);
        } else if (says("ill-formed UTF-8")) {
            message = say(language_, text::json_utf8);
        } else if (says("invalid string")) {
            message = say(language_, text::json_string);
        } else {
            offset = position - std::min(position, unexpected_length(what, last_token));
            message = unexpected(offset);
        }
        problems_.push_back({{}, position_of(text_, offset), true, std::move(message)});
        return false;
    }

    /// Whether all of the text was read: to the parser a NUL is its end, whatever follows.
    bool is_whole() {
        const std::size_t nul = text_.find('\0');
        if (nul == std::string_view::npos) return true;
        problems_.push_back({{}, position_of(text_, nul), true, unexpected(nul)});
        return false;
    }

  private:
    struct Level {
        Json* container;
        std::string key{};
        std::set<std::string> keys{};
    };

    bool value(Json v) {
        place(std::move(v));
        return true;
    }

    bool open(Json empty) {
        if (levels_.size() == max_json_depth) {
            problems_.push_back(
                {{}, {}, false, say(language_, text::json_deep, {std::to_string(max_json_depth)})});
            return false;
        }
        Json* container = place(std::move(empty));
        levels_.push_back({container});
        return true;
    }

    bool close() {
        levels_.pop_back();
        return true;
    }

    /// Pointers to containers stay: while one is open nothing is added to those around it.
    Json* place(Json v) {
        if (levels_.empty()) {
            root_ = std::move(v);
            return &root_;
        }
        Json& in = *levels_.back().container;
        if (in.is_object()) return &(in[levels_.back().key] = std::move(v));
        in.push_back(std::move(v));
        return &in.back();
    }

    std::string path() const {
        std::string path;
        for (const Level& level : levels_) {
            if (level.container->is_object()) {
                path += '.' + shown(level.key);
            } else {
                path += '[' + std::to_string(level.container->size() - 1) + ']';
            }
        }
        return path;
    }

    /// How far the token in a wrong place reaches back. The parser's `last_token` is the token's text only
    /// for texts and numbers; at other tokens it holds more than that.
    static std::size_t unexpected_length(std::string_view what, const std::string& last_token) {
        const auto says = [&](std::string_view part) { return what.find(part) != std::string_view::npos; };
        if (says("unexpected string literal") || says("unexpected number literal")) return last_token.size();
        if (says("unexpected true literal") || says("unexpected null literal")) return 4;
        return says("unexpected false literal") ? 5 : 1;
    }

    std::string unexpected(std::size_t offset) const {
        if (offset >= text_.size()) return say(language_, text::json_end);
        const char c = text_[offset];
        constexpr std::string_view marks = "{}[]():;,.<>'`!?*/\\#=+-_&|";
        if (marks.find(c) == std::string_view::npos) return say(language_, text::json_unexpected_text);
        return say(language_, text::json_unexpected, {std::string{'"', c, '"'}});
    }

    std::string_view text_;
    Language language_;
    std::vector<JsonProblem>& problems_;
    Json root_{};
    std::vector<Level> levels_{};
};

}  // namespace

std::optional<Json> parse_json(std::string_view text, Language language, std::vector<JsonProblem>& problems) {
    if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
    const std::size_t before = problems.size();
    JsonBuilder builder{text, language, problems};
    const bool whole = Json::sax_parse(text.begin(), text.end(), &builder) && builder.is_whole();
    if (!whole || problems.size() != before) return std::nullopt;
    return builder.take();
}

const Text& kind_of(const Json& value) noexcept {
    switch (value.type()) {
        case Json::value_t::object:
            return text::kind_object;
        case Json::value_t::array:
            return text::kind_array;
        case Json::value_t::string:
            return text::kind_text;
        case Json::value_t::boolean:
            return text::kind_switch;
        case Json::value_t::number_integer:
        case Json::value_t::number_unsigned:
        case Json::value_t::number_float:
            return text::kind_number;
        default:
            return text::kind_null;
    }
}

}  // namespace fairlead::detail
