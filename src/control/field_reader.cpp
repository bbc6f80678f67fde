// Values into fields: numbers in their range, switches, texts and lists.
#include "field_reader.hpp"

#include <array>
#include <charconv>

#include <nlohmann/json.hpp>

namespace fairlead::detail {

std::string range_text(const Range& range, Language language) {
    std::string text = range.text();
    if (language == Language::english) return text;
    const auto replace = [&text](std::string_view from, std::string_view to) {
        const std::size_t at = text.find(from);
        if (at != std::string::npos) text.replace(at, from.size(), to);
    };
    replace(" or ", " 或 ");
    replace(" and ", " 且 ");
    return text;
}

std::string FieldReader::got(const Written& written) const {
    if (written.is_text && written.value.is_string())
        return in_quotes(written.value.get_ref<const std::string&>());
    return problems_.say(kind_of(written.value));
}

std::optional<double> FieldReader::number(const Written& written, const Range& range, double most,
                                          Kind kind) const {
    const Language language = problems_.language();
    double value = 0;
    std::string as_written;
    bool is_number = written.value.is_number();
    if (is_number) {
        value = written.value.get<double>();
        as_written = number_text(value);
    } else if (written.is_text && written.value.is_string()) {
        const std::string_view text = trimmed(written.value.get_ref<const std::string&>());
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        is_number = error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
        as_written = shown(text);
    }
    if (!is_number) {
        problems_.add(written.where, kind == Kind::whole ? text::not_whole : text::not_a_number,
                      {range_text(range, language), got(written)});
        return std::nullopt;
    }
    const bool fits = value <= most;
    if (!range.contains(value) || !fits) {
        Range said = range;
        if (!fits && most < said.high) said.high = most;
        std::string accepted = range_text(said, language);
        if (kind == Kind::seconds && !fits) accepted = "<= " + number_text(max_seconds);
        problems_.add(written.where, kind == Kind::seconds ? text::seconds_out_of_range : text::out_of_range,
                      {accepted, as_written});
        return std::nullopt;
    }
    if (kind == Kind::whole && value != std::trunc(value)) {
        problems_.add(written.where, text::not_whole, {range_text(range, language), as_written});
        return std::nullopt;
    }
    return value;
}

void FieldReader::read(const Written& written, bool& field) const {
    if (written.value.is_boolean()) {
        field = written.value.get<bool>();
        return;
    }
    // Numbers and texts are taken from JSON too, because the guide's values are those of an environment.
    std::string word;
    if (written.value.is_string()) word = lower(trimmed(written.value.get_ref<const std::string&>()));
    if (written.value.is_number()) word = number_text(written.value.get<double>());
    constexpr std::array<std::string_view, 4> on{"true", "1", "yes", "on"};
    constexpr std::array<std::string_view, 4> off{"false", "0", "no", "off"};
    for (std::size_t i = 0; i < on.size(); ++i) {
        if (word == on[i]) return static_cast<void>(field = true);
        if (word == off[i]) return static_cast<void>(field = false);
    }
    const bool simple = written.value.is_string() || written.value.is_number();
    problems_.add(written.where, text::not_on_off,
                  {written.value.is_string() ? in_quotes(written.value.get_ref<const std::string&>())
                   : simple                  ? word
                                             : got(written)});
}

void FieldReader::read(const Written& written, std::string& field) const {
    if (!written.value.is_string()) return problems_.add(written.where, text::not_text, {got(written)});
    field = written.value.get<std::string>();
}

void FieldReader::read(const Written& written, LatencyTo& field) const {
    const std::string word =
        written.value.is_string() ? std::string{trimmed(written.value.get<std::string>())} : "";
    if (word == "first_byte") return static_cast<void>(field = LatencyTo::first_byte);
    if (word == "last_byte") return static_cast<void>(field = LatencyTo::last_byte);
    problems_.add(written.where, text::not_one_of,
                  {"first_byte, last_byte", written.value.is_string() ? in_quotes(word) : got(written)});
}

void FieldReader::read(const Written& written, HashKey& field) const {
    const std::string word =
        written.value.is_string() ? std::string{trimmed(written.value.get<std::string>())} : "";
    if (word == "any") return static_cast<void>(field = HashKey::any);
    if (word == "header") return static_cast<void>(field = HashKey::header);
    if (word == "user") return static_cast<void>(field = HashKey::user);
    if (word == "prefix") return static_cast<void>(field = HashKey::prefix);
    problems_.add(written.where, text::not_one_of,
                  {"any, header, user, prefix", written.value.is_string() ? in_quotes(word) : got(written)});
}

void FieldReader::read(const Written& written, RetryOn& field) const {
    RetryOn wanted{.connect_error = false, .timeout = false, .server_error = false, .rate_limited = false};
    const auto refuse = [&](const std::string& what) {
        problems_.add(written.where, text::not_list_of,
                      {"connect_error, timeout, server_error, rate_limited", what});
    };
    std::vector<std::string> words;
    if (written.value.is_array()) {
        for (const auto& item : written.value) {
            if (!item.is_string()) return refuse(problems_.say(kind_of(item)));
            words.push_back(item.get<std::string>());
        }
    } else if (written.value.is_string()) {
        const std::string& text = written.value.get_ref<const std::string&>();
        for (std::size_t at = 0; at <= text.size();) {
            const std::size_t comma = std::min(text.find(',', at), text.size());
            words.emplace_back(trimmed(std::string_view{text}.substr(at, comma - at)));
            at = comma + 1;
        }
        if (words.size() == 1 && words.front() == "none") words.clear();
    } else {
        return refuse(got(written));
    }
    for (const std::string& word : words) {
        if (word == "connect_error")
            wanted.connect_error = true;
        else if (word == "timeout")
            wanted.timeout = true;
        else if (word == "server_error")
            wanted.server_error = true;
        else if (word == "rate_limited")
            wanted.rate_limited = true;
        else
            return refuse(in_quotes(word));
    }
    field = wanted;
}

void FieldReader::read(const Written& written, std::optional<std::uint64_t>& field) const {
    if (written.value.is_number_unsigned())
        return static_cast<void>(field = written.value.get<std::uint64_t>());
    std::string as_written = got(written);
    if (written.value.is_number()) as_written = number_text(written.value.get<double>());
    if (written.is_text && written.value.is_string()) {
        const std::string_view text = trimmed(written.value.get_ref<const std::string&>());
        std::uint64_t seed = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
        if (error == std::errc{} && end == text.data() + text.size()) return static_cast<void>(field = seed);
    }
    problems_.add(written.where, text::not_whole, {"0..18446744073709551615", as_written});
}

void FieldReader::read(const Written& written, std::vector<std::string>& field) const {
    if (!written.value.is_array())
        return problems_.add(written.where, text::not_array_of_texts, {got(written)});
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < written.value.size(); ++i) {
        const auto& item = written.value[i];
        if (!item.is_string())
            return problems_.add(written.where + '[' + std::to_string(i) + ']', text::not_text,
                                 {problems_.say(kind_of(item))});
        texts.push_back(item.get<std::string>());
    }
    field = std::move(texts);
}

void FieldReader::read(const Written& written, std::map<std::string, std::string>& field) const {
    const auto object = parsed(written);
    if (!object) return;
    if (!object->is_object())
        return problems_.add(written.where, text::not_aliases, {problems_.say(kind_of(*object))});
    std::map<std::string, std::string> texts;
    for (const auto& [name, value] : object->items()) {
        if (!value.is_string())
            return problems_.add(written.where + '.' + shown(name), text::not_text,
                                 {problems_.say(kind_of(value))});
        texts.emplace(name, value.get<std::string>());
    }
    field = std::move(texts);
}

std::optional<nlohmann::json> FieldReader::parsed(const Written& written) const {
    if (!written.value.is_string()) return written.value;
    std::vector<JsonProblem> found;
    auto value = parse_json(written.value.get_ref<const std::string&>(), problems_.language(), found);
    for (const JsonProblem& problem : found) problems_.add_json(written.where, problem);
    return value;
}

}  // namespace fairlead::detail
