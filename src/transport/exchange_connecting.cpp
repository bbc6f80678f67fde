// The way of an exchange to a connection of its own: name, addresses, TLS.
#include <algorithm>
#include <memory>
#include <string>
#include <system_error>

#include <asio/error.hpp>
#include <asio/ip/address.hpp>

#include <fairlead/transport/detail/dispatch.hpp>

#include "exchange.hpp"

namespace fairlead::detail {
namespace {

/// What is wrong with us (no descriptors, no memory) keeps the system's own words.
std::error_code connect_error(std::error_code error) noexcept {
    if (error == asio::error::connection_refused) return TransportErrc::connection_refused;
    if (error == asio::error::connection_reset) return TransportErrc::connection_reset;
    const bool unreachable = error == asio::error::host_unreachable ||
                             error == asio::error::network_unreachable || error == asio::error::timed_out;
    return unreachable ? make_error_code(TransportErrc::unreachable) : error;
}

}  // namespace

void Exchange::begin() {
    if (reused_) return write();
    phase_ = Phase::connecting;
    asio::ssl::context* tls = nullptr;
    if (endpoint_->origin.tls) tls = &transport_->tls();
    connection_ = std::make_unique<Connection>(strand_, tls, transport_->options.limits);
    connecting_ = std::make_unique<Connecting>();
    limit(connect_timeout_, TransportErrc::connect_timeout);
    connecting_->until = limit_at_;
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
    const auto known = endpoint_->addresses->find(
        transport_->executor, now(),
        [self = shared_from_this()](std::error_code failed, const Endpoints& found) {
            dispatch_on(self->strand_, [self, failed, found] {
                if (self->phase_ != Phase::connecting) return;
                if (failed || found.empty()) return self->fail(TransportErrc::name_not_found);
                self->connect(found);
            });
        });
    if (!known.empty()) connect(known);
}

void Exchange::connect(const Endpoints& found) {
    connecting_->next = found.begin();
    connecting_->untried = found.size();
    connect_next();
}

/// One address after the other. Asio's own way over all of them ends where there is no socket for one, as
/// without IPv6, and says that it was cancelled.
void Exchange::connect_next() {
    auto& socket = connection_->socket.socket();
    auto& todo = *connecting_;
    while (todo.untried > 0) {
        const asio::ip::tcp::endpoint address = *todo.next++;
        const auto share = static_cast<Duration::rep>(todo.untried--);
        std::error_code error;
        socket.close(error);
        socket.open(address.protocol(), error);
        if (error) {
            if (!todo.no_answer) todo.no_answer = error;
            continue;
        }
        ++attempt_;  // what the last address still says counts no more
        // One that does not answer leaves time for the others.
        const Time at = now();
        const Time shared = at + (std::min(todo.until, overall_at_) - at) / share;
        limit_until(share > 1 ? shared : todo.until, TransportErrc::connect_timeout);
        return socket.async_connect(address, bound([](Exchange& self, std::error_code failed) {
                                        if (!failed) return self.on_connected();
                                        auto& refused = self.connecting_->refused;
                                        if (!refused) refused = failed;
                                        self.connect_next();
                                    }));
    }
    if (todo.refused) return not_connected(connect_error(todo.refused));
    if (todo.no_answer == TransportErrc::connect_timeout) return not_connected(todo.no_answer);
    fail(todo.no_answer);  // that there is no socket says nothing of the addresses
}

/// An address has had its share of the time, or the last one all of it.
void Exchange::no_answer_there() {
    if (limit_at_ >= connecting_->until) return not_connected(TransportErrc::connect_timeout);
    connecting_->no_answer = TransportErrc::connect_timeout;
    connect_next();
}

/// Whatever is known of the name was of no use.
void Exchange::not_connected(std::error_code error) {
    endpoint_->addresses->forget();
    fail(error);
}

void Exchange::on_connected() {
    limit_until(connecting_->until, TransportErrc::connect_timeout);
    connection_->prepare();
    if (!connection_->is_tls()) return write();
    const auto& host = endpoint_->origin.host;
    std::error_code no_address;
    asio::ip::make_address(host, no_address);
    const bool verify = transport_->options.tls.verification == TlsVerification::full;
    connection_->async_handshake(host, bool{no_address}, verify,
                                 bound([](Exchange& self, std::error_code failed) {
                                     if (!failed) return self.write();
                                     self.not_connected(self.connection_->certificate_was_refused()
                                                            ? TransportErrc::certificate_refused
                                                            : TransportErrc::tls_failed);
                                 }));
}

}  // namespace fairlead::detail
