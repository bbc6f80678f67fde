// A small HTTP/1.1 server on Asio: accepts connections, reads requests strictly, hands them to a handler.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include <asio/any_io_executor.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <fairlead/transport/detail/coalescing.hpp>

#include "http_server/exchange.hpp"

namespace http_server {

class Connection;

/// Limits of one server. What is over a limit is answered with an error and closed.
struct Limits {
    std::size_t max_body_bytes = std::size_t{64} * 1024 * 1024;
    /// Open at once. Who comes then takes the place of the one that has waited longest for its next request,
    /// and where none waits, stays in the system's queue until one does or ends.
    std::size_t max_connections = std::numeric_limits<std::size_t>::max();
    /// Between two requests: longer than the 60 s of common load balancers before us.
    std::chrono::milliseconds idle{75'000};
    /// From a request's first byte to the end of its head.
    std::chrono::milliseconds head{30'000};
    /// Without a byte of a body read, or of an answer taken by the client's system. The latter is looked at
    /// when the time is up, and then again: who takes a part and no more keeps the connection for up to two
    /// of it.
    std::chrono::milliseconds progress{60'000};
    /// After a refusal the client may still be sending; closing at once would reset the connection and take
    /// the answer with it (RFC 9112, 9.6).
    std::chrono::milliseconds linger{2'000};
    /// How exactly all these are kept: each lasts up to two of these longer. Tens of seconds need no better,
    /// and so no timer is armed for each request.
    std::chrono::milliseconds coarseness{1'000};
};

/// Makes the body of an answer for a request that could not be read: status and a sentence to a response.
using ErrorPage = std::function<fairlead::HttpResponse(int status, std::string_view message)>;

/// Accepts on one address until stopped.
///
/// Threads: `stop_accepting`, `close` and `connections` from any. One that was started must be closed, and
/// its executor's loop have run dry, before what the handler points to may go.
class Server : public std::enable_shared_from_this<Server> {
  public:
    /// Gives each connection its executor: the loop's own where one thread runs it, else a new strand.
    using ExecutorSource = std::function<asio::any_io_executor()>;

    Server(asio::any_io_executor executor, ExecutorSource source, Limits limits, Handler handler,
           ErrorPage error_page);
    ~Server();

    /// Binds "host:port" ("[::1]:5000" for IPv6; port 0 takes a free one), and begins to accept. Throws
    /// std::system_error when the address is not to be had, std::invalid_argument when it is none.
    void listen(const std::string& address);

    /// Of requests that begin from now on. Any thread.
    void set_max_body_bytes(std::size_t bytes) noexcept {
        max_body_bytes_.store(bytes, std::memory_order_relaxed);
    }

    std::string url() const { return url_; }  ///< http://host:port, with the port that was taken
    std::size_t connections() const;

    /// Closes the listening socket and every connection that waits for a request; the others end after their
    /// answer. `drained` is called once, when none is left.
    void stop_accepting(std::function<void()> drained = {});

    /// Closes the listening socket at once and every connection as soon as the loop comes to it.
    void close();

    // For connections.
    const Limits& limits() const { return limits_; }
    std::size_t max_body_bytes() const noexcept { return max_body_bytes_.load(std::memory_order_relaxed); }
    const Handler& handler() const { return handler_; }
    fairlead::HttpResponse error_page(int status, std::string_view message) const {
        return error_page_(status, message);
    }
    bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
    std::int64_t tick() const noexcept { return tick_.load(std::memory_order_relaxed); }  // of the coarseness
    void left(Connection* connection);
    /// The number of a wait for a request: who waits longer has a lower one. Relaxed: it publishes nothing.
    std::uint64_t next_wait() noexcept { return waits_.fetch_add(1, std::memory_order_relaxed); }
    /// A connection waits for a request. Where a client has no place, the one that waits longest must leave.
    void one_waits() {
        // Relaxed: where this and whoever finds no place miss one another, `sweep` looks again.
        if (is_full_.load(std::memory_order_relaxed)) make_room();
    }
    void stays(const Connection* connection);  // it was to leave, and does not wait any more
    fairlead::detail::Coalescing& coalescing() noexcept {
        return coalescing_;
    }  // of answers, where the loop has one thread

  private:
    void accept();
    void accepted(std::error_code error, asio::ip::tcp::socket socket);
    void pause();
    void someone_came(std::error_code error);
    void make_room();
    void close_acceptor();
    void sweep();
    template <class Action>
    void for_each(Action action);

    asio::any_io_executor executor_;
    ExecutorSource source_;
    const Limits limits_;
    std::atomic<std::size_t> max_body_bytes_;  // alone of the limits may change
    Handler handler_;
    ErrorPage error_page_;
    asio::ip::tcp::acceptor acceptor_;  // under the mutex, so that any thread can close it at once
    asio::steady_timer timer_;
    asio::steady_timer retry_;
    fairlead::detail::Coalescing coalescing_{};
    std::string url_{};
    bool closed_ = false;  // on the executor

    mutable std::mutex mutex_{};
    std::unordered_set<Connection*> connections_{};  // each removes itself before it goes
    const Connection* leaving_ = nullptr;            // to make room; compared, never followed
    std::function<void()> drained_{};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> is_full_{false};  // and a client has come; changed under the mutex
    std::atomic<std::int64_t> tick_{0};
    std::atomic<std::uint64_t> waits_{0};
};

}  // namespace http_server
