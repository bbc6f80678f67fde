// The page with the headers that lock it in, and the streams of snapshots.
#include "gateway/dashboard.hpp"

#include <array>
#include <random>
#include <string>
#include <utility>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include "gateway/admin.hpp"
#include "gateway/dashboard_page.hpp"
#include "gateway/errors.hpp"

namespace gateway {

using http_server::Exchange;

namespace {

constexpr std::string_view events_path = "/events";

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

/// Names the page's own script and style, so that no other can run. From the system's source of randomness:
/// a nonce that can be guessed is none.
std::string new_nonce() {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::random_device random;
    std::string nonce;
    // 128 bits, the least that the Content Security Policy asks for.
    for (int word = 0; word < 4; ++word) {
        for (auto [bits, digit] = std::pair{random(), 0}; digit < 8; ++digit, bits >>= 4)
            nonce += digits[bits & 15];
    }
    return nonce;
}

/// The page with `nonce` in the places that are kept for one.
std::string page_with(std::string_view nonce) {
    constexpr std::string_view place = "{{nonce}}";
    std::string page;
    std::string_view rest = dashboard_page;
    for (auto at = rest.find(place); at != std::string_view::npos; at = rest.find(place)) {
        page.append(rest.substr(0, at)).append(nonce);
        rest.remove_prefix(at + place.size());
    }
    return page.append(rest);
}

fairlead::HttpResponse page_response() {
    const std::string nonce = new_nonce();
    fairlead::HttpResponse response{200, page_with(nonce), {{"Content-Type", "text/html; charset=utf-8"}}};
    // `data:` is the empty icon, without which a browser asks for /favicon.ico.
    response.headers.set("Content-Security-Policy",
                         "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" + nonce +
                             "'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                             "frame-ancestors 'none'");
    response.headers.set("X-Content-Type-Options", "nosniff");
    response.headers.set("X-Frame-Options", "DENY");
    response.headers.set("Referrer-Policy", "no-referrer");
    response.headers.set("Cache-Control", "no-store");
    return response;
}

}  // namespace

http_server::Handler dashboard_handler() {
    return [](const auto& exchange) {
        const auto& request = exchange->request();
        if (path_of(request.target) != dashboard_path)
            return exchange->respond(error_response(unknown_path(request.target)));
        if (request.method != "GET" && request.method != "HEAD") {
            auto refusal = admin_error_page(405, "use GET");
            refusal.headers.set("Allow", "GET, HEAD");
            return exchange->respond(std::move(refusal));
        }
        exchange->respond(page_response());
    };
}

/// One client's stream. Everything but its making runs on the exchange's executor.
class EventStream final : public http_server::Responder, public std::enable_shared_from_this<EventStream> {
  public:
    EventStream(const fairlead::AdminApi& api, std::shared_ptr<Exchange> exchange,
                std::chrono::milliseconds period)
        : api_{api},
          executor_{exchange->get_executor()},
          exchange_{std::move(exchange)},
          timer_{executor_},
          period_{period},
          headers_{exchange_->request().headers},
          peer_{exchange_->peer()} {}

    /// The answer begins; false when it was a refusal.
    bool run() {
        if (!take_snapshot()) {
            std::exchange(exchange_, nullptr)->respond(std::move(refusal_));
            return false;
        }
        exchange_->attach(shared_from_this());
        fairlead::HttpResponse head{200, {}, {{"Content-Type", "text/event-stream"}}};
        head.headers.set("Cache-Control", "no-store");
        head.headers.set("X-Accel-Buffering", "no");  // nginx would collect the snapshots
        exchange_->start(head, std::nullopt);
        send();
        return true;
    }

    /// From any thread.
    void stop() {
        asio::post(executor_, [self = shared_from_this()] { self->end(); });
    }

    void on_written() override {
        writing_ = false;
        timer_.expires_after(period_);
        timer_.async_wait([self = shared_from_this()](std::error_code error) {
            // An expiry that was on its way when the timer was cancelled comes without an error.
            if (error || !self->exchange_) return;
            // Refused in the middle: the key is another one by now.
            self->take_snapshot() ? self->send() : self->end();
        });
    }

    void on_left() override {
        exchange_.reset();
        timer_.cancel();
    }

  private:
    void send() {
        writing_ = true;
        exchange_->write(event_);
    }

    void end() {
        if (!exchange_) return;
        timer_.cancel();
        const auto exchange = std::exchange(exchange_, nullptr);
        // What is being written must stay until it is, and a client that does not read would hold us up.
        writing_ ? exchange->abort() : exchange->finish();
    }

    /// Asks the API for what the event is made of; false with `refusal_` when it does not tell.
    bool take_snapshot() {
        static constexpr std::array<std::string_view, 3> parts{"status", "backends", "strategy"};
        event_ = "data: {";
        for (const auto part : parts) {
            const std::string target = std::string{fairlead::AdminApi::prefix}.append("/").append(part);
            bool told = false;
            // Read calls are answered at once.
            api_.handle({"GET", target, headers_, {}, peer_},
                        [&](int status, fairlead::HttpHeaders headers, std::string body) {
                            told = status == 200;
                            if (told) return append(part, body);
                            refusal_ = fairlead::HttpResponse{status, std::move(body), std::move(headers)};
                        });
            if (!told) return false;
        }
        event_.back() = '}';  // the last comma
        event_ += "\n\n";
        return true;
    }

    /// The answer as it is, `data` and all, without its line end: an event's line must be one.
    void append(std::string_view part, std::string_view body) {
        if (body.ends_with('\n')) body.remove_suffix(1);
        event_.append("\"").append(part).append("\":").append(body).append(",");
    }

    const fairlead::AdminApi& api_;
    asio::any_io_executor executor_;
    std::shared_ptr<Exchange> exchange_;  // empty once it is over
    asio::steady_timer timer_;
    const std::chrono::milliseconds period_;
    const fairlead::HttpHeaders headers_;
    const std::string peer_;
    std::string event_{};
    fairlead::HttpResponse refusal_{};
    bool writing_ = false;
};

http_server::Handler EventStreams::handler() {
    return [this, api = admin_handler(api_)](const std::shared_ptr<Exchange>& exchange) {
        auto path = path_of(exchange->request().target);
        path.remove_prefix(fairlead::AdminApi::prefix.size());
        if (path != events_path) return api(exchange);  // which does not know it
        const bool reads = exchange->request().method == "GET";
        if (!reads && api_.admits(exchange->request().headers, exchange->peer())) {
            auto refusal = admin_error_page(405, "use GET");
            refusal.headers.set("Allow", "GET");
            return exchange->respond(std::move(refusal));
        }
        const auto stream = std::make_shared<EventStream>(api_, exchange, period_);
        if (!stream->run()) return;
        const std::lock_guard lock{mutex_};
        if (stopped_) return stream->stop();
        std::erase_if(streams_, [](const auto& other) { return other.expired(); });
        streams_.push_back(stream);
    };
}

void EventStreams::stop() {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
    for (const auto& held : streams_) {
        if (const auto stream = held.lock()) stream->stop();
    }
}

std::size_t EventStreams::size() const {
    const std::lock_guard lock{mutex_};
    std::size_t open = 0;
    for (const auto& held : streams_) open += held.expired() ? 0U : 1U;
    return open;
}

}  // namespace gateway
