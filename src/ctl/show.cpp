// Cells of JSON values, and which of them each table has.
#include "show.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <fairlead/model/validate.hpp>

#include "table.hpp"
#include "text.hpp"

namespace fairlead::ctl {
namespace {

using nlohmann::json;

constexpr std::string_view nothing = "-";

std::string fixed(double value, int digits, std::string_view unit) {
    char text[400];  // the largest double has 309 digits before the point
    const auto result = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits);
    return std::string{text, result.ptr}.append(unit);
}

std::string cell(const json& value) {
    if (value.is_string()) return value.get_ref<const std::string&>();
    if (value.is_null()) return std::string{nothing};
    if (value.is_number_float()) return detail::number_text(value.get<double>());
    if (!value.is_array()) return value.dump();
    std::string list;
    for (const json& entry : value) list += (list.empty() ? "" : ", ") + cell(entry);
    return list.empty() ? std::string{nothing} : list;
}

std::string seconds(const json& value) {
    return value.is_number() ? fixed(value.get<double>(), 3, " s") : cell(value);
}

std::string share(const json& value) {
    return value.is_number() ? fixed(value.get<double>() * 100, 1, " %") : cell(value);
}

/// Unix seconds as UTC, because the server may stand in another zone than its operator. 0 is "never".
std::string moment(const json& value) {
    constexpr double last = 253402300799;  // the end of the year 9999
    if (!value.is_number()) return cell(value);
    const double unix_seconds = value.get<double>();
    if (!(unix_seconds > 0 && unix_seconds <= last)) return std::string{nothing};
    const auto time = static_cast<std::time_t>(unix_seconds);
    std::tm utc{};
    if (::gmtime_r(&time, &utc) == nullptr) return std::string{nothing};
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &utc)};
}

/// One of the three words, and the detailed state where it says more.
std::string state(const json& metrics) {
    const json& word = field_of(metrics, {"status"});
    const json& detailed = field_of(metrics, {"state"});
    if (!detailed.is_string() || detailed == word) return cell(word);
    return cell(word) + " (" + cell(detailed) + ")";
}

/// Requests in flight, of how many.
std::string in_flight(const json& metrics, const json& config) {
    std::string text = cell(field_of(metrics, {"active_connections"}));
    const json& limit = field_of(config, {"max_connections"});
    return limit.is_null() ? text : text.append("/").append(cell(limit));
}

/// Whether some engine tells its load: only then do tables show it.
bool engines_tell(const json& data) {
    const json& backends = field_of(data, {"backends"});
    return std::any_of(backends.begin(), backends.end(), [](const json& backend) {
        const json& engine = field_of(backend, {"metrics", "engine"});
        return std::any_of(engine.begin(), engine.end(), [](const json& told) { return !told.is_null(); });
    });
}

/// What the engine tells of its load, and how old the oldest of it is. What is unknown is left out.
std::string engine_load(const json& metrics, Language language) {
    const json& engine = field_of(metrics, {"engine"});
    std::string line;
    double age = 0;
    const auto add = [&](const char* name, const detail::Text& text, auto shown) {
        const json& value = field_of(engine, {name, "value"});
        if (!value.is_number()) return;
        line.append(line.empty() ? "" : ", ").append(detail::say(language, text, {shown(value)}));
        const json& its = field_of(engine, {name, "age"});
        if (its.is_number()) age = std::max(age, its.get<double>());
    };
    add("running", text::engine_running, cell);
    add("waiting", text::engine_waiting, cell);
    add("waiting_tokens", text::engine_waiting_tokens, cell);
    add("cache_use", text::engine_cache, share);
    if (line.empty()) return std::string{nothing};
    return line.append(", ").append(detail::say(language, text::engine_age, {fixed(age, 1, " s")}));
}

class Sheet {
  public:
    explicit Sheet(Language language) : language_{language} {}

