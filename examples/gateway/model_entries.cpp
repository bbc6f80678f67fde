// Engines' lists read with a bound on their depth, and written again.
#include "gateway/model_entries.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace gateway {
namespace {

using Json = nlohmann::json;

// The list, its entries, an entry's permissions with their fields: four. What copies and writes a value calls
// itself for each level: an answer of open brackets must not use up the stack.
constexpr int deepest = 32;

Json bare_entry(const std::string& name) {
    return {{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "fairlead"}};
}

std::string written(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool is_encoding_of(std::string_view text, std::string_view name) {
    for (const char wanted : name) {
        if (text.empty()) return false;
        char here = text.front();
        text.remove_prefix(1);
        if (here == '%' && text.size() >= 2) {
            unsigned value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + 2, value, 16);
            if (error != std::errc{} || end != text.data() + 2) return false;
            here = static_cast<char>(value);
            text.remove_prefix(2);
        }
        if (here != wanted) return false;
    }
    return text.empty();
}

}  // namespace

ModelEntries::ModelEntries(const std::vector<std::string>& names)
    : is_sole_{names.size() <= 1}, takes_any_{std::find(names.begin(), names.end(), "") != names.end()} {
    for (const auto& name : names) {
        if (!name.empty()) entries_.emplace(name, bare_entry(name));
    }
}

void ModelEntries::note(std::string_view name, std::string_view body) {
    const auto list = Json::parse(
        body, [](int depth, Json::parse_event_t, Json&) { return depth <= deepest; }, false);
    if (!list.is_object() || !list.contains("data") || !list["data"].is_array()) return;
    for (const auto& entry : list["data"]) {
        if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_string()) continue;
        const auto id = entry["id"].get<std::string>();
        if (is_sole_ || id == name) entries_.insert_or_assign(id, entry);
    }
}

void ModelEntries::add_alias(const std::string& alias, const std::string& model) {
    const auto entry = entries_.find(model);
    if (entry == entries_.end() && !takes_any_) return;
    auto copy = entry != entries_.end() ? entry->second : bare_entry(alias);
    copy["id"] = alias;
    aliases_.insert_or_assign(alias, std::move(copy));
}

std::string ModelEntries::list() const {
    // A name that is an alias, too, is one to requests.
    auto all = aliases_;
    all.insert(entries_.begin(), entries_.end());
    Json data = Json::array();
    for (auto& [name, entry] : all) data.push_back(std::move(entry));
    return written({{"object", "list"}, {"data", std::move(data)}});
}

std::optional<std::string> ModelEntries::find(std::string_view encoded) const {
    for (const auto* entries : {&aliases_, &entries_}) {
        const auto entry = std::find_if(entries->begin(), entries->end(), [encoded](const auto& each) {
            return is_encoding_of(encoded, each.first);
        });
        if (entry != entries->end()) return written(entry->second);
    }
    return std::nullopt;
}

}  // namespace gateway
