// One client's connection: reads a request, lets it be answered, reads the next.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>

#include <fairlead/transport/detail/polled_socket.hpp>
#include <fairlead/transport/http_parser.hpp>

#include "http_server/exchange.hpp"
#include "http_server/server.hpp"

namespace http_server {

/// The exchange of the request that is being answered, and what stands between two of them.
///
/// It never waits with a buffer in hand: it waits until the socket can be read, then borrows one of its
/// thread. And it always waits, also while an answer is under way, so that it sees at once when the client
/// leaves. (A client that ends its sending side counts as gone.)
///
/// Threads: everything runs on the connection's executor; `run`, `check_time`, `leave_if_idle`,
/// `make_room` and `close_now` may be called from any and go there; `waits_since` from any.
class Connection final : public Exchange,
                         public fairlead::detail::ReadWaiter,
                         public std::enable_shared_from_this<Connection> {
  public:
    Connection(asio::ip::tcp::socket socket, std::shared_ptr<Server> server);
    ~Connection() override;

    void run();
    void check_time();
    void leave_if_idle();
    void make_room();  // as `leave_if_idle`, but tells the server where it stays
    void close_now();

    /// `Server::next_wait` of when it began to wait for a request; `busy` while it does not. Relaxed: it is
    /// looked at again on the executor.
    std::uint64_t waits_since() const noexcept { return waits_since_.load(std::memory_order_relaxed); }
    static constexpr std::uint64_t busy = std::numeric_limits<std::uint64_t>::max();

    fairlead::HttpRequest& request() noexcept override { return request_; }
    const std::string& peer() const noexcept override { return peer_; }
    asio::any_io_executor get_executor() override { return socket_.get_executor(); }
    void attach(std::shared_ptr<Responder> responder) override { responder_ = std::move(responder); }
    void respond(fairlead::HttpResponse response) override;
    void start(const fairlead::HttpResponse& head, std::optional<std::uint64_t> length,
               std::initializer_list<Field> own) override;
    void flush() override { send_ready(); }
    void write(std::string_view data) override;
    bool offer(std::string_view data) override;
    void finish() override;
    void finish(std::string last) override;
    void abort() override;
    void reset() override;
    void send_raw(std::string bytes) override;

  private:
    enum class State : std::uint8_t {
        idle,       // nothing of the next request has come
        reading,    // some of it
        answering,  // the handler has it
        lingering,  // the answer is out, the rest of what comes is thrown away
        closed
    };

    void wait_readable();
    void on_readable() override;
    void on_readable(std::error_code error);
    asio::mutable_buffer place_for_body();
    void keep_body(std::string_view piece);
    void feed(std::string_view data);
    void on_head(bool more);
    void serve();
    void refuse(int status, std::string_view message);
    bool send_ready();
    void send_rest(std::span<const asio::const_buffer> buffers, std::size_t sent, bool piece, bool last);
    void tell_later(std::error_code error, bool piece, bool last);
    void on_sent(std::error_code error, bool piece, bool last);
    void answered();
    void next_request();
    void linger();
    void client_left();
    void shut();
    void on_time_out();
    bool takes_more();
    void allow(std::chrono::milliseconds time) noexcept;

    fairlead::detail::PolledSocket socket_;
    std::shared_ptr<Server> server_;
    std::string peer_{};
    State state_ = State::idle;
    bool waiting_ = false;
    std::atomic<std::int64_t> last_tick_;
    std::atomic<std::uint64_t> waits_since_;

    std::size_t max_body_bytes_;  // of the parser
    fairlead::HttpParser parser_;
    fairlead::HttpRequest request_{};
    std::string incoming_{};  // room for its body: what has come are the first `received_` bytes
    std::size_t received_ = 0;
    std::string pending_{};  // what the client sent ahead of its turn
    std::shared_ptr<Responder> responder_{};

    // The answer: `head_` and `data_` are what is to be sent next, `sending_` what a slow client has still to
    // take.
    std::string head_{};
    std::string sending_{};
    std::size_t written_ = 0;  // of `sending_`
    std::int64_t taken_ = 0;   // of it by the client's system, when that was last looked at
    std::string_view data_{};
    std::string body_{};
    std::array<char, 18> size_line_{};  // 16 hexadecimal digits and CRLF
    std::optional<std::uint64_t> remaining_{};
    bool chunked_ = false;
    bool bodiless_ = false;
    bool keep_alive_ = false;
    bool old_client_ = false;  // HTTP/1.0
    bool head_seen_ = false;
    bool writing_ = false;
    bool finishing_ = false;
    bool serving_ = false;  // the handler is being called
};

}  // namespace http_server
