// The gateway's errors, each a sentence for whoever must act.
#include "gateway/errors.hpp"

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

#include <fairlead/model/error.hpp>
#include <fairlead/transport/http_transport.hpp>

#include "gateway/headers.hpp"

namespace gateway {
namespace {

nlohmann::json text_or_null(const std::string& text) {
    return text.empty() ? nlohmann::json{} : nlohmann::json(text);
}

ApiError at_fault(int status, std::string message, std::string param = {}, std::string code = {}) {
    return {status, std::move(message), "invalid_request_error", std::move(param), std::move(code)};
}

bool is_late(std::error_code error) {
    return fairlead::HttpTransport::outcome(error, {}).kind == fairlead::Outcome::timeout;
}

ApiError no_choice(std::error_code error) {
    switch (static_cast<fairlead::Errc>(error.value())) {
        case fairlead::Errc::unknown_model:
            return at_fault(404, error.message(), "model", "model_not_found");
        case fairlead::Errc::deadline_passed:
            return {504, error.message(), "server_error", {}, "timeout"};
        case fairlead::Errc::no_response:
        case fairlead::Errc::retry_budget_exhausted:
            return {502, error.message(), "server_error", {}, "bad_gateway"};
        default:
            return {503, error.message(), "server_error", {}, "service_unavailable"};
    }
}

}  // namespace

fairlead::HttpResponse error_response(const ApiError& error) {
    const nlohmann::json body{{"error",
                               {{"message", error.message},
                                {"type", error.type},
                                {"param", text_or_null(error.param)},
                                {"code", text_or_null(error.code)}}}};
    fairlead::HttpResponse response;
    response.status = error.status;
    response.headers.set("Content-Type", "application/json");
    // Names and paths come from the client and may be any bytes.
    response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return response;
}

ApiError missing_model() {
    return at_fault(400, "several models are served here: the request must name one in \"model\"", "model",
                    "missing_required_parameter");
}

ApiError unknown_model(std::string_view name) {
    return at_fault(404, "The model `" + std::string{name} + "` does not exist or no backend serves it",
                    "model", "model_not_found");
}

ApiError too_many_tags() {
    return at_fault(400, std::string{tags_header} + " names more than " + std::to_string(most_tags) + " tags",
                    {}, "invalid_value");
}

ApiError bad_body(std::string_view problem, bool about_model) {
    if (about_model) return at_fault(400, std::string{problem}, "model", "invalid_value");
    return at_fault(400, "the request's body is no valid JSON: " + std::string{problem});
}

ApiError bad_form(std::string_view problem, bool about_model) {
    if (about_model) return at_fault(400, std::string{problem}, "model", "invalid_value");
    return at_fault(400, "the request's body is no valid form: " + std::string{problem});
}

ApiError unknown_path(std::string_view target) {
    return at_fault(
        404,
        "there is nothing at " + std::string{target.substr(0, target.find('?'))} + "; the API is under /v1/",
        {}, "unknown_url");
}

ApiError could_not_relay(std::error_code error) {
    if (error.category() == fairlead::error_category()) return no_choice(error);
    if (is_late(error))
        return {504, "the backend did not answer in time: " + error.message(), "server_error", {}, "timeout"};
    return {502,
            "the backend could not be reached or broke off: " + error.message(),
            "server_error",
            {},
            "bad_gateway"};
}

fairlead::HttpResponse could_not_relay_response(std::error_code error,
                                                std::optional<fairlead::Duration> retry_after) {
    const auto api_error = could_not_relay(error);
    auto response = error_response(api_error);
    if (api_error.status == 503) {
        const auto wait =
            std::chrono::ceil<std::chrono::seconds>(retry_after.value_or(fairlead::Duration{0}));
        response.headers.set("Retry-After", std::to_string(std::max<std::int64_t>(wait.count(), 1)));
    }
    return response;
}

}  // namespace gateway
