// One connection to a backend: a socket, perhaps TLS around it, and the parser of what comes.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/host_name_verification.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/write.hpp>

#include <fairlead/transport/detail/polled_socket.hpp>
#include <fairlead/transport/http_parser.hpp>

namespace fairlead::detail {

/// A strand, or an executor on which everything runs in turn anyway.
using Strand = asio::any_io_executor;

/// Reads do not block and are tried when the socket is ready, so that a waiting connection needs no buffer.
///
/// Threads: on its strand; an idle one by whoever took it out of the pool.
class Connection {
  public:
    Connection(Strand executor, asio::ssl::context* tls, HttpLimits limits)
        : strand{std::move(executor)}, socket{strand}, parser{HttpParser::Kind::response, limits} {
        if (tls != nullptr) tls_ = std::make_unique<Tls>(socket.socket(), *tls);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool is_tls() const noexcept { return tls_ != nullptr; }

    /// After TCP is connected: what holds for every connection. TLS may have read what the socket had.
    void prepare() { socket.prepare(!tls_); }

    template <class Handler>
    void async_handshake(const std::string& host, bool host_is_name, bool verify, Handler handler) {
        // An address is no name for SNI (RFC 6066, 3).
        if (host_is_name)
            SSL_ctrl(tls_->native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                     const_cast<char*>(host.c_str()));  // the C interface takes no const
        std::error_code ignored;
        tls_->set_verify_mode(verify ? asio::ssl::verify_peer : asio::ssl::verify_none, ignored);
        if (verify) tls_->set_verify_callback(asio::ssl::host_name_verification{host}, ignored);
        tls_->async_handshake(asio::ssl::stream_base::client, std::move(handler));
    }

    bool certificate_was_refused() const {
        return tls_ && SSL_get_verify_result(tls_->native_handle()) != X509_V_OK;
    }

    template <class Buffers, class Handler>
    void async_write(const Buffers& buffers, Handler handler) {
        if (tls_) {
            asio::async_write(*tls_, buffers, std::move(handler));
        } else {
            socket.async_write(buffers, std::move(handler));
        }
    }

    /// Does not block: `would_block` when nothing has come.
    std::size_t read_some(asio::mutable_buffer into, std::error_code& error) {
        return tls_ ? tls_->read_some(into, error) : socket.read_some(into, error);
    }

    /// Whether the peer has closed, or sent what nobody asked for, while the connection was idle: as far as
    /// the loop's poller knows, where it watches.
    bool is_stale() {
        if (socket.is_quiet()) return false;
        if (!tls_) return socket.has_something();
        char byte = 0;
        // Session tickets may have come; they are taken in here, and leave nothing to read.
        std::error_code error;
        const auto got = read_some(asio::buffer(&byte, 1), error);
        return got > 0 || (error != asio::error::would_block && error != asio::error::try_again);
    }

    void close() noexcept { socket.close(); }

    Strand strand;
    PolledSocket socket;
    HttpParser parser;

  private:
    using Tls = asio::ssl::stream<asio::ip::tcp::socket&>;
    std::unique_ptr<Tls> tls_{};  // apart: it is large, and most backends are spoken to without
};

}  // namespace fairlead::detail
