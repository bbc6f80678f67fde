// Reads one page of a backend, up to a size.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>

#include <fairlead/transport/http_message.hpp>
#include <fairlead/transport/transport_error.hpp>

namespace fairlead::detail {

/// Head and body over a transport's `async_open`; with more than `most` bytes it closes the connection and
/// says `response_too_large`. The steps are called one after the other, on the handler's executor; each
/// carries its cancellation slot.
template <class Body, class Handler>
class Scrape : public std::enable_shared_from_this<Scrape<Body, Handler>> {
  public:
    Scrape(Handler handler, asio::any_io_executor fallback, std::size_t most)
        : handler_{std::move(handler)}, fallback_{std::move(fallback)}, most_{most} {}

    struct Step {
        using executor_type = asio::associated_executor_t<Handler, asio::any_io_executor>;
        using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

        executor_type get_executor() const noexcept {
            return asio::get_associated_executor(self->handler_, self->fallback_);
        }
        cancellation_slot_type get_cancellation_slot() const noexcept {
            return asio::get_associated_cancellation_slot(self->handler_);
        }
        void operator()(std::error_code error, HttpResponse head, Body body) const {
            if (error) return self->complete(error);
            self->response_ = std::move(head);
            self->body_ = std::move(body);
            self->read();
        }
        void operator()(std::error_code error, std::size_t count) const { self->came(error, count); }

        std::shared_ptr<Scrape> self;
    };

    Step step() { return {this->shared_from_this()}; }

  private:
    void read() { body_.async_read(asio::buffer(piece_), step()); }

    void came(std::error_code error, std::size_t count) {
        if (error == asio::error::eof) return complete({});
        if (error) return complete(error);
        if (response_.body.size() + count > most_) {
            body_.cancel();
            return complete(TransportErrc::response_too_large);
        }
        response_.body.append(piece_.data(), count);
        read();
    }

    void complete(std::error_code error) { std::move(handler_)(error, std::move(response_)); }

    Handler handler_;
    const asio::any_io_executor fallback_;
    const std::size_t most_;
    HttpResponse response_{};
    Body body_{};
    std::array<char, 16 * 1024> piece_;
};

}  // namespace fairlead::detail
