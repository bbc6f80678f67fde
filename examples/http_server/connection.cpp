// The life of a connection: wait, read, hand over, write, and again.
#include "http_server/connection.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <asio/buffer.hpp>
#include <asio/completion_condition.hpp>
#include <asio/dispatch.hpp>
#include <asio/post.hpp>

#include <fairlead/transport/detail/dispatch.hpp>

#include "http_server/body_pool.hpp"

namespace http_server {
namespace {

using asio::ip::tcp;

// One thread reads one socket at a time, so a buffer a thread is enough. 64 KiB: what a loopback socket gives
// in one go; a body of many MiB is then read in few system calls.
constexpr std::size_t read_size = std::size_t{64} * 1024;

std::array<char, read_size>& borrowed_buffer() {
    thread_local std::array<char, read_size> buffer;
    return buffer;
}

/// Where a head is written, one after the other: whoever waits for something holds no memory for it.
std::string& spare_text() {
    thread_local std::string text;
    return text;
}

// Reads of one connection before the others have their turn: a megabyte.
constexpr int max_turns = 16;

// What a client may send ahead while its request is answered. Beyond, it is not read until its turn comes.
constexpr std::size_t max_pending = std::size_t{64} * 1024;

// A body's length is only the client's word until the bytes are there: no more is set aside for it at once.
constexpr std::uint64_t trusted_length = std::uint64_t{1024} * 1024;

constexpr std::int64_t never = -1;

fairlead::HttpLimits limits_of(std::size_t max_body_bytes) {
    fairlead::HttpLimits limits;
    limits.max_body_bytes = max_body_bytes;
    return limits;
}

/// The usual words; a client reads the number.
std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 413:
            return "Content Too Large";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        default:
            return status < 400 ? "OK" : "Error";
    }
}

std::string to_text(const tcp::endpoint& endpoint) {
    return endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
}

}  // namespace

Connection::Connection(tcp::socket socket, std::shared_ptr<Server> server)
    : socket_{std::move(socket)},
      server_{std::move(server)},
      last_tick_{never},
      waits_since_{server_->next_wait()},
      max_body_bytes_{server_->max_body_bytes()},
      parser_{fairlead::HttpParser::Kind::request, limits_of(max_body_bytes_)} {}

Connection::~Connection() { server_->left(this); }

void Connection::run() {
    asio::dispatch(get_executor(), [self = shared_from_this()] {
        std::error_code error;
        const auto endpoint = self->socket_.socket().remote_endpoint(error);
        if (error) return;  // gone before it was greeted
        self->peer_ = to_text(endpoint);
        self->socket_.prepare(true);
        self->allow(self->server_->limits().head);
        self->wait_readable();
    });
}

// --- time
// -----------------------------------------------------------------------------------------------------

void Connection::allow(std::chrono::milliseconds time) noexcept {
    const auto coarseness = server_->limits().coarseness;
    const auto ticks = (time + coarseness - std::chrono::milliseconds{1}) / coarseness;
    // One more: the present tick has begun already.
    last_tick_.store(server_->tick() + ticks + 1, std::memory_order_relaxed);
}

void Connection::check_time() {
    // Relaxed: a value that is a moment old is looked at again a tick later, and on the executor before it
    // counts.
    const auto last = last_tick_.load(std::memory_order_relaxed);
    if (last == never || server_->tick() <= last) return;
    asio::post(get_executor(), [self = shared_from_this()] {
        const auto now = self->last_tick_.load(std::memory_order_relaxed);
        if (now != never && self->server_->tick() > now) self->on_time_out();
    });
}

void Connection::on_time_out() {
    if (state_ == State::reading) return refuse(408, "the request did not come in time");
    if (state_ == State::answering) return takes_more() ? allow(server_->limits().progress) : client_left();
    shut();
}

/// Whether the client's system has taken any of the answer since this was last asked, or the sending began.
/// What ours holds is counted out: it takes megabytes that a slow client needs minutes for.
bool Connection::takes_more() {
    if (sending_.empty()) return false;
    const auto held = static_cast<std::int64_t>(socket_.unacknowledged());
    const auto before = std::exchange(taken_, static_cast<std::int64_t>(written_) - held);
    return taken_ > before;
}

void Connection::leave_if_idle() {
    asio::post(get_executor(), [self = shared_from_this()] {
        if (self->state_ == State::idle) self->shut();
    });
}

void Connection::make_room() {
    asio::post(get_executor(), [self = shared_from_this()] {
        if (self->state_ == State::closed) return;
        // What has come and was not read yet may be a request: it is not to be met with a reset.
        if (self->state_ == State::idle && !self->socket_.has_something()) return self->shut();
        self->waits_since_.store(busy, std::memory_order_relaxed);
        self->server_->stays(self.get());
    });
}

