// Holds an answer of the admin API against docs/openapi.yaml: just as much of OpenAPI as that file uses.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace openapi_test {

using Json = nlohmann::json;

class Document {
  public:
    Document() {
#ifdef FAIRLEAD_TEST_DATA
        const std::filesystem::path tests{FAIRLEAD_TEST_DATA};
#else
        const std::filesystem::path tests = std::filesystem::path{__FILE__}.parent_path().parent_path();
#endif
        std::ifstream file{tests.parent_path() / "docs" / "openapi.yaml"};
        root_ = Json::parse(file);
    }

    const Json& root() const { return root_; }

    /// What is wrong with the answer to `method` on `path` (below the prefix, without query): empty when it
    /// is as the document says. Answers to what the document does not have must be its errors of that status.
    std::string problem(std::string_view method, std::string_view path, int status, const Json& body) const {
        const std::string code = std::to_string(status);
        const Json* responses = nullptr;
        for (const auto& [pattern, item] : root_["paths"].items()) {
            if (!fits(pattern, path)) continue;
            std::string verb{method};
            for (char& c : verb) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
            if (item.contains(verb)) responses = &item[verb]["responses"];
        }
        if (responses == nullptr) {
            if (!root_["components"]["responses"].contains(code)) return "status " + code + " is not listed";
            return against(resolved(root_["components"]["responses"][code]), body);
        }
        if (!responses->contains(code)) return "status " + code + " is not listed";
        return against(resolved((*responses)[code]), body);
    }

  private:
    static bool fits(std::string_view pattern, std::string_view path) {
        while (!pattern.empty() && !path.empty()) {
            const auto a = pattern.substr(0, pattern.find('/', 1));
            const auto b = path.substr(0, path.find('/', 1));
            if (a != b && a != "/{name}") return false;
            pattern.remove_prefix(a.size());
            path.remove_prefix(b.size());
        }
        return pattern.empty() && path.empty();
    }

    const Json& resolved(const Json& schema) const {
        if (!schema.contains("$ref")) return schema;
        const auto ref = schema["$ref"].get<std::string>();
        return resolved(root_.at(Json::json_pointer{ref.substr(1)}));
    }

    std::string against(const Json& response, const Json& body) const {
        return check(response["content"]["application/json"]["schema"], body, "answer");
    }

    std::string check(const Json& unresolved, const Json& value, const std::string& where) const {
        const Json& schema = resolved(unresolved);
        if (value.is_null() && schema.value("nullable", false)) return {};
        const auto type = schema.at("type").get<std::string>();
        if (!is_a(type, value)) return where + ": is no " + type + ": " + value.dump();
        if (schema.contains("enum")) {
            bool known = false;
            for (const auto& choice : schema["enum"]) known = known || choice == value;
            if (!known) return where + ": not one of the enum: " + value.dump();
        }
        if (value.is_number()) {
            if (schema.contains("minimum") && value.get<double>() < schema["minimum"].get<double>())
                return where + ": below the minimum";
            if (schema.contains("maximum") && value.get<double>() > schema["maximum"].get<double>())
                return where + ": above the maximum";
        }
        if (value.is_array()) {
            for (const auto& item : value) {
                if (auto bad = check(schema["items"], item, where + "[]"); !bad.empty()) return bad;
            }
        }
        return value.is_object() ? check_object(schema, value, where) : std::string{};
    }

    std::string check_object(const Json& schema, const Json& value, const std::string& where) const {
        for (const auto& name : schema.value("required", Json::array())) {
            if (!value.contains(name.get<std::string>())) return where + ": lacks " + name.get<std::string>();
        }
        static const Json none = Json::object();
        const Json& properties = schema.contains("properties") ? schema["properties"] : none;
        for (const auto& [name, member] : value.items()) {
            std::string bad;
            if (properties.contains(name)) {
                bad = check(properties[name], member, where + '.' + name);
            } else if (schema.contains("additionalProperties") &&
                       schema["additionalProperties"].is_object()) {
                bad = check(schema["additionalProperties"], member, where + '.' + name);
            } else {
                bad = where + ": has " + name + ", which is not listed";
            }
            if (!bad.empty()) return bad;
        }
        return {};
    }

    static bool is_a(const std::string& type, const Json& value) {
        if (type == "object") return value.is_object();
        if (type == "array") return value.is_array();
        if (type == "string") return value.is_string();
        if (type == "boolean") return value.is_boolean();
        if (type == "integer") return value.is_number_integer();
        return type == "number" && value.is_number();
    }

    Json root_{};
};

inline const Document& document() {
    static const Document document;
    return document;
}

}  // namespace openapi_test
