// A strict reader of multipart forms that keeps nothing but the place of one field.
#include "gateway/form_field.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fairlead/transport/http_message.hpp>

namespace gateway {
namespace {

using fairlead::equal_ignoring_case;

// A part's head is a few hundred bytes: names, a file's name, a type.
constexpr std::size_t max_head = std::size_t{8} * 1024;

bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

struct Parameter {
    std::string_view name;
    std::string value;
    bool escaped = false;  // with a backslash: readers do not agree what that means
};

void skip_blanks(std::string_view& text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

/// What stands in the quotes at the front of `text`; empty when they are not closed.
std::optional<Parameter> take_quoted(std::string_view& text) {
    Parameter parameter{};
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            return parameter;
        }
        if (text[i] == '\\') {
            parameter.escaped = true;
            // Browsers of old did not escape the backslashes of a path.
            if (i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
        }
        parameter.value += text[i];
    }
    return std::nullopt;
}

/// `; name=value; name="value"`; empty when it is none.
std::optional<std::vector<Parameter>> parameters(std::string_view text) {
    std::vector<Parameter> result;
    for (;;) {
        skip_blanks(text);
        if (text.empty()) return result;
        if (text.front() != ';') return std::nullopt;
        text.remove_prefix(1);
        skip_blanks(text);
        if (text.empty() || text.front() == ';') continue;
        const auto size = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_token_char) -
                                                   text.begin());
        const auto name = text.substr(0, size);
        text.remove_prefix(size);
        if (name.empty() || !text.starts_with('=')) return std::nullopt;
        text.remove_prefix(1);
        Parameter parameter{};
        if (text.starts_with('"')) {
            auto quoted = take_quoted(text);
            if (!quoted) return std::nullopt;
            parameter = std::move(*quoted);
        } else {
            // More than a token, since boundaries such as ----=_Part_1 come without quotes, too.
            parameter.value = text.substr(0, text.find_first_of("; \t\""));
            text.remove_prefix(parameter.value.size());
            if (parameter.value.empty()) return std::nullopt;
        }
        parameter.name = name;
        result.push_back(std::move(parameter));
    }
}

/// The one parameter of this name; empty when it is absent, given twice or spelt with backslashes.
std::optional<std::string> only(const std::vector<Parameter>& all, std::string_view name) {
    std::optional<std::string> value;
    for (const auto& each : all) {
        if (!equal_ignoring_case(each.name, name)) continue;
        if (value || each.escaped) return std::nullopt;
        value = each.value;
    }
    return value;
}

/// RFC 2046, 5.1.1.
bool is_boundary(std::string_view text) {
    return !text.empty() && text.size() <= 70 && text.back() != ' ' &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view{"'()+_,-./:=? "}.find(c) != std::string_view::npos;
           });
}

class FormReader {
  public:
    FormReader(std::string_view body, const std::string& boundary)
        : body_{body}, delimiter_{"\r\n--" + boundary} {}

    ModelScan read() {
        const auto first = std::string_view{delimiter_}.substr(2);
        if (!body_.starts_with(first)) {
            fail("the form must begin with its boundary");
            return std::move(result_);
        }
        position_ = first.size();
        result_.field.comma = !rest().starts_with("--");
        while (!at_end() && part()) {
        }
        return std::move(result_);
    }

  private:
    bool fail(std::string_view what) {
        if (result_.problem.empty()) {
            result_.problem = std::string{what} + " (at byte " + std::to_string(position_) + ")";
        }
        return false;
    }

    std::string_view rest() const { return body_.substr(position_); }

    /// Behind a boundary: whether it was the last one.
    bool at_end() {
        if (!rest().starts_with("--")) return false;
        position_ += 2;
        if (!rest().empty() && rest() != "\r\n") fail("there is text after the form's last boundary");
        return true;
    }

    bool part() {
        if (!rest().starts_with("\r\n")) return fail("a line begins like the form's boundary and is none");
        // From the boundary's line end on: a part may have no head at all.
        const auto size = rest().substr(0, max_head).find("\r\n\r\n");
        if (size == std::string_view::npos) return fail("a part's head does not end within 8 KiB");
        const auto head = size > 0 ? rest().substr(2, size) : std::string_view{};
        if (!read_head(head)) return false;
        const auto begin = position_ + size + 4;
        const auto end = body_.find(delimiter_, begin);
        if (end == std::string_view::npos) return fail("the form ends without its last boundary");
        if (name_ == "model" && !take_model(begin, end)) return false;
        position_ = end + delimiter_.size();
        return true;
    }