void Connection::close_now() {
    asio::post(get_executor(), [self = shared_from_this()] {
        if (self->state_ == State::answering) return self->client_left();
        self->shut();
    });
}

// --- reading
// --------------------------------------------------------------------------------------------------

void Connection::wait_readable() {
    if (waiting_ || state_ == State::closed) return;
    if (state_ == State::answering && pending_.size() >= max_pending) return;  // its turn has not come
    waiting_ = true;
    if (socket_.is_watched()) return socket_.wait_readable(shared_from_this());
    socket_.async_wait_readable([self = shared_from_this()](std::error_code error) {
        self->waiting_ = false;
        if (self->state_ != State::closed) self->on_readable(error);
    });
}

void Connection::on_readable() {
    waiting_ = false;
    if (state_ != State::closed) on_readable({});
}

void Connection::on_readable(std::error_code error) {
    // As long as a body fills what is read at once: the next part is there already, or nearly.
    for (int turn = 0; turn < max_turns; ++turn) {
        const auto into = place_for_body();
        std::size_t count = 0;
        if (!error) count = socket_.read_some(into, error);
        if (error == asio::error::would_block || error == asio::error::try_again) break;
        if (error) return state_ == State::answering ? client_left() : shut();
        if (state_ == State::lingering) break;
        const std::string_view data{static_cast<const char*>(into.data()), count};
        if (state_ == State::answering) {
            pending_.append(data);
            break;
        }
        feed(data);
        if (state_ != State::reading || !head_seen_ || count < into.size()) break;
    }
    wait_readable();
}

/// Where to read next: the rest of a large body goes to its place at once, all else to the borrowed buffer.
asio::mutable_buffer Connection::place_for_body() {
    if (state_ != State::reading || !head_seen_) return asio::buffer(borrowed_buffer());
    const auto length = parser_.content_length().value_or(0);
    const auto left = length - std::min<std::uint64_t>(length, received_);
    if (left < read_size) return asio::buffer(borrowed_buffer());
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(left, trusted_length));
    if (incoming_.size() < received_ + read_size) incoming_.resize(received_ + room);
    return asio::buffer(incoming_.data() + received_, std::min(incoming_.size() - received_, room));
}

void Connection::keep_body(std::string_view piece) {
    if (piece.data() != incoming_.data() + received_) {
        if (incoming_.size() < received_ + piece.size()) incoming_.resize(received_ + piece.size());
        std::copy(piece.begin(), piece.end(), incoming_.begin() + static_cast<std::ptrdiff_t>(received_));
    }
    received_ += piece.size();
}

void Connection::feed(std::string_view data) {
    // Empty lines before a request are none of it: old clients end their bodies with one (RFC 9112, 2.2).
    if (state_ == State::idle && data.find_first_not_of("\r\n") != std::string_view::npos) {
        state_ = State::reading;
        waits_since_.store(busy, std::memory_order_relaxed);
        allow(server_->limits().head);
        if (const auto limit = server_->max_body_bytes(); limit != max_body_bytes_) {
            max_body_bytes_ = limit;
            parser_ = fairlead::HttpParser{fairlead::HttpParser::Kind::request, limits_of(limit)};
        }
    }
    for (;;) {
        const auto step = parser_.feed(data);
        if (step.error) return refuse(fairlead::refusal_status(step.error), step.error.message());
        data.remove_prefix(step.consumed);
        if (step.head_complete && !head_seen_) on_head(!data.empty());
        keep_body(step.body);
        if (step.message_complete) {
            pending_.assign(data);
            return serve();
        }
        if (data.empty() && !step.paused) break;
    }
    if (head_seen_) allow(server_->limits().progress);
    if (state_ == State::idle && waits_since() == busy) {  // that was no request
        waits_since_.store(server_->next_wait(), std::memory_order_relaxed);
    }
}

void Connection::on_head(bool more) {
    head_seen_ = true;
    const auto length = parser_.content_length().value_or(0);
    incoming_ = take_body(static_cast<std::size_t>(std::min<std::uint64_t>(length, trusted_length)));
    received_ = 0;
    const auto expectation = parser_.headers().get("Expect");
    if (!more && expectation && fairlead::equal_ignoring_case(*expectation, "100-continue") &&
        parser_.minor_version() > 0) {
        head_ = "HTTP/1.1 100 Continue\r\n\r\n";
        send_ready();
    }
}

void Connection::serve() {
    keep_alive_ = parser_.keep_alive();
    old_client_ = parser_.minor_version() == 0;
    request_ = parser_.take_request();
    incoming_.resize(received_);
    request_.body = share_body(std::exchange(incoming_, {}));
    bodiless_ = request_.method == "HEAD";
    parser_.next();
    head_seen_ = false;
    state_ = State::answering;
    last_tick_.store(never, std::memory_order_relaxed);
    wait_readable();
    serving_ = true;
    server_->handler()(shared_from_this());
    serving_ = false;
}

