// Reads option values strictly and puts them into a body.
#include "fields.hpp"

#include <charconv>
#include <chrono>
#include <cmath>
#include <system_error>

#include <fairlead/model/validate.hpp>

#include "text.hpp"
#include "width.hpp"

namespace fairlead::ctl {
namespace {

template <class Number>
std::optional<Number> whole_text_as(std::string_view text) noexcept {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc{} || result.ptr != end) return std::nullopt;
    return value;
}

}  // namespace

std::int64_t whole_number(std::string_view option, std::string_view text, Language language) {
    const auto value = whole_text_as<std::int64_t>(text);
    if (!value) throw UsageError{detail::say(language, text::not_whole, {option, printable(text)})};
    return *value;
}

double number(std::string_view option, std::string_view text, Language language) {
    const auto value = whole_text_as<double>(text);
    if (!value || !std::isfinite(*value))
        throw UsageError{detail::say(language, text::not_number, {option, printable(text)})};
    return *value;
}

Duration seconds_of(std::string_view option, std::string_view text, double least, Language language) {
    const double value = number(option, text, language);
    if (!(value >= least && value <= max_seconds)) {
        const auto range = detail::number_text(least) + ".." + detail::number_text(max_seconds);
        throw UsageError{detail::say(language, text::out_of_range, {option, range, printable(text)})};
    }
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{value});
}

void require_utf8(std::string_view option, std::string_view text, Language language) {
    for (std::size_t at = 0; at < text.size();) {
        if (!detail::next_code_point(text, at))
            throw UsageError{detail::say(language, text::not_utf8, {option})};
    }
}

CLI::Option* Fields::add(Kind kind, const char* option, const char* field, const detail::Text& help) {
    Field& added = fields_.emplace_back(Field{kind, option, field, nullptr, {}});
    CLI::Option* const made = command_.add_option(option, added.value, std::string{help.in(language_)});
    if (kind != Kind::text) made->type_name("N");
    added.given = made;
    return made;
}

void Fields::add_list(const char* option, const char* field, const detail::Text& help) {
    list_.option = option;
    list_.field = field;
    command_.add_option(option, list_.values, std::string{help.in(language_)})->allow_extra_args(false);
}

nlohmann::json Fields::body() const {
    nlohmann::json body = nlohmann::json::object();
    for (const Field& field : fields_) {
        if (field.given->count() == 0) continue;
        switch (field.kind) {
            case Kind::text:
                require_utf8(field.option, field.value, language_);
                if (!field.value.empty()) body[field.field] = field.value;
                break;
            case Kind::whole:
                body[field.field] = whole_number(field.option, field.value, language_);
                break;
            case Kind::number:
                body[field.field] = number(field.option, field.value, language_);
                break;
        }
    }
    for (const std::string& value : list_.values) {
        require_utf8(list_.option, value, language_);
        body[list_.field].push_back(value);
    }
    return body;
}

}  // namespace fairlead::ctl
