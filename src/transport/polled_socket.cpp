// A socket outside of Asio's reactor, and its visits there.
#include <fairlead/transport/detail/polled_socket.hpp>

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#if __has_include(<linux/sockios.h>)
#include <linux/sockios.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>

#include <asio/error.hpp>

namespace fairlead::detail {
namespace {

using asio::ip::tcp;

std::error_code last_error() noexcept {
    // As Asio has it: one name for both.
    if (errno == EAGAIN || errno == EWOULDBLOCK) return asio::error::would_block;
    return {errno, asio::error::get_system_category()};
}

// Asio has set the socket's own option where the flag is missing.
#if defined(MSG_NOSIGNAL)
constexpr int no_signal = MSG_NOSIGNAL;
#else
constexpr int no_signal = 0;
#endif

}  // namespace

void PolledSocket::prepare(bool may_watch) {
    std::error_code ignored;  // a socket that has broken since says so at the next read
    socket_.set_option(tcp::no_delay{true}, ignored);
    socket_.non_blocking(true, ignored);
    if (!may_watch) return;
    watch_.start(socket_.get_executor(), socket_.native_handle());
    if (watch_.is_on()) take_back();
}

/// To Asio, for an operation.
bool PolledSocket::lend(std::error_code& error) {
    if (own_ < 0) return true;
    socket_.assign(tcp::v4(), own_,
                   error);  // or v6: of a socket that is there Asio asks only that it is a stream
    if (error) return false;
    own_ = -1;
    return true;
}

void PolledSocket::take_back() noexcept {
    if (!socket_.is_open() || !watch_.is_on()) return;
    std::error_code error;
    const int handle = socket_.release(error);
    if (!error) own_ = handle;  // else it stays there, and works as well
}

int PolledSocket::handle() const noexcept {
    return own_ >= 0 ? own_ : const_cast<tcp::socket&>(socket_).native_handle();
}

bool PolledSocket::has_something() const noexcept {
    char byte = 0;
    const auto got = ::recv(handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

std::size_t PolledSocket::read_some(asio::mutable_buffer into, std::error_code& error) {
    error.clear();
    ssize_t got = 0;
    do {
        got = ::recv(handle(), into.data(), into.size(), MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0) error = last_error();
    if (got == 0 && into.size() > 0) error = asio::error::eof;
    const auto size = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    if (size < into.size()) watch_.drained(error == asio::error::would_block);
    return size;
}

std::size_t PolledSocket::write_some(std::span<const asio::const_buffer> buffers, std::error_code& error) {
    error.clear();
    std::array<::iovec, 8> parts;
    std::size_t count = 0;
    for (const auto& buffer : buffers) {
        if (buffer.size() == 0) continue;
        if (count == parts.size()) break;
        parts[count++] = {const_cast<void*>(buffer.data()), buffer.size()};  // the C interface takes no const
    }
    if (count == 0) return 0;
    ::msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    ssize_t sent = 0;
    do {
        sent = ::sendmsg(handle(), &message, no_signal | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) error = last_error();
    return static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
}

std::size_t PolledSocket::unacknowledged() const noexcept {
#if defined(SIOCOUTQ)
    int bytes = 0;
    if (::ioctl(handle(), SIOCOUTQ, &bytes) == 0) return static_cast<std::size_t>(bytes);
#endif
    return 0;
}

void PolledSocket::shutdown_send(std::error_code& error) noexcept {
    error.clear();
    if (::shutdown(handle(), SHUT_WR) != 0) error = last_error();
}

void PolledSocket::reset_at_close() noexcept {
    const ::linger none{1, 0};
    ::setsockopt(handle(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

void PolledSocket::close() noexcept {
    watch_.stop();
    if (own_ >= 0) ::close(std::exchange(own_, -1));
    std::error_code ignored;
    socket_.close(ignored);
}

}  // namespace fairlead::detail