void Connection::refuse(int status, std::string_view message) {
    keep_alive_ = false;
    bodiless_ = false;
    state_ = State::answering;
    respond(server_->error_page(status, message));
}

// --- writing
// --------------------------------------------------------------------------------------------------

void Connection::start(const fairlead::HttpResponse& head, std::optional<std::uint64_t> length,
                       std::initializer_list<Field> own) {
    const bool no_content = head.status == 204 || head.status == 304 || head.status < 200;
    chunked_ = !length && !old_client_ && !no_content;
    if (!length && old_client_) keep_alive_ = false;
    if (server_->stopping()) keep_alive_ = false;
    remaining_ = length;
    bodiless_ = bodiless_ || no_content;

    if (head_.empty()) head_.swap(spare_text());
    head_ += "HTTP/1.1 ";
    head_ += std::to_string(head.status);
    head_ += ' ';
    head_ += head.reason.empty() ? reason_phrase(head.status) : std::string_view{head.reason};
    head_ += "\r\n";
    const auto is_replaced = [own](std::string_view name) {
        return std::any_of(own.begin(), own.end(), [name](const Field& field) {
            return fairlead::equal_ignoring_case(field.first, name);
        });
    };
    const auto field = [this](std::string_view name, std::string_view value) {
        head_.append(name).append(": ").append(value).append("\r\n");
    };
    for (const auto& [name, value] : head.headers) {
        if (fairlead::is_hop_by_hop(name) || fairlead::equal_ignoring_case(name, "Content-Length")) continue;
        if (!is_replaced(name)) field(name, value);
    }
    for (const auto& [name, value] : own) field(name, value);
    if (chunked_) head_ += "Transfer-Encoding: chunked\r\n";
    if (length && !no_content) head_ += "Content-Length: " + std::to_string(*length) + "\r\n";
    if (!keep_alive_) head_ += "Connection: close\r\n";
    if (keep_alive_ && old_client_) head_ += "Connection: keep-alive\r\n";
    head_ += "\r\n";
}

void Connection::respond(fairlead::HttpResponse response) {
    if (state_ != State::answering) return;
    responder_.reset();
    start(response, response.body.size(), {});
    body_ = std::move(response.body);
    if (!bodiless_) data_ = body_;
    finishing_ = true;
    if (send_ready()) answered();
}

void Connection::write(std::string_view data) {
    if (state_ != State::answering) return;
    data_ = data;
    if (send_ready()) tell_later({}, true, false);
}

bool Connection::offer(std::string_view data) {
    if (state_ != State::answering) return false;
    if (writing_) {  // the head is still on its way
        body_ = data;
        data_ = body_;
        return false;
    }
    data_ = data;
    return send_ready();
}

void Connection::finish() {
    if (state_ != State::answering) return;
    responder_.reset();
    finishing_ = true;
    if (send_ready()) answered();
}

void Connection::finish(std::string last) {
    if (state_ != State::answering) return;
    responder_.reset();
    body_ = std::move(last);
    data_ = body_;
    finishing_ = true;
    if (writing_) return;  // the head is still on its way
    if (!fairlead::detail::runs_here(get_executor()) ||
        !server_->coalescing().pays(std::chrono::steady_clock::now())) {
        if (send_ready()) answered();
        return;
    }
    fairlead::detail::post_on(get_executor(), [self = shared_from_this()] {
        // Where the end went out meanwhile, with what else was to be sent, the next request is being
        // answered.
        const bool waits = self->state_ == State::answering && self->finishing_;
        if (waits && self->send_ready()) self->answered();
    });
}

/// The whole answer is out. Not from within the handler's call: a client that asks ahead would make them
/// nest.
void Connection::answered() { serving_ ? tell_later({}, false, true) : next_request(); }

/// Sends whatever is ready, in one gathered write. True when it is all out; false when `on_sent` will tell.
bool Connection::send_ready() {
    if (writing_ || state_ == State::closed) return false;
    const bool piece = !data_.empty();
    const bool last = finishing_;
    if (remaining_ && !bodiless_) {
        // Too long or too short an answer: the client must see it, so nothing more may follow on this
        // connection.
        if (data_.size() > *remaining_ || (last && *remaining_ > data_.size())) {
            shut();
            return false;
        }
        *remaining_ -= data_.size();
    }
    std::array<asio::const_buffer, 4> buffers{asio::buffer(head_)};
    if (!bodiless_ && piece) {
        if (chunked_) {
            auto* const end = std::to_chars(size_line_.data(), size_line_.data() + 16, data_.size(), 16).ptr;
            end[0] = '\r';
            end[1] = '\n';
            buffers[1] =
                asio::buffer(size_line_.data(), static_cast<std::size_t>(end + 2 - size_line_.data()));
        }
        buffers[2] = asio::buffer(data_);
    }
    if (!bodiless_ && chunked_) {
        const std::string_view end = piece ? (last ? "\r\n0\r\n\r\n" : "\r\n") : (last ? "0\r\n\r\n" : "");
        buffers[3] = asio::buffer(end);
    }
    data_ = {};
    finishing_ = false;
    const auto size = asio::buffer_size(buffers);
    std::error_code error;
    const auto sent = size > 0 ? socket_.write_some(buffers, error) : 0;
    if (error && error != asio::error::would_block && error != asio::error::try_again) {
        tell_later(error, piece, last);
        return false;
    }
    if (sent < size) send_rest(buffers, sent, piece, last);
    if (!head_.empty()) {
        std::string text;
        text.swap(head_);
        text.clear();
        text.swap(spare_text());
    }
    return sent == size;
}