    std::string in(const detail::Text& text) const { return std::string{text.in(language_)}; }
    std::string yes_or_no(const json& value) const {
        return value.is_boolean() ? in(value.get<bool>() ? text::yes : text::no) : cell(value);
    }
    void row(const detail::Text& label, std::string value) { table_.add({in(label), std::move(value)}); }
    Lines lines() const { return table_.lines(); }

  private:
    Language language_;
    Table table_{{{}, {}}};
};

Column title(const detail::Text& text, Language language, Align align = Align::left) {
    return {std::string{text.in(language)}, align};
}

Lines show_message(const json& answer, Language language) {
    const json& message = field_of(answer, {"message"});
    Table table{{{}}};
    table.add({message.is_string() ? cell(message) : std::string{text::done.in(language)}});
    return table.lines();
}

Lines show_status(const json& data, Language language) {
    const json& overall = field_of(data, {"overall_statistics"});
    Sheet sheet{language};
    sheet.row(text::row_enabled, sheet.yes_or_no(field_of(data, {"enabled"})));
    sheet.row(text::row_mode, cell(field_of(data, {"mode"})));
    sheet.row(text::row_strategy, cell(field_of(data, {"strategy"})));
    sheet.row(text::row_total, cell(field_of(data, {"total_backends"})));
    sheet.row(text::row_healthy, cell(field_of(data, {"healthy_backends"})));
    sheet.row(text::row_unhealthy, cell(field_of(data, {"unhealthy_backends"})));
    sheet.row(text::row_available, cell(field_of(data, {"available_backends"})));
    sheet.row(text::row_checking, sheet.yes_or_no(field_of(data, {"health_check_running"})));
    sheet.row(text::row_requests, cell(field_of(overall, {"total_requests"})));
    sheet.row(text::row_success, share(field_of(overall, {"success_rate"})));
    sheet.row(text::row_average, seconds(field_of(overall, {"average_response_time"})));
    return sheet.lines();
}

Lines show_health(const json& data, Language language) {
    Sheet sheet{language};
    sheet.row(text::row_backend, cell(field_of(data, {"backend"})));
    sheet.row(text::row_health, cell(field_of(data, {"health_status"})));
    sheet.row(text::row_checked, moment(field_of(data, {"last_check_time"})));
    sheet.row(text::row_failures, cell(field_of(data, {"consecutive_failures"})));
    sheet.row(text::row_error, cell(field_of(data, {"last_error"})));
    return sheet.lines();
}

Lines show_strategy(const json& data, Language language) {
    const json& interval = field_of(data, {"health_check_interval"});
    Sheet sheet{language};
    sheet.row(text::row_strategy, cell(field_of(data, {"strategy"})));
    sheet.row(text::row_interval, interval.is_number() ? cell(interval) + " s" : cell(interval));
    sheet.row(text::row_retries, cell(field_of(data, {"max_retries"})));
    sheet.row(text::row_threshold, cell(field_of(data, {"failure_threshold"})));
    sheet.row(text::row_strategies, cell(field_of(data, {"available_strategies"})));
    return sheet.lines();
}

/// Above a table: the strategy, and how many are healthy.
std::string summary(const json& data, Language language) {
    Table line{{{}}};
    line.add({detail::say(language, text::summary,
                          {cell(field_of(data, {"strategy"})), cell(field_of(data, {"healthy_backends"})),
                           cell(field_of(data, {"total_backends"}))})});
    return line.lines().front();
}

/// The summary, and a row for each of `data.backends`, in the order of their names; behind it the tokens in
/// flight and what engines tell of their load, where some do.
template <class Row>
Lines backends_table(const json& data, Language language, std::vector<Column> columns, Row row) {
    const bool with_load = engines_tell(data);
    if (with_load) {
        columns.push_back(title(text::tokens, language, Align::right));
        columns.push_back(title(text::engine, language));
    }
    Table table{std::move(columns)};
    const json& backends = field_of(data, {"backends"});
    if (backends.is_object()) {
        for (const auto& [name, backend] : backends.items()) {
            auto cells = row(name, backend);
            if (with_load) {
                const json& metrics = field_of(backend, {"metrics"});
                cells.push_back(cell(field_of(metrics, {"tokens_in_flight"})));
                cells.push_back(engine_load(metrics, language));
            }
            table.add(std::move(cells));
        }
    }
    Lines lines{summary(data, language)};
    for (std::string& line : table.lines()) lines.push_back(std::move(line));
    return lines;
}

