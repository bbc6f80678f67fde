// The way of an exchange from the first byte of the response: head, body, pieces.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <asio/error.hpp>
#include <asio/ssl/error.hpp>

#include <fairlead/transport/detail/dispatch.hpp>
#include <fairlead/transport/detail/recycled.hpp>

#include "exchange.hpp"

namespace fairlead::detail {
namespace {

// One thread reads one socket at a time, so one buffer a thread is enough. 64 KiB: what a socket gives in one
// go.
std::array<char, std::size_t{64} * 1024>& borrowed_buffer() {
    thread_local std::array<char, std::size_t{64} * 1024> buffer;
    return buffer;
}

// In one turn of the loop, a megabyte at most: what else the loop has to do waits, time-outs among it.
constexpr int most_reads = 16;

// Memory for a body is taken at once up to here; a peer that announces more must send it first.
constexpr std::uint64_t most_reserved = std::uint64_t{1024} * 1024;

bool is_event_stream(const HttpResponse& head) {
    constexpr std::string_view type = "text/event-stream";
    const auto said = head.headers.get("Content-Type").value_or("").substr(0, type.size());
    return std::equal(said.begin(), said.end(), type.begin(), type.end(), [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
    });
}

bool is_would_block(std::error_code error) noexcept {
    return error == asio::error::would_block || error == asio::error::try_again;
}

}  // namespace

void Exchange::wait_readable() {
    if (waiting_ || phase_ == Phase::done) return;
    waiting_ = true;
    // A former attempt's connection is closed, and tells nobody any more.
    if (connection_->socket.is_watched()) return connection_->socket.wait_readable(shared_from_this());
    connection_->socket.async_wait_readable(bound([](Exchange& self, std::error_code error) {
        if (!error) return self.on_readable();
        self.waiting_ = false;
        self.on_read_error(error);
    }));
}

/// Behind the loop's other work, though nothing more may come.
void Exchange::read_later() {
    // What a read has left is news still.
    if (!connection_->is_tls()) return wait_readable();
    // It may have left the socket already.
    asio::post(strand_, [self = shared_from_this()] {
        if (self->phase_ != Phase::done) self->on_readable();
    });
}

void Exchange::on_readable() {
    waiting_ = false;
    if (phase_ == Phase::head || whole_) return read_head_or_whole();
    if (read_ || piece_) read_body();
}

void Exchange::read_head_or_whole() {
    auto& buffer = borrowed_buffer();
    for (int i = 0; i < most_reads; ++i) {
        std::error_code error;
        const auto size = connection_->read_some(asio::buffer(buffer), error);
        if (is_would_block(error)) return wait_readable();
        if (error) return on_read_error(error);
        parse({buffer.data(), size});
        if (phase_ == Phase::done || (head_taken_ && !whole_)) return;
        // TLS may hold more than the socket shows; a plain socket that gave less than was asked for is empty.
        if (!connection_->is_tls() && size < buffer.size()) return wait_readable();
    }
    read_later();
}

/// What came into the borrowed buffer: the head, and what there is of the body.
void Exchange::parse(std::span<const char> data) {
    auto& parser = connection_->parser;
    any_byte_ = true;
    spend_silence();
    bool complete = false;
    while (!data.empty() && !complete) {
        const auto step = parser.feed(data);
        if (step.error) return fail(step.error);
        data = data.subspan(step.consumed);
        take_head(step.head_complete);
        complete = step.message_complete;
        if (step.body.empty()) continue;
        note_body(step.body);
        if (!whole_) {
            pending_.append(step.body);
            continue;
        }
        if (response_.body.size() + step.body.size() > transport_->options.max_response_bytes) {
            return fail(TransportErrc::response_too_large);
        }
        response_.body.append(step.body);
    }
    if (complete) {
        came_whole_ = true;
        message_done(data.empty());
    } else if (head_taken_) {
        phase_ = Phase::body;
        no_limit();
        if (whole_) limit_silence();
    }
    if (head_taken_ && (!whole_ || complete)) complete_head();
}

void Exchange::take_head(bool head_complete) {
    if (!head_complete || head_taken_) return;
    head_taken_ = true;
    auto& parser = connection_->parser;
    response_ = parser.take_response();
    keep_ = time_to_keep();
    if (!transport_->options.comments_count && is_event_stream(response_)) {
        comments_.emplace();
        silence_left_ = first_byte_timeout_;
    }
    // Nothing is sent twice from here on; what is still being sent must stay.
    if (written_) {
        std::string{}.swap(head_);
        body_ = {};
    }
    if (whole_) {
        response_.body.reserve(
            static_cast<std::size_t>(std::min(parser.content_length().value_or(0), most_reserved)));
    }
}

/// Completes the operation that began the exchange. Dispatched: this runs in a completion of our own.
void Exchange::complete_head() {
    if (whole_) return send_.dispatch({}, std::move(response_));
    open_.dispatch({}, std::move(response_), HttpBody{shared_from_this()});
}

void Exchange::on_read_error(std::error_code error) {
    auto& parser = connection_->parser;
    const bool cut = error == asio::ssl::error::stream_truncated;
    if (phase_ == Phase::head && !any_byte_) {
        if (may_send_again()) return send_again();
        return fail(write_failed_                            ? TransportErrc::write_failed
                    : error == asio::error::eof || cut       ? TransportErrc::closed_before_response
                    : error == asio::error::connection_reset ? TransportErrc::connection_reset
                                                             : TransportErrc::closed_before_response);
    }
    if (error != asio::error::eof && !cut) return fail(TransportErrc::connection_reset);
    const auto step = parser.finish();
    if (step.error) return fail(step.error);
    if (cut) return fail(TransportErrc::truncated_tls);
    message_done(true);
    if (whole_) return send_.dispatch({}, std::move(response_));
    complete_read(asio::error::eof, 0);
}

// --- pieces ---

void Exchange::read(asio::mutable_buffer into, ReadCompletion done) {
    dispatch_on(strand_, [self = shared_from_this(), into, done = std::move(done)]() mutable {
        auto& e = *self;
        if (e.pending_.size() > e.pending_read_) {
            // A buffer of no size may be at no place.
            const auto size = e.pending_.copy(static_cast<char*>(into.data()), into.size(), e.pending_read_);
            e.pending_read_ += size;
            if (e.pending_read_ == e.pending_.size()) {
                std::string{}.swap(e.pending_);  // an idle stream holds no buffer
                e.pending_read_ = 0;
            }
            return done.post({}, size);
        }
        if (e.phase_ == Phase::done) return done.post(e.error_, 0);
        e.read_ = std::move(done);
        e.into_ = into;
        e.begin_read();
    });
}

void Exchange::read_piece(PieceCompletion done, bool may_lend) {
    dispatch_on(strand_, [self = shared_from_this(), done = std::move(done), may_lend]() mutable {
        auto& e = *self;
        if (auto ready = e.take_ready(); !ready.data.empty()) {
            return done.post({}, HttpPiece{std::move(ready.data)});
        }
        if (e.phase_ == Phase::done) return done.post(e.error_, HttpPiece{});
        e.piece_ = std::move(done);
        e.may_lend_ = may_lend && e.transport_->options.one_thread;
        e.begin_read();
    });
}

HttpReady Exchange::take_ready() {
    HttpReady ready{std::exchange(pending_, {}), came_whole_};
    if (pending_read_ > 0) ready.data.erase(0, std::exchange(pending_read_, 0));
    return ready;
}

void Exchange::begin_read() {
    limit_silence();
    if (!put_off_reading()) read_later();
}

/// Reads into the caller's buffer, or into the thread's, and takes the framing out in place: it is never
/// shorter than the data.
void Exchange::read_body() {
    if (piece_) into_ = asio::buffer(borrowed_buffer());
    if (into_.size() == 0) return complete_read({}, 0);
    auto* const base = static_cast<char*>(into_.data());
    for (bool first = true;; first = false) {
        std::error_code error;
        const auto size = connection_->read_some(into_, error);
        if (is_would_block(error)) {
            if (first && gathering_.until() != Gathering::at_once) {
                gathering_.found_nothing(now());
            } else {
                gathering_.forget();
            }
            return wait_readable();
        }
        if (error) return on_read_error(error);
        spend_silence();
        std::span<const char> data{base, size};
        std::size_t kept = 0;
        int chunks = 0;
        bool complete = false;
        while (!data.empty() && !complete) {
            const auto step = connection_->parser.feed(data);
            if (step.error) return complete_then(kept, [this, &step] { fail(step.error); });
            data = data.subspan(step.consumed);
            complete = step.message_complete;
            if (step.body.empty()) continue;
            if (step.body.data() != base + kept)
                std::memmove(base + kept, step.body.data(), step.body.size());
            kept += step.body.size();
            ++chunks;
        }
        if (kept > 0) note_body({base, kept});
        if (complete) {
            message_done(data.empty());
            return kept > 0 ? complete_read({}, kept) : complete_read(asio::error::eof, 0);
        }
        if (kept > 0) {
            // Before whoever reads asks for more.
            const bool emptied = size < into_.size();
            if (emptied && chunks > 1) {
                gathering_.took(now(), chunks, kept);
            } else {
                gathering_.forget();
            }
            return complete_read({}, kept);
        }
        limit_silence();
        if (phase_ == Phase::done) return;
    }
}

/// What came whole before the body ended or broke is given first; the next read is told how.
template <class End>
void Exchange::complete_then(std::size_t kept, End end) {
    if (kept == 0) return end();
    auto read = std::move(read_);
    auto piece = std::move(piece_);
    end();
    if (read) return read.dispatch({}, kept);
    piece.dispatch({}, HttpPiece{std::string{static_cast<const char*>(into_.data()), kept}});
}

void Exchange::complete_read(std::error_code error, std::size_t size) {
    if (phase_ != Phase::done) no_limit();  // silence counts only while somebody waits
    if (read_) return read_.dispatch(error, size);
    if (!piece_) return;
    const std::string_view bytes{static_cast<const char*>(into_.data()), size};
    piece_.dispatch(error, may_lend_ || size == 0 ? HttpPiece::lent(bytes) : HttpPiece{std::string{bytes}});
}

// --- making one ---

std::shared_ptr<HttpExchange> make_exchange(const std::shared_ptr<TransportState>& transport,
                                            const BackendConfig& backend, const HttpRequest& request,
                                            Deadline deadline, SendCompletion done) {
    return make_recycled<Exchange>(transport, backend, request, deadline, std::move(done), OpenCompletion{});
}

std::shared_ptr<HttpExchange> make_exchange(const std::shared_ptr<TransportState>& transport,
                                            const BackendConfig& backend, const HttpRequest& request,
                                            Deadline deadline, OpenCompletion done) {
    return make_recycled<Exchange>(transport, backend, request, deadline, SendCompletion{}, std::move(done));
}

}  // namespace fairlead::detail