    /// Lines, each with its CRLF.
    bool read_head(std::string_view head) {
        name_.reset();
        bool disposed = false;
        is_file_ = is_encoded_ = false;
        while (!head.empty()) {
            const auto line = head.substr(0, head.find("\r\n"));
            head.remove_prefix(line.size() + 2);
            const auto colon = line.find(':');
            const auto name = line.substr(0, colon);
            if (colon == std::string_view::npos || name.empty() ||
                !std::all_of(name.begin(), name.end(), is_token_char) ||
                std::any_of(line.begin(), line.end(), [](char c) { return is_control(c) && c != '\t'; })) {
                return fail("a part's head has a line that is no header field");
            }
            if (equal_ignoring_case(name, "Content-Transfer-Encoding")) is_encoded_ = true;
            if (!equal_ignoring_case(name, "Content-Disposition")) continue;
            if (std::exchange(disposed, true)) return fail("a part has two Content-Disposition fields");
            if (!read_disposition(line.substr(colon + 1))) return false;
        }
        return disposed || fail("a part has no Content-Disposition");
    }

    bool read_disposition(std::string_view value) {
        constexpr std::string_view kind = "form-data";
        skip_blanks(value);
        if (!equal_ignoring_case(value.substr(0, kind.size()), kind)) {
            return fail("a part's Content-Disposition must be form-data");
        }
        const auto all = parameters(value.substr(kind.size()));
        if (!all) return fail("a part's Content-Disposition is malformed");
        name_ = only(*all, "name");
        for (const auto& each : *all) {
            // RFC 7578, 4.2, forbids the extended spelling, and readers do not agree which one counts.
            if (equal_ignoring_case(each.name, "name*")) name_.reset();
            if (equal_ignoring_case(each.name, "filename") || equal_ignoring_case(each.name, "filename*")) {
                is_file_ = true;
            }
        }
        return name_.has_value() || fail("a part must have one plain name");
    }

    bool take_model(std::size_t begin, std::size_t end) {
        result_.about_model = true;
        const auto value = body_.substr(begin, end - begin);
        if (result_.field.value) return fail("there are two fields \"model\"");
        if (is_file_ || is_encoded_) return fail("the field \"model\" must be plain text, not a file");
        if (value.empty() || std::any_of(value.begin(), value.end(), is_control)) {
            return fail("the field \"model\" must name a model, without control characters");
        }
        result_.field = {std::string{value}, begin, end, false};
        result_.about_model = false;
        return true;
    }

    std::string_view body_;
    std::string delimiter_;
    std::size_t position_ = 0;
    ModelScan result_{};
    // Of the part that is being read.
    std::optional<std::string> name_{};
    bool is_file_ = false;
    bool is_encoded_ = false;
};

}  // namespace

ModelScan find_form_model(std::string_view content_type, std::string_view body) {
    const auto all = parameters(content_type.substr(std::min(content_type.find(';'), content_type.size())));
    const auto boundary = all ? only(*all, "boundary") : std::nullopt;
    if (boundary && is_boundary(*boundary)) return FormReader{body, *boundary}.read();
    ModelScan result;
    result.problem = "Content-Type must name the form's boundary, once, in 1 to 70 characters";
    return result;
}

std::string with_form_model(std::string_view body, const ModelField& field, std::string_view name) {
    std::string result;
    result.reserve(body.size() + name.size() + 256);
    result.append(body.substr(0, field.begin));
    if (field.value) {
        result.append(name);
    } else {
        // The first line is the boundary; of a form without parts it is the last one, too, and says so.
        const auto line = body.substr(0, body.find("\r\n"));
        result.append(line.substr(0, line.size() - (field.comma ? 0 : 2)));
        result.append("\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n")
            .append(name)
            .append("\r\n");
    }
    return result.append(body.substr(field.end));
}

}  // namespace gateway
