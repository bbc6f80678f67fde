// One request and its answer, as whoever answers it sees them.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <asio/any_io_executor.hpp>

#include <fairlead/transport/http_message.hpp>

namespace http_server {

/// Whoever answers a request piece by piece, or wants to know that its client has left.
class Responder {
  public:
    virtual ~Responder() = default;

    /// What was given to `Exchange::write` is on its way; the next piece may be written.
    virtual void on_written() {}

    /// The client is gone, or too slow to be waited for: nothing can be written any more. At most once, and
    /// never after `finish`, `respond` or `abort`.
    virtual void on_left() {}
};

/// One request and its answer. The request is complete, body included, when a handler sees it.
///
/// Either `respond`, or `start`, any number of `write`s each after the one before was written, and `finish`
/// or `abort`. After `respond`, `finish`, `abort` or `on_left` the exchange is over: the owner lets go of it.
///
/// Threads: all calls from its executor, on which the responder is called, too. The responder may be called
/// from within no call of its own.
class Exchange {
  public:
    virtual ~Exchange() = default;

    /// The request; a handler may move from it.
    virtual fairlead::HttpRequest& request() noexcept = 0;
    virtual const std::string& peer() const noexcept = 0;  ///< the client's address and port
    virtual asio::any_io_executor get_executor() = 0;

    /// Who is told of progress and of the client's leaving. Kept until the exchange is over.
    virtual void attach(std::shared_ptr<Responder> responder) = 0;

    /// The whole answer. Its length goes into the head.
    virtual void respond(fairlead::HttpResponse response) = 0;

    /// A field of a head.
    using Field = std::pair<std::string_view, std::string_view>;

    /// The head of an answer of `length` bytes; unknown: chunked, or to the connection's end for HTTP/1.0.
    /// Sent with the first piece, or by `flush`. Of its fields `Content-Length` and hop-by-hop ones are left
    /// out, and those that `own` replaces. (Not what a `Connection` field names: `remove_hop_by_hop` does.)
    virtual void start(const fairlead::HttpResponse& head, std::optional<std::uint64_t> length,
                       std::initializer_list<Field> own = {}) = 0;

    /// Sends the head if nothing has been written yet; does nothing else. `on_written` is not called for it.
    virtual void flush() = 0;

    /// Sends a piece, not empty; `data` must live until `on_written`.
    virtual void write(std::string_view data) = 0;

    /// Sends a piece, not empty. True when it has been taken and the next may follow at once; false when the
    /// client is slow: what is left was copied, and `on_written` will tell. Either way `data` may go.
    virtual bool offer(std::string_view data) = 0;

    /// The answer is complete. An answer shorter or longer than its `length` breaks the connection.
    virtual void finish() = 0;

    /// The last piece, which may be empty, and the end: in one write with the head, if that has not been
    /// sent. Where the loop has one thread and is busy, together with other answers that end now.
    virtual void finish(std::string last) = 0;

    /// Closes the connection without an end of the answer, so that the client sees that it is truncated: with
    /// a reset where the connection's end is the answer's, too (HTTP/1.0 without a length).
    virtual void abort() = 0;

    /// As `abort`, with a reset instead of an orderly end.
    virtual void reset() = 0;

    /// Sends bytes as they are, HTTP or not, and closes the connection. For stand-ins that misbehave.
    virtual void send_raw(std::string bytes) = 0;
};

/// Answers a request: at once, or later through the pointer.
using Handler = std::function<void(const std::shared_ptr<Exchange>&)>;

}  // namespace http_server
