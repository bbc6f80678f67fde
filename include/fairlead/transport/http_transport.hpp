// HTTP/1.1 to the backends, over Asio: keep-alive pools, TLS, streams, every wait bounded.
//
//     asio::io_context io;
//     fairlead::HttpTransport http{io};
//     fairlead::Balancer<fairlead::LeastConnections, fairlead::HttpTransport> balancer{backends, {}, http};
//     fairlead::HttpRequest request{"POST", "/v1/chat/completions", R"({"model": "qwen", "messages": []})"};
//     auto response = co_await balancer.async_send(request, asio::use_awaitable);
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/execution_context.hpp>
#include <asio/system_executor.hpp>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/resilience/engine_metrics.hpp>
#include <fairlead/transport/detail/completion.hpp>
#include <fairlead/transport/detail/executor_of.hpp>
#include <fairlead/transport/detail/http_exchange.hpp>
#include <fairlead/transport/detail/scrape.hpp>
#include <fairlead/transport/http_message.hpp>
#include <fairlead/transport/http_parser.hpp>
#include <fairlead/transport/orca.hpp>
#include <fairlead/transport/transport_error.hpp>

namespace fairlead {

enum class TlsVerification : std::uint8_t {
    full,                 ///< the certificate must be trusted and name the host of the url
    none_which_is_unsafe  ///< any certificate will do: whoever stands between can read and change everything
};

struct TlsOptions {
    std::string ca_file{};  ///< PEM file of authorities trusted beside the system's
    TlsVerification verification = TlsVerification::full;
};

struct HttpTransportOptions {
    /// Idle connections kept for each backend. 64: more than the default `max_connections` of 50.
    std::size_t max_idle_per_backend = 64;
    /// How long one is kept. 4 s: uvicorn, before vLLM and SGLang, closes after 5 s, and a request that meets
    /// that moment is lost. A shorter `Keep-Alive: timeout=` of the backend counts; where all backends keep
    /// theirs for longer, so may this.
    Duration idle_timeout = std::chrono::seconds{4};
    /// The largest body that `async_send` collects; `async_open` has no limit, since it keeps nothing.
    std::size_t max_response_bytes = std::size_t{64} * 1024 * 1024;
    /// The executor is a strand, or its loop is run by one thread, and handlers run there, too: then
    /// exchanges need no strand of their own. Of a plain `io_context` that one thread runs, sockets are then
    /// waited for through an epoll of the library's own (Linux), which spares a system call a wait. Where a
    /// read of a body over such a socket (without TLS) brings several chunks at once, a burst, the next one
    /// is made a quarter of a millisecond later: the rest comes together. At most once in two milliseconds,
    /// and more rarely where nothing more comes.
    bool one_thread = false;
    HttpLimits limits{};  ///< of response heads
    TlsOptions tls{};
    bool ask_for_load = false;  ///< every request asks its backend to tell its load (transport/orca.hpp)
    /// Whether the comments by which engines keep a stream of events alive (`: ping`) end a backend's
    /// silence. If not, one that sends nothing else runs into `first_byte_timeout` or `idle_timeout`.
    bool comments_count = true;
};

/// The body of a response, to be read piece by piece. Move-only. Dropped before its end, it closes the
/// connection, which ends the backend's work; after its end the connection serves the next request.
///
/// Threads: one at a time. May outlive its `HttpTransport`, not the execution context.
class HttpBody {
  public:
    HttpBody() = default;
    explicit HttpBody(std::shared_ptr<detail::HttpExchange> exchange) noexcept
        : exchange_{std::move(exchange)} {}
    HttpBody(HttpBody&& other) noexcept : exchange_{std::exchange(other.exchange_, nullptr)} {}
    HttpBody& operator=(HttpBody&& other) noexcept {
        std::swap(exchange_, other.exchange_);
        return *this;
    }
    ~HttpBody() { cancel(); }

    /// Reads what has come, at least a byte: `void(std::error_code, std::size_t)`. `asio::error::eof` with 0
    /// after the complete body; every other error means that the body is broken, truncated or stalled.
    /// `buffer` must live until then. One read at a time. Cancelled through the handler's slot or `cancel`:
    /// `Errc::cancelled`.
    ///
    /// A buffer of size 0 waits until there is something to read (now and then a moment too early), so that
    /// many quiet streams need not hold a buffer each.
    template <class Handler>
    void async_read(asio::mutable_buffer buffer, Handler handler) {
        const asio::any_io_executor fallback =
            exchange_ ? exchange_->executor() : asio::any_io_executor{asio::system_executor{}};
        if (!exchange_) return detail::ReadCompletion{std::move(handler), fallback}.post(asio::error::eof, 0);
        detail::let_cancel(asio::get_associated_cancellation_slot(handler), exchange_);
        exchange_->read(buffer, detail::ReadCompletion{std::move(handler), fallback});
    }

