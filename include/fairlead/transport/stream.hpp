// A response that is read piece by piece, with the lease that it came over.
#pragma once

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>

#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/transport/http_message.hpp>

namespace fairlead {

namespace detail {
template <class Core, class Transport>
struct OpenStream;
}

/// What `Balancer::async_stream` completes with: the response's head, and its body to read. Move-only.
///
/// The request's outcome is known at its end: reading to `asio::error::eof` reports success (or what the
/// head's status says), a broken or stalled body a failure, and dropping the stream before its end
/// `cancelled`, which also ends the backend's work at once.
///
/// Threads: one thread at a time. The balancer outlives its streams.
template <class Owner>
class Stream {
  public:
    using Response = typename Owner::TransportType::Response;
    using Open = detail::OpenStream<typename Owner::CoreType, typename Owner::TransportType>;

    Stream() = default;
    explicit Stream(std::shared_ptr<Open> open) noexcept : open_{std::move(open)} {}
    explicit Stream(Duration retry_after) noexcept : retry_after_{retry_after} {}
    Stream(Stream&& other) noexcept
        : open_{std::move(other.open_)}, retry_after_{std::exchange(other.retry_after_, {})} {}
    Stream& operator=(Stream&& other) noexcept {
        std::swap(open_, other.open_);
        std::swap(retry_after_, other.retry_after_);
        return *this;
    }
    ~Stream() {
        if (open_) open_->drop();
    }

    /// Whether there is a response at all.
    explicit operator bool() const noexcept { return open_ != nullptr; }

    /// Status and headers. Only on a true stream.
    const Response& head() const noexcept { return open_->head; }

    /// The head moved out, so that a stream that stays open for long keeps none. Only on a true stream, once.
    Response take_head() { return std::move(open_->head); }

    /// Who answers, as it was configured when chosen. Only on a true stream; empty when its end was read.
    const BackendConfig& backend() const noexcept { return open_->backend(); }

    /// Further tries that it took until there was this head. Only on a true stream.
    std::uint32_t retries() const noexcept { return open_->retries; }

    /// When refused because every match is resting, or too many wait: after how long a place may be free.
    std::optional<Duration> retry_after() const noexcept {
        return retry_after_ > Duration::zero() ? std::optional{retry_after_} : std::nullopt;
    }

    /// Reads some of the body into `buffer`: `void(std::error_code, std::size_t)`. `asio::error::eof` after
    /// the body's proper end, with 0 bytes. One read at a time. Dropping or moving the stream meanwhile is
    /// fine; dropped, the read completes with an error.
    template <class Token>
    auto async_read(asio::mutable_buffer buffer, Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
            [open = open_](auto handler, asio::mutable_buffer into) { open->read(into, std::move(handler)); },
            token, buffer);
    }

    /// As `async_read`, without a buffer, where the transport's body can (`HttpBody::async_read_piece`):
    /// `void(std::error_code, HttpPiece)`. The piece lives as long as the handler runs.
    template <class Token>
    auto async_read_piece(Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, HttpPiece)>(
            [open = open_](auto handler) { open->read_piece(std::move(handler)); }, token);
    }

    /// What of the body came together with the head, where the transport's body can tell
    /// (`HttpBody::take_ready`). Once, before the first read. When it is complete, `end_reached` takes the
    /// place of the last read.
    auto take_ready() { return open_->take_ready(); }

    /// Reports the end of a body that `take_ready` called complete.
    void end_reached() { open_->was_read(asio::error::eof, 0); }

    /// So many tokens of the answer have come, in all: the backend's outstanding work (`Balancer::came`).
    /// Optional. Only on a true stream, after its first byte.
    void came(std::uint64_t tokens) noexcept { open_->came(tokens); }

    /// What the answer's `usage` told, to be reported at the end.
    void count_tokens(std::uint64_t prompt, std::uint64_t completion) noexcept {
        open_->prompt_tokens = prompt;
        open_->completion_tokens = completion;
    }

    /// Ends the backend's work; a read under way completes with an error.
    void cancel() {
        if (open_) open_->cancel();
    }

    /// Whether the body so far lacks what its protocol ends it with, such as `data: [DONE]`: while it does,
    /// an `asio::error::eof` is still read, but reported as an answer broken off. Only on a true stream.
    void set_unterminated(bool lacking) noexcept { open_->unterminated = lacking; }

  private:
    std::shared_ptr<Open> open_;
    Duration retry_after_{};
};

