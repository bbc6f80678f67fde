// Backends from JSON, each field with its type and range.
#include "backend_reader.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include <nlohmann/json.hpp>

#include <fairlead/model/validate.hpp>

#include "field_reader.hpp"

namespace fairlead::detail {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 16> known_backend_fields{"name",
                                                                "url",
                                                                "model_name",
                                                                "api_key",
                                                                "weight",
                                                                "max_connections",
                                                                "timeout",
                                                                "priority",
                                                                "tags",
                                                                "connect_timeout",
                                                                "first_byte_timeout",
                                                                "idle_timeout",
                                                                "total_timeout",
                                                                "health",
                                                                "cache_blocks",
                                                                "mirror"};
constexpr std::array<std::string_view, 4> known_health_fields{"path", "interval", "expected_status",
                                                              "body_contains"};
constexpr std::size_t most_backends = 65'536;  // as Errc::too_many_backends says
constexpr Range backend_time{.above_low = true};

/// One object: reads each known field that is there and not null, and refuses the unknown ones.
class ObjectReader {
  public:
    ObjectReader(const Json& object, const std::string& where, Problems& problems)
        : object_(object), where_(where), reader_(problems) {}

    std::string path(std::string_view field) const { return where_ + '.' + std::string{field}; }

    /// Whether the field was written and read without a problem.
    template <class T, class... R>
    bool read(std::string_view field, T& into, const R&... range) const {
        const auto it = object_.find(field);
        if (it == object_.end() || it->is_null()) return false;
        const std::string where = path(field);
        const std::size_t before = reader_.problems().list().size();
        reader_.read(Written{*it, where}, into, range...);
        return reader_.problems().list().size() == before;
    }

    bool written(std::string_view field) const {
        const auto it = object_.find(field);
        return it != object_.end() && !it->is_null();
    }

    void refuse_unknown(std::span<const std::string_view> known) const {
        for (const auto& item : object_.items()) {
            if (std::find(known.begin(), known.end(), item.key()) == known.end())
                reader_.problems().add(path(shown(item.key())), text::unknown_field,
                                       {in_quotes(nearest(item.key(), known))});
        }
    }

  private:
    const Json& object_;
    const std::string& where_;
    FieldReader reader_;
};

HealthOverride read_health(const Json& value, const std::string& where, Problems& problems) {
    HealthOverride health;
    if (!value.is_object()) {
        problems.add(where, text::not_object, {problems.say(kind_of(value))});
        return health;
    }
    const ObjectReader object{value, where, problems};
    std::string words;
    if (object.read("path", words)) {
        if (!is_probe_path(words)) problems.add(object.path("path"), text::bad_path);
        health.path = words;
    }
    object.read("interval", health.interval, backend_time);
    object.read("expected_status", health.expected_status, Range{.low = 100, .high = 599});
    if (object.read("body_contains", words)) health.body_contains = words;
    object.refuse_unknown(known_health_fields);
    return health;
}

}  // namespace

std::span<const std::string_view> backend_fields() noexcept { return known_backend_fields; }

ReadBackend read_backend(const Json& value, const std::string& where, Problems& problems) {
    ReadBackend backend;
    BackendConfig& config = backend.config;
    if (!value.is_object()) {
        problems.add(where, text::not_object, {problems.say(kind_of(value))});
        return backend;
    }
    const ObjectReader object{value, where, problems};
    for (const std::string_view field : {"name", "url"}) {
        if (!object.written(field)) problems.add(object.path(field), text::missing);
    }
    if (object.read("name", config.name) && !is_backend_name(config.name))
        problems.add(object.path("name"), text::bad_name);
    if (object.read("url", config.url) && !is_backend_url(config.url))
        problems.add(object.path("url"), text::bad_url);
    object.read("model_name", config.model_name);
    if (object.read("api_key", config.api_key) && !is_header_text(config.api_key))
        problems.add(object.path("api_key"), text::control_character);
    object.read("weight", config.weight, Range{.low = 1, .high = max_weight});
    object.read("max_connections", config.max_connections, Range{.low = 1, .high = max_connections_limit});
    backend.max_connections_written = object.written("max_connections");
    object.read("timeout", config.timeout, backend_time);
    object.read("priority", config.priority,
                Range{.low = std::numeric_limits<int>::min(), .high = std::numeric_limits<int>::max()});
    object.read("tags", config.tags);
    object.read("connect_timeout", config.connect_timeout, backend_time);
    object.read("first_byte_timeout", config.first_byte_timeout, backend_time);
    object.read("idle_timeout", config.idle_timeout, backend_time);
    object.read("total_timeout", config.total_timeout, backend_time);
    if (object.written("health"))
        config.health = read_health(value["health"], object.path("health"), problems);
    object.read("cache_blocks", config.cache_blocks, Range{.low = 0, .high = 1e9});
    object.read("mirror", config.mirror);
    object.refuse_unknown(known_backend_fields);
    return backend;
}

std::vector<ReadBackend> read_backends(const Json& array, const std::string& where, Problems& problems) {
    const std::size_t before = problems.list().size();
    std::vector<ReadBackend> backends;
    if (!array.is_array()) {
        problems.add(where, text::not_array_of_backends, {problems.say(kind_of(array))});
    } else if (array.empty()) {
        problems.add(where, text::no_entries);
    } else if (array.size() > most_backends) {
        problems.add(where, text::too_many, {std::to_string(array.size())});
    } else {
        std::map<std::string, std::string> holder_of;  // name -> the entry that has it
        for (const Json& entry : array) {
            const std::string path = where + '[' + std::to_string(backends.size()) + ']';
            backends.push_back(read_backend(entry, path, problems));
            const std::string& name = backends.back().config.name;
            if (name.empty()) continue;
            const auto [holder, is_new] = holder_of.emplace(name, path);
            if (!is_new)
                problems.add(path + ".name", text::duplicate_name, {in_quotes(name), holder->second});
        }
    }
    if (problems.list().size() != before) backends.clear();
    return backends;
}

}  // namespace fairlead::detail
