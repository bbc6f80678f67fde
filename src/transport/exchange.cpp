// The way of an exchange up to the response's head: its begin, request, time-outs, and its end.
#include "exchange.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <string_view>
#include <utility>

#include <asio/error.hpp>

#include <fairlead/transport/detail/dispatch.hpp>

#include "header_list.hpp"

namespace fairlead::detail {
namespace {

// Of requests that begin together, one looks for connections that were closed. A backend that closes within
// this time is as one that closes while the request is on its way.
constexpr Duration shortly = std::chrono::microseconds{50};

}  // namespace

Exchange::Exchange(std::shared_ptr<TransportState> transport, const BackendConfig& backend,
                   const HttpRequest& request, Deadline deadline, SendCompletion send, OpenCompletion open)
    : transport_{std::move(transport)},
      started_{now()},
      endpoint_{transport_->endpoint(backend.url, started_)},
      refused_{prepare(backend, request, deadline)},
      connection_{refused_ || transport_->options.one_thread ? nullptr : endpoint_->take(started_)},
      strand_{connection_ ? connection_->strand : transport_->make_strand()},
      timer_{strand_},
      connect_timeout_{backend.connect_timeout},
      timeout_{backend.timeout},
      first_byte_timeout_{backend.first_byte_timeout.value_or(backend.timeout)},
      idle_timeout_{backend.idle_timeout.value_or(backend.timeout)},
      send_{std::move(send)},
      open_{std::move(open)},
      whole_{send_},
      reused_{connection_ != nullptr} {}

Exchange::~Exchange() = default;

/// Writes what is to be sent, or says why nothing is. For the constructor: uses what stands before
/// `refused_`.
std::error_code Exchange::prepare(const BackendConfig& backend, const HttpRequest& request,
                                  Deadline deadline) {
    if (!endpoint_) return TransportErrc::bad_url;
    if (const auto bad = write_head(request, endpoint_->origin, backend.api_key, head_)) return bad;
    if (transport_->options.ask_for_load && !request.headers.contains(orca_request_header)) {
        // Before the empty line.
        head_.insert(head_.size() - 2, std::string{orca_request_header} + ": TEXT\r\n");
    }
    method_ = request.method;
    body_ = request.body;
    overall_at_ = deadline.at;
    overall_error_ = Errc::deadline_passed;
    if (backend.total_timeout) {
        const auto total = Deadline::in(*backend.total_timeout, started_);
        if (total.at < overall_at_) {
            overall_at_ = total.at;
            overall_error_ = TransportErrc::total_timeout;
        }
    }
    return overall_at_ <= started_ ? overall_error_ : std::error_code{};
}

void Exchange::start() {
    if (refused_) {
        over();
        error_ = refused_;
        if (send_) return send_.post(refused_, HttpResponse{});
        return open_.post(refused_, HttpResponse{}, HttpBody{});
    }
    const bool waits =
        transport_->options.one_thread && runs_here(strand_) && transport_->coalescing.pays(started_);
    if (waits) return post_on(strand_, [self = shared_from_this()] { self->begin_first(shortly); });
    dispatch_on(strand_, [self = shared_from_this()] { self->begin_first(Duration::zero()); });
}

void Exchange::cancel() {
    // Acquire: pairs with the release in over(). A stale false costs a look on the strand.
    if (over_.load(std::memory_order_acquire)) return;
    dispatch_on(strand_, [self = shared_from_this()] {
        if (self->phase_ != Phase::done) self->fail(Errc::cancelled);
    });
}

/// `age`: how old what is known of the idle connections may be.
void Exchange::begin_first(Duration age) {
    if (phase_ == Phase::done) return;
    // Here, and not before the wait: what was seen of a connection then may have changed.
    if (transport_->options.one_thread) {
        if (transport_->poller != nullptr) transport_->poller->collect(age);
        connection_ = endpoint_->take(started_);
        reused_ = connection_ != nullptr;
    }
    begin();
}

// --- the request ---

void Exchange::write() {
    phase_ = Phase::head;
    connecting_.reset();
    auto& parser = connection_->parser;
    parser.next();
    parser.answer_to(method_);
    std::array<asio::const_buffer, 2> rest{asio::buffer(head_), asio::buffer(body_.view())};
    // With TLS, a read and a write at one time would share the engine's output: there the answer is read when
    // the request is sent. Else an answer may come before that (and the rest of the request never be read).
    if (!connection_->is_tls()) {
        std::error_code error;
        auto sent = connection_->socket.write_some(rest, error);
        const bool full = error == asio::error::would_block || error == asio::error::try_again;
        for (auto& buffer : rest) {
            const auto part = std::min(sent, buffer.size());
            buffer += part;
            sent -= part;
        }
        if ((error && !full) || asio::buffer_size(rest) == 0)
            return on_written(full ? std::error_code{} : error);
        wait_readable();
    }
    limit(timeout_, TransportErrc::write_timeout);
    connection_->async_write(
        rest, bound([](Exchange& self, std::error_code error, std::size_t) { self.on_written(error); }));
}

void Exchange::on_written(std::error_code error) {
    if (error) {
        write_failed_ = true;  // what the backend said before it closed may still be read
    } else {
        written_ = true;
        if (phase_ == Phase::head) limit(timeout_, TransportErrc::response_timeout);
    }
    // Of the body, whoever reads it waits.
    if (phase_ == Phase::head) wait_readable();
}

bool Exchange::may_send_again() const noexcept {
    return reused_ && !any_byte_ && (!written_ || is_idempotent(method_));
}

/// The connection was used again and is dead: once more, over a new one.
void Exchange::send_again() {
    ++attempt_;
    former_ = std::move(connection_);
    former_->close();
    reused_ = written_ = write_failed_ = waiting_ = false;
    begin();
}

// --- the end ---

/// The response is complete. `clean`: nothing came behind it.
void Exchange::message_done(bool clean) {
    over();
    error_ = asio::error::eof;
    const bool reusable = clean && written_ && !waiting_ && connection_->parser.keep_alive();
    if (!reusable || keep_ <= Duration::zero()) return close();
    endpoint_->put(std::move(connection_), now() + keep_, transport_->options.max_idle_per_backend);
}

void Exchange::over() {
    phase_ = Phase::done;
    no_limit();
    timer_.cancel();
    ++armed_;
    over_.store(true, std::memory_order_release);  // pairs with the acquire in cancel()
}

Duration Exchange::time_to_keep() const {
    Duration keep = transport_->options.idle_timeout;
    if (const auto told = response_.headers.get("Keep-Alive")) {
        for_each_token(*told, [&](std::string_view token) {
            constexpr std::string_view parameter = "timeout=";
            if (!token.starts_with(parameter)) return;
            int seconds = 0;
            std::from_chars(token.data() + parameter.size(), token.data() + token.size(), seconds);
            // A second less than told, so that the backend's closing and our next request do not cross.
            keep = std::min<Duration>(keep, std::chrono::seconds{seconds - 1});
        });
    }
    return keep;
}

void Exchange::fail(std::error_code error) {
    over();
    error_ = error;
    connecting_.reset();
    close();
    // Posted: this may run inside an initiating function or a cancellation.
    if (send_) return send_.post(error, HttpResponse{});
    if (open_) return open_.post(error, HttpResponse{}, HttpBody{});
    if (read_) read_.post(error, 0);
    if (piece_) piece_.post(error, HttpPiece{});
}

void Exchange::close() {
    if (connection_) connection_->close();
}

// --- time ---

void Exchange::limit(Duration wait, std::error_code why) { limit_until(Deadline::in(wait, now()).at, why); }

void Exchange::limit_until(Time at, std::error_code why) {
    limit_at_ = at;
    limit_error_ = why;
    // A timer that is armed for an earlier moment finds the later one when it fires: a stream moves its limit
    // with every piece and never touches the timer.
    if (due() < armed_at_) arm(due());
}

/// False when the next read had better not wait.
bool Exchange::put_off_reading() {
    const Time until = gathering_.until();
    if (until == Gathering::at_once) return false;
    auto& socket = connection_->socket;
    // A buffer of no size waits for what there is to read, and a time-out must not find it unread.
    const bool may = phase_ == Phase::body && !waiting_ && socket.is_watched() &&
                     (piece_ || into_.size() > 0) && until < due() && now() < until;
    if (!may) {
        gathering_.forget();
        return false;
    }
    socket.hold_news();
    read_at_ = until;
    if (read_at_ < armed_at_) arm(read_at_);
    return true;
}

void Exchange::read_put_off() {
    read_at_ = Time::max();
    if (due() != Time::max()) arm(due());
    if (read_ || piece_) read_body();
}

void Exchange::no_limit() noexcept { limit_at_ = Time::max(); }

/// Somebody waits for the body's next piece.
void Exchange::limit_silence() {
    const auto why = body_began_ ? TransportErrc::idle_timeout : TransportErrc::first_byte_timeout;
    if (!comments_) return limit(body_began_ ? idle_timeout_ : first_byte_timeout_, why);
    // A peer that never stops to send comments would be read before each look at the timer.
    if (silence_left_ <= Duration::zero()) return fail(why);
    limit(silence_left_, why);
}

/// Something came, if only framing. Of a silence that comments do not end, the part is taken off in which
/// somebody waited.
void Exchange::spend_silence() noexcept {
    if (comments_ && phase_ == Phase::body && limit_at_ != Time::max()) silence_left_ = limit_at_ - now();
}

/// Some of the body came, not empty.
void Exchange::note_body(std::string_view bytes) {
    if (comments_ && !comments_->says_something(bytes)) return;
    body_began_ = true;
    if (comments_) silence_left_ = idle_timeout_;
}

void Exchange::arm(Time at) {
    armed_at_ = at;
    timer_.expires_at(at);
    timer_.async_wait([self = shared_from_this(), which = ++armed_](std::error_code) {
        if (which == self->armed_ && self->phase_ != Phase::done) self->on_timer();
    });
}

void Exchange::on_timer() {
    armed_at_ = Time::max();
    const Time at = due();
    if (at == Time::max()) return;
    if (now() < at) return arm(at);
    if (at == read_at_) return read_put_off();
    if (overall_at_ <= limit_at_) return fail(overall_error_);
    if (phase_ == Phase::connecting) return no_answer_there();
    fail(limit_error_);
}

}  // namespace fairlead::detail
