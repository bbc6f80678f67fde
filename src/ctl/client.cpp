// Sends a call over the library's own transport and judges what comes back by the contract of the admin API.
#include "client.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>

#include <fairlead/model/validate.hpp>
#include <fairlead/transport/transport_error.hpp>

#include "control/json_reader.hpp"
#include "text.hpp"
#include "width.hpp"

namespace fairlead::ctl {
namespace {

constexpr std::string_view prefix = "/api/v1/load_balancer";

bool is_unreserved(char c) noexcept {
    return detail::is_ascii_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

}  // namespace

const nlohmann::json& Answer::data() const noexcept {
    static const nlohmann::json none;
    const auto found = document.find("data");
    return found == document.end() ? none : *found;
}

std::string as_path_segment(std::string_view name) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const bool has_meaning = name == "." || name == "..";
    std::string segment;
    for (const char c : name) {
        if (is_unreserved(c) && !has_meaning) {
            segment += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        segment += '%';
        segment += digits[byte >> 4];
        segment += digits[byte & 15];
    }
    return segment;
}

Client::Client(asio::io_context& io, const Server& server, Language language)
    : io_{io}, api_key_{server.api_key}, language_{language}, transport_{io} {
    server_.name = "server";
    server_.url = server.url;
    server_.timeout = server.patience;
    server_.connect_timeout = std::min(server_.connect_timeout, server.patience);
    server_.total_timeout = server.patience;
}

Answer Client::ask(const Call& call) {
    HttpRequest request{call.method, std::string{prefix} + call.path};
    request.headers.set("Accept", "application/json");
    request.headers.set("User-Agent", "fairlead-ctl");
    if (!api_key_.empty()) request.headers.set("X-API-Key", api_key_);
    if (call.body) {
        request.headers.set("Content-Type", "application/json");
        request.body = call.body->dump();
    }
    std::optional<Answer> answer;
    const auto answered = [this, &answer](std::error_code error, HttpResponse response) {
        answer = judge(error, std::move(response));
    };
    transport_.async_send(server_, std::move(request), Deadline::never(),
                          asio::bind_cancellation_slot(cancelled_.slot(), answered));
    io_.restart();
    while (!answer && io_.run_one() > 0) {
    }
    return answer ? *std::move(answer) : Answer{};
}

void Client::cancel() { cancelled_.emit(asio::cancellation_type::all); }

Answer Client::judge(std::error_code error, HttpResponse response) const {
    Answer answer;
    if (error) {
        answer.problem = detail::say(language_, text::unreachable, {server_.url, reason(error)});
        return answer;
    }
    answer.raw = std::move(response.body);
    std::vector<detail::JsonProblem> problems;
    auto document = detail::parse_json(answer.raw, language_, problems);
    const auto word = [&document](const char* field) -> std::string {
        if (!document || !document->is_object()) return {};
        const auto found = document->find(field);
        return found != document->end() && found->is_string() ? found->get<std::string>() : std::string{};
    };
    if (response.status == 200 && word("status") == "success") {
        answer.status = Status::done;
        answer.document = *std::move(document);
    } else if (response.status >= 400 && word("status") == "error" && document->contains("detail")) {
        answer.status = Status::refused;
        const auto& detail = (*document)["detail"];
        answer.problem = printable(detail.is_string() ? word("detail") : detail.dump());
        answer.document = *std::move(document);
    } else {
        const auto why = detail::say(language_, text::no_admin_api, {std::to_string(response.status)});
        answer.problem = server_.url + ": " + why;
    }
    return answer;
}

std::string Client::reason(std::error_code error) const {
    const auto say = [this](const detail::Text& text) { return detail::say(language_, text); };
    if (is_timeout(error)) return say(text::too_slow);
    if (error == TransportErrc::name_not_found) return say(text::no_name);
    if (error == TransportErrc::connection_refused) return say(text::refused_connection);
    if (error == TransportErrc::unreachable) return say(text::no_route);
    if (error == TransportErrc::certificate_refused) return say(text::bad_certificate);
    if (error == TransportErrc::closed_before_response || error == TransportErrc::connection_reset)
        return say(text::closed_connection);
    return printable(message(error, language_));
}

}  // namespace fairlead::ctl