/// What the socket did not take is kept until it does.
void Connection::send_rest(std::span<const asio::const_buffer> buffers, std::size_t sent, bool piece,
                           bool last) {
    std::string rest;
    for (auto buffer : buffers) {
        const auto part = std::min(sent, buffer.size());
        sent -= part;
        buffer += part;
        rest.append(static_cast<const char*>(buffer.data()), buffer.size());
    }
    sending_ = std::move(rest);
    writing_ = true;
    written_ = 0;
    taken_ = -static_cast<std::int64_t>(socket_.unacknowledged());  // of what was sent before
    allow(server_->limits().progress);
    socket_.async_write(
        asio::buffer(sending_),
        [this](std::error_code error, std::size_t written) {
            written_ = written;
            return asio::transfer_all()(error, written);
        },
        [self = shared_from_this(), piece, last](std::error_code error, std::size_t) {
            std::string{}.swap(self->sending_);
            self->on_sent(error, piece, last);
        });
}

/// `on_sent`, but not from within the call that sent.
void Connection::tell_later(std::error_code error, bool piece, bool last) {
    writing_ = true;
    asio::post(get_executor(),
               [self = shared_from_this(), error, piece, last] { self->on_sent(error, piece, last); });
}

void Connection::on_sent(std::error_code error, bool piece, bool last) {
    writing_ = false;
    if (state_ == State::closed) return;
    if (error) return state_ == State::answering ? client_left() : shut();
    if (state_ == State::answering) last_tick_.store(never, std::memory_order_relaxed);
    if (last) return next_request();
    if (piece && responder_) std::shared_ptr {
            responder_
            } -> on_written();
    // What came while this was being sent.
    const bool more = !data_.empty();
    const bool end = finishing_;
    if ((head_.empty() && !more && !end) || !send_ready()) return;
    if (end) return next_request();
    if (more && responder_) std::shared_ptr {
            responder_
            } -> on_written();
}

void Connection::next_request() {
    responder_.reset();
    std::string{}.swap(body_);  // an idle connection keeps no answer
    if (!keep_alive_ || server_->stopping()) return linger();
    state_ = State::idle;
    bodiless_ = false;
    remaining_.reset();
    chunked_ = false;
    request_ = fairlead::HttpRequest{};
    old_client_ = false;
    allow(server_->limits().idle);
    if (!pending_.empty()) feed(std::exchange(pending_, {}));
    if (state_ == State::idle) {
        waits_since_.store(server_->next_wait(), std::memory_order_relaxed);
        server_->one_waits();
    }
    wait_readable();
}

// --- ends
// -----------------------------------------------------------------------------------------------------

void Connection::linger() {
    std::error_code error;
    socket_.shutdown_send(error);
    if (error) return shut();
    state_ = State::lingering;
    allow(server_->limits().linger);
    wait_readable();
}

void Connection::client_left() {
    const auto responder = std::exchange(responder_, nullptr);
    abort();
    if (responder) responder->on_left();
}

/// What nothing but the connection's end delimits would look complete at an orderly one.
void Connection::abort() {
    const bool ends_by_close = old_client_ && !remaining_;
    if (state_ == State::answering && ends_by_close) socket_.reset_at_close();
    shut();
}

/// Whoever calls holds the connection: the one that waits lets it go here.
void Connection::shut() {
    if (state_ == State::closed) return;
    state_ = State::closed;
    waits_since_.store(busy, std::memory_order_relaxed);
    last_tick_.store(never, std::memory_order_relaxed);
    socket_.close();  // from here on nothing reads the data that was being sent
    responder_.reset();
}

void Connection::reset() {
    socket_.reset_at_close();
    shut();
}

void Connection::send_raw(std::string bytes) {
    body_ = std::move(bytes);
    head_ += body_;
    keep_alive_ = false;
    bodiless_ = true;
    finishing_ = true;
    if (send_ready()) answered();
}

}  // namespace http_server
