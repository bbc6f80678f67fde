// The way of an exchange up to the response's head: connection, request, time-outs, and its end.
#include "exchange.hpp"

#include <array>
#include <chrono>
#include <utility>

#include <asio/connect.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/ip/address.hpp>

#include "header_list.hpp"

namespace fairlead::detail {
namespace {

Time now() noexcept { return std::chrono::steady_clock::now(); }

std::error_code connect_error(std::error_code error) noexcept {
    return error == asio::error::connection_refused ? TransportErrc::connection_refused
                                                    : TransportErrc::unreachable;
}

}  // namespace

Exchange::Exchange(std::shared_ptr<TransportState> transport, const BackendConfig& backend, HttpRequest request,
                   Deadline deadline, SendCompletion send, OpenCompletion open)
    : transport_{std::move(transport)},
      connect_timeout_{backend.connect_timeout},
      timeout_{backend.timeout},
      first_byte_timeout_{backend.first_byte_timeout.value_or(backend.timeout)},
      idle_timeout_{backend.idle_timeout.value_or(backend.timeout)},
      send_{std::move(send)},
      open_{std::move(open)},
      whole_{send_},
      strand_{transport_->executor},
      timer_{transport_->executor} {
    const Time started = now();
    endpoint_ = transport_->endpoint(backend.url, started);
    if (!endpoint_) {
        refused_ = TransportErrc::bad_url;
        return;
    }
    refused_ = write_head(request, endpoint_->origin, backend.api_key, head_);
    if (refused_) return;
    method_ = std::move(request.method);
    body_ = std::move(request.body);
    overall_at_ = deadline.at;
    overall_error_ = Errc::deadline_passed;
    if (backend.total_timeout) {
        const auto total = Deadline::in(*backend.total_timeout, started);
        if (total.at < overall_at_) {
            overall_at_ = total.at;
            overall_error_ = TransportErrc::total_timeout;
        }
    }
    if (overall_at_ <= started) {
        refused_ = overall_error_;
        return;
    }
    connection_ = endpoint_->take(started);
    reused_ = connection_ != nullptr;
    if (reused_) strand_ = connection_->strand;
    timer_ = asio::steady_timer{strand_};
}

Exchange::~Exchange() = default;

void Exchange::start() {
    if (refused_) {
        phase_ = Phase::done;
        error_ = refused_;
        if (send_) return send_.post(refused_, HttpResponse{});
        return open_.post(refused_, HttpResponse{}, HttpBody{});
    }
    asio::dispatch(strand_, [self = shared_from_this()] { self->begin(); });
}

void Exchange::cancel() {
    asio::dispatch(strand_, [self = shared_from_this()] {
        if (self->phase_ != Phase::done) self->fail(Errc::cancelled);
    });
}

// --- connecting -----------------------------------------------------------------------------------------------

void Exchange::begin() {
    if (phase_ == Phase::done) return;
    if (reused_) return write();
    phase_ = Phase::connecting;
    asio::ssl::context* tls = nullptr;
    if (endpoint_->origin.tls) tls = &transport_->tls();
    connection_ = std::make_unique<Connection>(strand_, tls, transport_->options.limits);
    limit(connect_timeout_, TransportErrc::connect_timeout);
    resolve();
}

void Exchange::resolve() {
    const auto& origin = endpoint_->origin;
    std::error_code no_address;
    const auto address = asio::ip::make_address(origin.host, no_address);
    if (!no_address) {
        const asio::ip::tcp::endpoint to{address, static_cast<asio::ip::port_type>(std::stoul(origin.port))};
        return connect(Endpoints::create(to, origin.host, origin.port));
    }
    resolver_.emplace(strand_);
    resolver_->async_resolve(origin.host, origin.port, asio::ip::resolver_base::numeric_service,
                             bound([](Exchange& self, std::error_code error, const Endpoints& found) {
                                 if (error) return self.fail(TransportErrc::name_not_found);
                                 self.connect(found);
                             }));
}

void Exchange::connect(const Endpoints& endpoints) {
    asio::async_connect(connection_->socket, endpoints,
                        bound([](Exchange& self, std::error_code error, const asio::ip::tcp::endpoint&) {
                            self.on_connected(error);
                        }));
}

void Exchange::on_connected(std::error_code error) {
    if (error) return fail(connect_error(error));
    connection_->prepare();
    if (!connection_->is_tls()) return write();
    const auto& host = endpoint_->origin.host;
    std::error_code no_address;
    asio::ip::make_address(host, no_address);
    const bool verify = transport_->options.tls.verification == TlsVerification::full;
    connection_->async_handshake(host, bool{no_address}, verify, bound([](Exchange& self, std::error_code failed) {
                                     if (!failed) return self.write();
                                     self.fail(self.connection_->certificate_was_refused()
                                                   ? TransportErrc::certificate_refused
                                                   : TransportErrc::tls_failed);
                                 }));
}

// --- the request ----------------------------------------------------------------------------------------------

void Exchange::write() {
    phase_ = Phase::head;
    auto& parser = connection_->parser;
    parser.next();
    parser.answer_to(method_);
    limit(timeout_, TransportErrc::write_timeout);
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(head_), asio::buffer(body_.view())};
    connection_->async_write(buffers, bound([](Exchange& self, std::error_code error, std::size_t) {
                                 self.on_written(error);
                             }));
    // An answer may come before the request is sent (and the rest of it never be read). Not so with TLS, where a
    // read and a write at one time would share the engine's output.
    if (!connection_->is_tls()) wait_readable();
}

