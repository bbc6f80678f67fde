// The transport's face: making one, probes, and what an exchange's end means.
#include <fairlead/transport/http_transport.hpp>

#include <cerrno>
#include <chrono>
#include <utility>

#include <asio/error.hpp>

#include <fairlead/model/options.hpp>

#include "http_date.hpp"
#include "transport_state.hpp"

namespace fairlead {

HttpTransport::HttpTransport(asio::any_io_executor executor, HttpTransportOptions options)
    : state_{std::make_shared<detail::TransportState>(std::move(executor), std::move(options))} {}

asio::any_io_executor HttpTransport::get_executor() const { return state_->executor; }

std::size_t HttpTransport::idle_connections() const {
    return state_->idle_connections(std::chrono::steady_clock::now());
}

Outcome HttpTransport::outcome(std::error_code error, const HttpResponse& response) {
    if (!error) {
        auto outcome = Outcome::from_status(response.status);
        if (response.status == 429 || response.status == 503) {
            using std::chrono::system_clock;
            const auto now = std::chrono::time_point_cast<std::chrono::seconds>(system_clock::now());
            outcome.retry_after = detail::retry_after(response.headers, now);
        }
        return outcome;
    }
    if (error == make_error_code(Errc::cancelled) || error == asio::error::operation_aborted) {
        return Outcome::cancelled;
    }
    // Nothing was sent: the backend never heard of it, and the next would not, either.
    for (const auto ours :
         {TransportErrc::bad_method, TransportErrc::bad_target_to_send, TransportErrc::bad_header_to_send}) {
        if (error == make_error_code(ours)) return Outcome::cancelled;
    }
    for (const std::error_code lack :
         {make_error_code(asio::error::no_descriptors), make_error_code(asio::error::no_memory),
          make_error_code(asio::error::no_buffer_space), std::error_code{ENFILE, asio::system_category()}}) {
        if (error == lack) return Outcome::cancelled;
    }
    Outcome outcome = is_timeout(error) ? Outcome::timeout : Outcome::connect_error;
    for (const auto before :
         {TransportErrc::name_not_found, TransportErrc::connection_refused, TransportErrc::unreachable,
          TransportErrc::connect_timeout, TransportErrc::tls_failed, TransportErrc::certificate_refused}) {
        if (error == make_error_code(before)) outcome.unsent = true;
    }
    // Not the backend's fault, and the next one would fare no better.
    if (error == make_error_code(TransportErrc::response_too_large)) return Outcome::client_error;
    return outcome;
}

namespace detail {

HttpRequest probe_request(const HealthOverride& health) {
    return {"GET", health.path.value_or(Options{}.health_check_path)};
}

Outcome judge_probe(const HealthOverride& health, std::error_code error, const HttpResponse& response) {
    auto outcome = HttpTransport::outcome(error, response);
    if (error) return outcome;
    const int status = response.status;
    const bool good =
        (health.expected_status ? status == *health.expected_status : status >= 200 && status < 300) &&
        (!health.body_contains || response.body.find(*health.body_contains) != std::string::npos);
    if (good) {
        outcome.kind = Outcome::success;
    } else if (outcome.kind == Outcome::success) {
        outcome.kind = Outcome::server_error;
    }
    return outcome;
}

}  // namespace detail
}  // namespace fairlead