    /// Reads what has come, as `async_read` does, without a buffer: `void(std::error_code, HttpPiece)`. Bytes
    /// are read into memory of the thread's when they are there, so that a quiet stream holds none. With
    /// `one_thread` and a handler on the transport's executor they are not copied, either.
    template <class Handler>
    void async_read_piece(Handler handler) {
        const asio::any_io_executor fallback =
            exchange_ ? exchange_->executor() : asio::any_io_executor{asio::system_executor{}};
        if (!exchange_) {
            return detail::PieceCompletion{std::move(handler), fallback}.post(asio::error::eof, HttpPiece{});
        }
        detail::let_cancel(asio::get_associated_cancellation_slot(handler), exchange_);
        const bool at_home = detail::executor_of(handler, fallback) == fallback;
        exchange_->read_piece(detail::PieceCompletion{std::move(handler), fallback}, at_home);
    }

    /// What came together with the head, and whether that was all. Once, before the first read.
    HttpReady take_ready() { return exchange_ ? exchange_->take_ready() : HttpReady{{}, true}; }

    /// Closes the connection at once unless the body has been read.
    void cancel() {
        if (exchange_) exchange_->cancel();
    }

  private:
    std::shared_ptr<detail::HttpExchange> exchange_{};
};

namespace detail {

class TransportState;
using SendCompletion = Completion<std::error_code, HttpResponse>;
using OpenCompletion = Completion<std::error_code, HttpResponse, HttpBody>;

std::shared_ptr<HttpExchange> make_exchange(const std::shared_ptr<TransportState>& transport,
                                            const BackendConfig& backend, const HttpRequest& request,
                                            Deadline deadline, SendCompletion done);
std::shared_ptr<HttpExchange> make_exchange(const std::shared_ptr<TransportState>& transport,
                                            const BackendConfig& backend, const HttpRequest& request,
                                            Deadline deadline, OpenCompletion done);

HttpRequest probe_request(const HealthOverride& health);
Outcome judge_probe(const HealthOverride& health, std::error_code error, const HttpResponse& response);

template <class Handler>
struct ProbeHandler {
    using executor_type = asio::associated_executor_t<Handler, asio::any_io_executor>;
    using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

    Handler handler;
    asio::any_io_executor fallback;
    HealthOverride health;

    executor_type get_executor() const noexcept { return asio::get_associated_executor(handler, fallback); }
    cancellation_slot_type get_cancellation_slot() const noexcept {
        return asio::get_associated_cancellation_slot(handler);
    }
    void operator()(std::error_code error, const HttpResponse& response) {
        std::move(handler)(error, judge_probe(health, error, response));
    }
};

}  // namespace detail

/// Sends requests to backends over HTTP/1.1. Copies share their connections.
///
/// A request goes to the backend's url with `/v1` and `/` taken off its end: "/v1/models" goes to
/// "/v1/models" on "http://h:8000/v1/", and to "/base/v1/models" on "http://h/base". `Host`, `Content-Length`
/// and, where the backend has a key, `Authorization: Bearer` are set here; what belongs to one connection
/// only (`Connection` and what it names, `Keep-Alive`, `Proxy-*`, `TE`, `Trailer`, `Transfer-Encoding`,
/// `Upgrade`, `Expect`) is left out. A name that is no token or a value with CR, LF, NUL or another control
/// byte is refused, and nothing is sent.
///
/// Time-outs of the backend, each with an error of its own: `connect_timeout` (name, TCP and TLS; of several
/// addresses each but the last has its share of what is left); `timeout` for the backend to take the request,
/// and again from then to the response's head; `first_byte_timeout` from the head to the body; `idle_timeout`
/// between two pieces, while somebody waits for one; `total_timeout`; and the call's deadline
/// (`Errc::deadline_passed`).
///
/// What a name points to is used for 30 s, and after that, up to 10 min, until a look-up that is then begun
/// has ended: Asio looks up one name at a time, and one whose server is silent must not hold up the others.
/// It is forgotten when no connection comes of it. Addresses are tried in the order in which the system gives
/// them.
///
/// Idle connections are used again, the latest first. One that the backend has closed meanwhile is noticed
/// before anything is sent, and replaced; with `one_thread` under load, unless it closed in the last 50 us.
/// When one breaks while it is used again and not a byte of the
/// response has come, the request is sent once more over a new connection if that cannot do it twice: the
/// method is idempotent (GET, HEAD, PUT, DELETE, OPTIONS, TRACE) or the request was not sent completely. Else
/// `TransportErrc::closed_before_response`, and it is for the balancer's retry rules to decide. An idle
/// connection holds no pending operation, so it does not keep the loop running; what has expired is closed
/// when the transport is next used.
///
/// Threads: any, on an executor run by any number of threads. Handlers are called exactly once, through their
/// associated executor, never inside the initiating function. A handler's cancellation slot closes the
/// connection at once and completes with `Errc::cancelled`. Errors: `TransportErrc`, `Errc::cancelled`,
/// `Errc::deadline_passed`. The constructor throws `std::system_error` when `ca_file` cannot be read.
class HttpTransport {
  public:
    using Request = HttpRequest;
    using Response = HttpResponse;
    using Body = HttpBody;