Lines show_backends(const json& data, Language language) {
    const auto row = [](const std::string& name, const json& backend) {
        const json& config = field_of(backend, {"config"});
        const json& metrics = field_of(backend, {"metrics"});
        return std::vector<std::string>{name,
                                        state(metrics),
                                        cell(field_of(config, {"weight"})),
                                        in_flight(metrics, config),
                                        cell(field_of(config, {"priority"})),
                                        cell(field_of(config, {"model_name"})),
                                        cell(field_of(config, {"url"})),
                                        cell(field_of(config, {"tags"}))};
    };
    return backends_table(
        data, language,
        {title(text::name, language), title(text::status, language),
         title(text::weight, language, Align::right), title(text::in_flight, language, Align::right),
         title(text::priority, language, Align::right), title(text::model, language),
         title(text::url, language), title(text::tags, language)},
        row);
}

Lines show_metrics(const json& data, Language language) {
    const auto row = [](const std::string& name, const json& metrics) {
        return std::vector<std::string>{name,
                                        state(metrics),
                                        cell(field_of(metrics, {"total_requests"})),
                                        cell(field_of(metrics, {"failed_requests"})),
                                        cell(field_of(metrics, {"active_connections"})),
                                        share(field_of(metrics, {"success_rate"})),
                                        seconds(field_of(metrics, {"average_response_time"})),
                                        cell(field_of(metrics, {"consecutive_failures"})),
                                        cell(field_of(metrics, {"last_error"}))};
    };
    return backends_table(
        data, language,
        {title(text::name, language), title(text::status, language),
         title(text::requests, language, Align::right), title(text::failed, language, Align::right),
         title(text::in_flight, language, Align::right), title(text::success, language, Align::right),
         title(text::average, language, Align::right), title(text::in_a_row, language, Align::right),
         title(text::last_error, language)},
        row);
}

}  // namespace

const json& field_of(const json& object, std::initializer_list<const char*> path) noexcept {
    static const json none;
    const json* at = &object;
    for (const char* const name : path) {
        const auto found = at->find(name);
        if (found == at->end()) return none;
        at = &*found;
    }
    return *at;
}

Lines show(Form form, const json& answer, Language language) {
    const json& data = field_of(answer, {"data"});
    switch (form) {
        case Form::message:
            break;
        case Form::status:
            return show_status(data, language);
        case Form::backends:
            return show_backends(data, language);
        case Form::metrics:
            return show_metrics(data, language);
        case Form::health:
            return show_health(data, language);
        case Form::strategy:
            return show_strategy(data, language);
    }
    return show_message(answer, language);
}

Lines show_live(const json& data, const Rates& rates, Language language) {
    const auto row = [&rates](const std::string& name, const json& backend) {
        const json& config = field_of(backend, {"config"});
        const json& metrics = field_of(backend, {"metrics"});
        const auto rate = rates.find(name);
        return std::vector<std::string>{
            name,
            state(metrics),
            cell(field_of(config, {"weight"})),
            in_flight(metrics, config),
            cell(field_of(metrics, {"total_requests"})),
            rate == rates.end() ? std::string{nothing} : fixed(rate->second, 1, ""),
            share(field_of(metrics, {"success_rate"})),
            seconds(field_of(metrics, {"average_response_time"})),
            cell(field_of(metrics, {"last_error"}))};
    };
    return backends_table(
        data, language,
        {title(text::name, language), title(text::status, language),
         title(text::weight, language, Align::right), title(text::in_flight, language, Align::right),
         title(text::requests, language, Align::right), title(text::rate, language, Align::right),
         title(text::success, language, Align::right), title(text::average, language, Align::right),
         title(text::last_error, language)},
        row);
}

}  // namespace fairlead::ctl
