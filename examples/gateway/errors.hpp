// What the gateway answers when it cannot relay: OpenAI's shape of an error, which their clients understand.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <fairlead/model/time.hpp>
#include <fairlead/transport/http_message.hpp>

namespace gateway {

/// One error as an OpenAI client reads it. Empty `param` and `code` become null.
struct ApiError {
    int status = 500;
    std::string message{};
    std::string type{};  ///< "invalid_request_error", "server_error", ...
    std::string param{};
    std::string code{};
};

/// The answer: `{"error": {"message", "type", "param", "code"}}` with the status.
fairlead::HttpResponse error_response(const ApiError& error);

ApiError missing_model();
ApiError unknown_model(std::string_view name);
ApiError too_many_tags();
ApiError bad_body(std::string_view problem, bool about_model);
ApiError bad_form(std::string_view problem, bool about_model);
ApiError unknown_path(std::string_view target);

/// Why a request could not be sent on: 404 for a model that is not served, 504 for whatever was too late, 502
/// for a backend that failed, 503 for a fleet that has no room or no healthy member.
ApiError could_not_relay(std::error_code error);

/// As above; a 503 says when to come back: after `retry_after`, rounded up to seconds, or after one second.
fairlead::HttpResponse could_not_relay_response(std::error_code error,
                                                std::optional<fairlead::Duration> retry_after);

}  // namespace gateway