    explicit HttpTransport(asio::any_io_executor executor, HttpTransportOptions options = {});

    template <std::derived_from<asio::execution_context> Context>
    explicit HttpTransport(Context& context, HttpTransportOptions options = {})
        : HttpTransport{asio::any_io_executor{context.get_executor()}, std::move(options)} {}

    /// The whole response: `void(std::error_code, HttpResponse)`. Of the request only the body is kept, which
    /// is shared.
    template <class Handler>
    void async_send(const BackendConfig& backend, const HttpRequest& request, Deadline deadline,
                    Handler handler) {
        begin<detail::SendCompletion>(backend, request, deadline, std::move(handler));
    }

    /// The response's head, and its body to be read: `void(std::error_code, HttpResponse, HttpBody)`.
    template <class Handler>
    void async_open(const BackendConfig& backend, const HttpRequest& request, Deadline deadline,
                    Handler handler) {
        begin<detail::OpenCompletion>(backend, request, deadline, std::move(handler));
    }

    /// Asks how the backend is: `void(std::error_code, Outcome)`. Success when status and body are as its
    /// `health` says; a status that is not expected counts as `server_error` unless it says something else.
    /// Where `health` says nothing: GET /v1/models, any 2xx (`health_of` fills in what `Options` say).
    template <class Handler>
    void async_probe(const BackendConfig& backend, Deadline deadline, Handler handler) {
        async_send(backend, detail::probe_request(backend.health), deadline,
                   detail::ProbeHandler<Handler>{std::move(handler), get_executor(), backend.health});
    }

    /// A page of the backend, for `LoadPoller`: `void(std::error_code, HttpResponse)`.
    /// `TransportErrc::response_too_large` beyond `max_metrics_bytes`.
    template <class Handler>
    void async_scrape(const BackendConfig& backend, std::string_view path, Deadline deadline,
                      Handler handler) {
        const auto scrape = std::make_shared<detail::Scrape<HttpBody, Handler>>(
            std::move(handler), get_executor(), max_metrics_bytes);
        async_open(backend, HttpRequest{"GET", std::string{path}}, deadline, scrape->step());
    }

    /// What an exchange's end means. `Retry-After` of a 429 or 503 is read in seconds or as a date, which
    /// counts from the response's `Date`, without one from the system's clock.
    static Outcome outcome(std::error_code error, const HttpResponse& response);

    /// What the answer's header says of its backend's load, if it does; the balancer is told by itself.
    static std::optional<LoadReport> load(const HttpResponse& response) {
        const auto value = response.headers.get(orca_response_header);
        return value ? read_orca(*value) : std::nullopt;
    }

    /// Connections that wait for a request now, over all backends.
    std::size_t idle_connections() const;

    asio::any_io_executor get_executor() const;

  private:
    template <class Done, class Handler>
    void begin(const BackendConfig& backend, const HttpRequest& request, Deadline deadline, Handler handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        const auto exchange = detail::make_exchange(state_, backend, request, deadline,
                                                    Done{std::move(handler), get_executor()});
        detail::let_cancel(std::move(slot), exchange);
        exchange->start();
    }

    std::shared_ptr<detail::TransportState> state_;
};

}  // namespace fairlead