void Exchange::on_written(std::error_code error) {
    if (error) {
        write_failed_ = true;  // what the backend said before it closed may still be read
    } else {
        written_ = true;
        if (phase_ == Phase::head) limit(timeout_, TransportErrc::response_timeout);
    }
    wait_readable();
}

bool Exchange::may_send_again() const noexcept {
    return reused_ && !connection_->parser.began() && (!written_ || is_idempotent(method_));
}

/// The connection was used again and is dead: once more, over a new one.
void Exchange::send_again() {
    ++attempt_;
    former_ = std::move(connection_);
    former_->close();
    reused_ = written_ = write_failed_ = waiting_ = false;
    begin();
}

// --- the end --------------------------------------------------------------------------------------------------

/// The response is complete. `clean`: nothing came behind it.
void Exchange::message_done(bool clean) {
    phase_ = Phase::done;
    error_ = asio::error::eof;
    no_limit();
    timer_.cancel();
    ++armed_;
    const auto& parser = connection_->parser;
    if (!clean || !written_ || waiting_ || !parser.keep_alive()) return close();
    Duration keep = transport_->options.idle_timeout;
    if (const auto told = response_.headers.get("Keep-Alive")) {
        for_each_token(*told, [&](std::string_view token) {
            if (!token.starts_with("timeout=")) return;
            // A second less than told, so that the backend's closing and our next request do not cross.
            const auto seconds = std::chrono::seconds{std::atoi(std::string{token.substr(8)}.c_str()) - 1};
            keep = std::min<Duration>(keep, seconds);
        });
    }
    if (keep <= Duration::zero()) return close();
    endpoint_->put(std::move(connection_), now() + keep, transport_->options.max_idle_per_backend);
}

void Exchange::fail(std::error_code error) {
    phase_ = Phase::done;
    error_ = error;
    no_limit();
    timer_.cancel();
    ++armed_;
    if (resolver_) resolver_->cancel();
    close();
    // Posted: this may run inside an initiating function or a cancellation.
    if (send_) return send_.post(error, std::move(response_));
    if (open_) return open_.post(error, HttpResponse{}, HttpBody{});
    if (read_) read_.post(error, 0);
}

void Exchange::close() {
    if (connection_) connection_->close();
}

// --- time -----------------------------------------------------------------------------------------------------

void Exchange::limit(Duration wait, std::error_code why) {
    limit_at_ = Deadline::in(wait, now()).at;
    limit_error_ = why;
    // A timer that is armed for an earlier moment finds the later one when it fires: a stream moves its limit with every
    // piece and never touches the timer.
    if (due() < armed_at_) arm(due());
}

void Exchange::no_limit() noexcept { limit_at_ = Time::max(); }

void Exchange::arm(Time at) {
    armed_at_ = at;
    timer_.expires_at(at);
    timer_.async_wait([self = shared_from_this(), which = ++armed_](std::error_code) {
        if (which == self->armed_ && self->phase_ != Phase::done) self->on_timer();
    });
}

void Exchange::on_timer() {
    armed_at_ = Time::max();
    const Time at = due();
    if (at == Time::max()) return;
    if (now() < at) return arm(at);
    fail(limit_at_ < overall_at_ ? limit_error_ : overall_error_);
}

}  // namespace fairlead::detail
