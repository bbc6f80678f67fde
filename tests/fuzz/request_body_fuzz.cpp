// A request's body, JSON or a form: the model that the gateway finds in it, and what it writes in its place,
// is what a reader of the whole document says.
#include <algorithm>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "fuzz.hpp"

// The gateway is no library of its own; two small files.
#include "../../examples/gateway/form_field.hpp"
#include "../../examples/gateway/model_field.hpp"

namespace {

using fairlead::test::must;
using nlohmann::json;

/// The top level as nlohmann reads it; empty when it is no object.
std::optional<json> object_of(std::string_view body) {
    if (body.find('\0') != std::string_view::npos) return std::nullopt;  // to nlohmann the text's end
    auto value = json::parse(body, nullptr, false);
    if (!value.is_object()) return std::nullopt;
    return value;
}

void check_json(std::string_view body) {
    const auto scan = gateway::find_model(body);
    const auto value = object_of(body);
    must(scan.field.begin <= scan.field.end && scan.field.end <= body.size(), "the place is in the body");
    if (!scan.problem.empty()) {
        const bool stricter = scan.about_model || scan.problem.find("too deeply") != std::string::npos ||
                              body.starts_with("\xEF\xBB\xBF");
        return must(!value || stricter, "what is refused is no JSON object, or its model is at fault");
    }
    if (!value) {
        // What only its reader must bear: texts that are no UTF-8 and numbers beyond a double.
        const bool laxer = std::any_of(body.begin(), body.end(), [](char c) {
            return static_cast<unsigned char>(c) >= 0x80 || c == '\\' || c == 'e' || c == 'E';
        });
        return must(laxer || body.size() > 300, "what is taken is JSON");
    }
    const auto model = value->find("model");
    must((model != value->end()) == scan.field.value.has_value(), "the model is found where there is one");
    if (scan.field.value) must(*model == *scan.field.value, "the model is what a JSON reader finds");
    const auto changed = gateway::with_model(body, scan.field, "other \"model\"");
    auto wanted = *value;
    wanted["model"] = "other \"model\"";
    const auto read = object_of(changed);
    must(read && *read == wanted, "only the model is another one");
    const auto again = gateway::find_model(changed);
    must(again.problem.empty() && again.field.value == "other \"model\"", "the new model is found again");
}

void check_form(std::string_view type, std::string_view body) {
    const auto scan = gateway::find_form_model(type, body);
    if (!scan.problem.empty()) return;
    must(scan.field.begin <= scan.field.end && scan.field.end <= body.size(), "the place is in the form");
    if (scan.field.value) {
        must(body.substr(scan.field.begin, scan.field.end - scan.field.begin) == *scan.field.value,
             "the model is what stands there");
    }
    const auto changed = gateway::with_form_model(body, scan.field, "own/name");
    const auto again = gateway::find_form_model(type, changed);
    must(again.problem.empty() && again.field.value == "own/name", "the form's new model is found again");
    if (scan.field.value) {
        must(gateway::with_form_model(changed, again.field, *scan.field.value) == body,
             "every other byte of the form stays");
    }
}

/// The first line is a form's content type, what follows its body; the whole is also taken for JSON.
void fuzz_request_body(std::string_view input) {
    check_json(input);
    fairlead::test::ByteChance bytes{input};
    const auto type = bytes.until('\n');
    check_form(type, bytes.rest());
    check_form("multipart/form-data; boundary=B", input);
}

const fairlead::test::FuzzRegistration request_body_body{"request-body", fuzz_request_body};

}  // namespace
