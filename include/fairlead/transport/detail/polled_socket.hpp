// A connected TCP socket whose reads a loop's poller tells of.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/completion_condition.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>

#include <fairlead/transport/detail/read_poller.hpp>

namespace fairlead::detail {

/// Where the loop has a poller, the socket is taken out of Asio's reactor, which would be woken a second time
/// by whatever comes, and by what comes while nobody waits. Only a write that the peer is slow to take goes
/// back there for its time. Elsewhere all is Asio's.
///
/// Reads and writes do not block. Whoever starts an operation owns the socket until its handler was called; a
/// waiter may own it, too, but then whoever closes it must hold it by other means.
///
/// Threads: one at a time.
class PolledSocket {
  public:
    explicit PolledSocket(asio::any_io_executor executor) : socket_{std::move(executor)} {}
    explicit PolledSocket(asio::ip::tcp::socket socket) : socket_{std::move(socket)} {}
    PolledSocket(const PolledSocket&) = delete;
    PolledSocket& operator=(const PolledSocket&) = delete;
    ~PolledSocket() { close(); }

    asio::any_io_executor get_executor() { return socket_.get_executor(); }

    /// For what is done before `prepare`, and for TLS, which is never watched.
    asio::ip::tcp::socket& socket() noexcept { return socket_; }

    /// Once it is connected: no delay, no blocking, and watched where its loop has a poller.
    void prepare(bool may_watch);

    bool is_watched() const noexcept { return watch_.is_on(); }

    /// Of a watched one: tells `waiter` once, when there may be something to read. One at a time.
    void wait_readable(std::shared_ptr<ReadWaiter> waiter) { watch_.wait(std::move(waiter)); }

    /// Of any other.
    template <class Handler>
    void async_wait_readable(Handler handler) {
        socket_.async_wait(asio::ip::tcp::socket::wait_read, std::move(handler));
    }

    /// Nobody will wait for a moment: what comes until the next wait need not wake the loop.
    void hold_news() noexcept { watch_.hold(); }

    /// Whether, as far as the poller knows, nothing has come that was not read. "No" may be wrong.
    bool is_quiet() const noexcept { return watch_.is_on() && watch_.is_quiet(); }

    /// Whether something is there to be read, or the end.
    bool has_something() const noexcept;

    /// `would_block` when nothing has come.
    std::size_t read_some(asio::mutable_buffer into, std::error_code& error);

    /// What the system takes of at most eight buffers; `would_block` when that is nothing.
    std::size_t write_some(std::span<const asio::const_buffer> buffers, std::error_code& error);

    /// All of them. `handler(error, size)` is called on the executor; the error may be that the loop has no
    /// room for another socket.
    template <class Buffers, class Handler>
    void async_write(const Buffers& buffers, Handler handler) {
        async_write(buffers, asio::transfer_all(), std::move(handler));
    }

    /// The same, but as far as `condition` wants, which is asked on the way as Asio has it.
    template <class Buffers, class Condition, class Handler>
    void async_write(const Buffers& buffers, Condition condition, Handler handler) {
        if (std::error_code error; !lend(error)) {
            asio::post(socket_.get_executor(),
                       [error, handler = std::move(handler)]() mutable { handler(error, std::size_t{0}); });
            return;
        }
        asio::async_write(
            socket_, buffers, std::move(condition),
            [this, handler = std::move(handler)](std::error_code error, std::size_t size) mutable {
                take_back();
                handler(error, size);
            });
    }

    /// Of what was written: bytes that the peer's system has not acknowledged. 0 where ours does not tell.
    std::size_t unacknowledged() const noexcept;

    /// Nothing is sent any more.
    void shutdown_send(std::error_code& error) noexcept;

    /// Makes `close` reset the connection.
    void reset_at_close() noexcept;

    /// Whoever waits is not told. A write that is under way ends with an error.
    void close() noexcept;

  private:
    bool lend(std::error_code& error);
    void take_back() noexcept;
    int handle() const noexcept;

    asio::ip::tcp::socket socket_;
    ReadWatch watch_{};
    int own_ = -1;  // watched, and not lent to Asio
};

}  // namespace fairlead::detail
