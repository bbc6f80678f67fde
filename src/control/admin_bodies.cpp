// Bodies of the admin API's calls.
#include "admin_bodies.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <nlohmann/json.hpp>

#include <fairlead/model/validate.hpp>

#include "admin_messages.hpp"
#include "backend_reader.hpp"
#include "field_reader.hpp"
#include "json_reader.hpp"

namespace fairlead::detail {
namespace {

constexpr const char* body_name = "body";

/// More problems than anybody reads in one answer; what is left out is counted.
constexpr std::size_t most_problems = 20;

std::optional<nlohmann::json> parse_body(std::string_view body, Problems& problems) {
    std::vector<JsonProblem> found;
    auto value = parse_json(body, problems.language(), found);
    for (const JsonProblem& problem : found) problems.add_json(body_name, problem);
    return value;
}

/// The members of a body that must be an object; null values count as not written.
class BodyReader {
  public:
    BodyReader(std::string_view body, Problems& problems) : problems_(problems), reader_(problems) {
        auto value = parse_body(body, problems);
        if (!value) return;
        if (value->is_object()) {
            object_ = std::move(*value);
        } else {
            problems.add(body_name, text::not_object, {problems.say(kind_of(*value))});
        }
    }

    template <class T, class... R>
    void read(std::string_view field, std::optional<T>& into, const R&... range) const {
        const auto it = object_.find(field);
        if (it == object_.end() || it->is_null()) return;
        const std::string where = path(field);
        const std::size_t before = problems_.list().size();
        T value{};
        reader_.read(Written{*it, where}, value, range...);
        if (problems_.list().size() == before) into = std::move(value);
    }

    void refuse_others(std::span<const std::string_view> known,
                       std::span<const std::string_view> fixed = {}) const {
        for (const auto& item : object_.items()) {
            if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
            if (std::find(fixed.begin(), fixed.end(), item.key()) != fixed.end()) {
                problems_.add(path(item.key()), text::not_changeable, {joined(known)});
            } else {
                problems_.add(path(shown(item.key())), text::unknown_field,
                              {in_quotes(nearest(item.key(), known))});
            }
        }
    }

    std::string path(std::string_view field) const {
        return std::string{body_name} + '.' + std::string{field};
    }

  private:
    nlohmann::json object_ = nlohmann::json::object();
    Problems& problems_;
    FieldReader reader_;
};

}  // namespace

void BackendChange::apply(BackendConfig& config) const {
    if (weight) config.weight = *weight;
    if (max_connections) config.max_connections = *max_connections;
    if (timeout) config.timeout = *timeout;
    if (priority) config.priority = *priority;
    if (tags) config.tags = *tags;
}

BackendConfig read_new_backend(std::string_view body, Problems& problems) {
    const auto value = parse_body(body, problems);
    return value ? read_backend(*value, body_name, problems).config : BackendConfig{};
}

BackendChange read_backend_change(std::string_view body, Problems& problems) {
    constexpr std::array<std::string_view, 5> known{"weight", "max_connections", "timeout", "priority",
                                                    "tags"};
    const BodyReader reader{body, problems};
    BackendChange change;
    reader.read("weight", change.weight, Range{.low = 1, .high = max_weight});
    reader.read("max_connections", change.max_connections, Range{.low = 1, .high = max_connections_limit});
    reader.read("timeout", change.timeout, Range{.above_low = true});
    reader.read("priority", change.priority,
                Range{.low = std::numeric_limits<int>::min(), .high = std::numeric_limits<int>::max()});
    reader.read("tags", change.tags);
    reader.refuse_others(known, backend_fields());
    return change;
}

StrategyChange read_strategy_change(std::string_view body, std::span<const std::string> strategies,
                                    Problems& problems) {
    constexpr std::array<std::string_view, 4> known{"strategy", "health_check_interval", "max_retries",
                                                    "failure_threshold"};
    const BodyReader reader{body, problems};
    StrategyChange change;
    reader.read("strategy", change.strategy);
    reader.read("health_check_interval", change.health_check_interval, Range{.above_low = true});
    reader.read("max_retries", change.max_retries, Range{});
    reader.read("failure_threshold", change.failure_threshold, Range{.low = 1});
    reader.refuse_others(known);
    if (change.strategy && strategies.size() > 1 &&
        std::find(strategies.begin(), strategies.end(), *change.strategy) == strategies.end()) {
        const std::vector<std::string_view> names{strategies.begin(), strategies.end()};
        problems.add(reader.path("strategy"), text::unknown_strategy,
                     {in_quotes(*change.strategy), joined(names)});
    }
    return change;
}

std::string in_one_line(const Problems& problems) {
    std::string line;
    const auto& list = problems.list();
    for (std::size_t i = 0; i < std::min(list.size(), most_problems); ++i) {
        if (!line.empty()) line += "; ";
        line += list[i].text();
    }
    if (list.size() > most_problems) line += "; +" + std::to_string(list.size() - most_problems);
    return line;
}

}  // namespace fairlead::detail
