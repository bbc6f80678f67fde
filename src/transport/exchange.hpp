// One request and its response over one connection, a second one where the first turned out to be closed.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <fairlead/model/time.hpp>
#include <fairlead/transport/http_transport.hpp>

#include "addresses.hpp"
#include "connection.hpp"
#include "event_comments.hpp"
#include "gathering.hpp"
#include "transport_state.hpp"

namespace fairlead::detail {

/// Connects or takes an idle connection, writes, reads the head, reads the body, gives the connection back.
///
/// Threads: the virtual functions from any; all else on the connection's strand. Whatever is pending holds
/// the exchange; it holds its connections until then, because operations of TLS refer to theirs.
class Exchange final : public HttpExchange, public ReadWaiter, public std::enable_shared_from_this<Exchange> {
  public:
    Exchange(std::shared_ptr<TransportState> transport, const BackendConfig& backend,
             const HttpRequest& request, Deadline deadline, SendCompletion send, OpenCompletion open);
    ~Exchange() override;

    void start() override;
    void cancel() override;
    void read(asio::mutable_buffer into, ReadCompletion done) override;
    void read_piece(PieceCompletion done, bool may_lend) override;
    HttpReady take_ready() override;
    asio::any_io_executor executor() const override { return transport_->executor; }

  private:
    enum class Phase : std::uint8_t { connecting, head, body, done };
    using Endpoints = Addresses::Found;

    /// Of a connection that is not there yet.
    struct Connecting {
        Time until{};                      // connect_timeout, over all of it
        Endpoints::const_iterator next{};  // address
        std::size_t untried = 0;
        std::error_code refused{};    // what the first said that said anything
        std::error_code no_answer{};  // what stands for it where none did
    };

    std::error_code prepare(const BackendConfig& backend, const HttpRequest& request, Deadline deadline);

    // connecting
    void begin_first(Duration age);
    void begin();
    void resolve();
    void connect(const Endpoints& found);
    void connect_next();
    void no_answer_there();
    void not_connected(std::error_code error);
    void on_connected();

    // the request
    void write();
    void on_written(std::error_code error);

    // the response
    void wait_readable();
    void read_later();
    void on_readable() override;
    void read_head_or_whole();
    void begin_read();
    void read_body();
    template <class End>
    void complete_then(std::size_t kept, End end);
    void take_head(bool head_complete);
    void parse(std::span<const char> data);
    void on_read_error(std::error_code error);
    bool may_send_again() const noexcept;
    void send_again();

    // the end
    void message_done(bool clean);
    void over();
    Duration time_to_keep() const;
    void fail(std::error_code error);
    void complete_head();
    void complete_read(std::error_code error, std::size_t size);
    void close();

    // time
    static Time now() noexcept { return std::chrono::steady_clock::now(); }
    void limit(Duration wait, std::error_code why);
    void limit_until(Time at, std::error_code why);
    void no_limit() noexcept;
    void limit_silence();
    void spend_silence() noexcept;
    void note_body(std::string_view bytes);
    Time due() const noexcept { return std::min({limit_at_, overall_at_, read_at_}); }
    void arm(Time at);
    bool put_off_reading();
    void read_put_off();
    void on_timer();

    /// A handler that keeps this exchange, and does nothing once the attempt it belongs to is over.
    template <class Action>
    auto bound(Action action) {
        return [ self = shared_from_this(), attempt = attempt_, action ]<class... More>(
            std::error_code error,
            More && ... more) requires std::invocable<const Action&, Exchange&, std::error_code, More&...> {
            if (self->phase_ == Phase::done || self->attempt_ != attempt) return;
            action(*self, error, more...);
        };
    }

    std::shared_ptr<TransportState> transport_;
    Time started_;
    std::shared_ptr<Endpoint> endpoint_;

    std::string head_{};
    std::string method_{};
    SharedBody body_{};
    Time overall_at_ = Time::max();
    std::error_code overall_error_{};
    std::error_code refused_;  // found by `prepare`, which sets those above it

    std::unique_ptr<Connection> connection_;
    std::unique_ptr<Connection> former_{};
    Strand strand_;
    asio::steady_timer timer_;
    std::unique_ptr<Connecting> connecting_{};

    const Duration connect_timeout_;
    const Duration timeout_;
    const Duration first_byte_timeout_;
    const Duration idle_timeout_;

    SendCompletion send_;
    OpenCompletion open_;
    ReadCompletion read_{};
    PieceCompletion piece_{};
    asio::mutable_buffer into_{};
    const bool whole_;

    HttpResponse response_{};
    std::string pending_{};  // body that came with the head
    std::size_t pending_read_ = 0;
    std::error_code error_{};  // how reading ends

    Duration keep_{};  // how long the connection may be kept after this

    Time limit_at_ = Time::max();
    Time read_at_ = Time::max();  // a read that was put off
    Time armed_at_ = Time::max();
    std::error_code limit_error_{};
    unsigned armed_ = 0;  // which wait of the timer counts

    Gathering gathering_{};
    std::optional<EventComments> comments_{};  // where they do not count
    Duration silence_left_{};                  // the same: of the silence that was begun

    Phase phase_ = Phase::connecting;
    int attempt_ = 0;
    bool reused_ = false;
    bool written_ = false;
    bool write_failed_ = false;
    bool waiting_ = false;
    bool head_taken_ = false;
    bool body_began_ = false;
    bool may_lend_ = false;
    bool came_whole_ = false;        // the body's end came with the head
    bool any_byte_ = false;          // of a response, an interim one included
    std::atomic<bool> over_{false};  // there is nothing left to cancel
};

}  // namespace fairlead::detail
