// One exchange as the public templates see it; what it does is compiled in src/transport/exchange.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <system_error>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_type.hpp>

#include <fairlead/transport/detail/completion.hpp>
#include <fairlead/transport/http_message.hpp>

namespace fairlead::detail {

using ReadCompletion = Completion<std::error_code, std::size_t>;
using PieceCompletion = Completion<std::error_code, HttpPiece>;

/// Any thread may call these; each goes to the exchange's strand. No handler runs inside them.
class HttpExchange {
  public:
    virtual ~HttpExchange() = default;

    virtual void start() = 0;
    /// Closes the connection; what is pending completes with `Errc::cancelled`.
    virtual void cancel() = 0;
    /// Reads body. One at a time.
    virtual void read(asio::mutable_buffer into, ReadCompletion done) = 0;
    /// Reads body into memory of the thread's. `may_lend`: the handler runs on the exchange's own executor.
    virtual void read_piece(PieceCompletion done, bool may_lend) = 0;
    /// Only between the head and the first read, by whoever got the head.
    virtual HttpReady take_ready() = 0;
    virtual asio::any_io_executor executor() const = 0;
};

/// Lets a handler's slot cancel the exchange. Before the exchange can complete, so that nothing races.
template <class Slot>
void let_cancel(Slot slot, const std::shared_ptr<HttpExchange>& exchange) {
    if (!slot.is_connected()) return;
    slot.assign([weak = std::weak_ptr{exchange}](asio::cancellation_type) {
        if (const auto held = weak.lock()) held->cancel();
    });
}

}  // namespace fairlead::detail