namespace detail {

/// A stream's state: shared with the read that is under way, so that the stream can be moved or dropped.
template <class Core, class Transport>
struct OpenStream : std::enable_shared_from_this<OpenStream<Core, Transport>> {
    using Response = typename Transport::Response;
    using Body = typename Transport::Body;

    OpenStream(Core& c, asio::any_io_executor e, Lease l, Response h, Body b, const Outcome& o)
        : core{c},
          executor{std::move(e)},
          lease{std::move(l)},
          head{std::move(h)},
          body{std::move(b)},
          of_head{o} {}
    OpenStream(const OpenStream&) = delete;
    OpenStream& operator=(const OpenStream&) = delete;
    ~OpenStream() {
        if (lease) finish(Outcome::cancelled);
    }

    const BackendConfig& backend() const noexcept {
        static const BackendConfig none{};
        return lease ? *lease : ended_backend ? *ended_backend : none;
    }

    template <class Handler>
    void read(asio::mutable_buffer into, Handler handler) {
        body.async_read(into, ReadHandler<Handler>{this->shared_from_this(), std::move(handler)});
    }

    template <class Handler>
    void read_piece(Handler handler) {
        body.async_read_piece(ReadHandler<Handler>{this->shared_from_this(), std::move(handler)});
    }

    auto take_ready() {
        auto ready = body.take_ready();
        if (!ready.data.empty()) was_read({}, ready.data.size());
        return ready;
    }

    /// Notes what was read, then hands it on; executor and cancellation are the caller's.
    template <class Handler>
    struct ReadHandler {
        using executor_type = asio::associated_executor_t<Handler, asio::any_io_executor>;
        using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

        std::shared_ptr<OpenStream> self;
        Handler handler;

        executor_type get_executor() const noexcept {
            return asio::get_associated_executor(handler, self->executor);
        }
        cancellation_slot_type get_cancellation_slot() const noexcept {
            return asio::get_associated_cancellation_slot(handler);
        }
        void operator()(std::error_code error, std::size_t size) {
            self->was_read(error, size);
            std::move(handler)(error, size);
        }
        void operator()(std::error_code error, HttpPiece piece) {
            self->was_read(error, piece.size());
            std::move(handler)(error, std::move(piece));
        }
    };

    void was_read(std::error_code error, std::size_t size) {
        if (!lease) return;  // dropped, or reported already: another try was wanted, and none was to be had
        if (size > 0) core.first_byte(lease);  // only the first call counts
        if (!error) return;
        if (error == asio::error::eof) {
            finish(unterminated ? Outcome{Outcome::connect_error} : of_head);
        } else {
            finish(is_cancelled ? Outcome{Outcome::cancelled}
                                : Transport::outcome(error, std::as_const(head)));
        }
    }

    void came(std::uint64_t tokens) noexcept {
        if (lease) core.came(lease, tokens);
    }

    void cancel() {
        is_cancelled = true;
        body.cancel();
    }

    /// The caller let go of it.
    void drop() noexcept {
        if (lease) finish(Outcome::cancelled);
        body.cancel();
    }

    /// Gives the place back although the body is still to be read. Throws std::bad_alloc.
    void report_early(const Outcome& outcome) {
        ended_backend = std::make_unique<BackendConfig>(*lease);
        finish(outcome);
    }

    void finish(Outcome outcome) noexcept {
        outcome.prompt_tokens = prompt_tokens;
        outcome.completion_tokens = completion_tokens;
        core.report(std::move(lease), outcome);
    }

    Core& core;
    asio::any_io_executor executor;  // for handlers that have none of their own
    Lease lease;
    Response head;
    Body body;
    Outcome of_head;  // what the head says, for when the body ends as it should
    std::unique_ptr<BackendConfig>
        ended_backend{};  // what is shown when the lease, and the config with it, has gone
    std::uint32_t retries = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t completion_tokens = 0;
    bool is_cancelled = false;
    bool unterminated = false;
};

}  // namespace detail
}  // namespace fairlead
