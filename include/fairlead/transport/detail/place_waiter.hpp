// A request in the waiting line, on an Asio executor: served by whoever frees a place, woken by a timer.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>

#include <fairlead/balancer/detail/waiting_line.hpp>

namespace fairlead::detail {

/// `Done` is `void(Lease)`, called once on the executor. What `criteria` refers to must live until then.
///
/// Threads: `join` and `leave` where the operation runs; the rest is the line's. A strand of its own, because
/// the timer and whoever serves it may come at the same time.
template <class Core, class Done>
class PlaceWaiter final : public Waiter, public std::enable_shared_from_this<PlaceWaiter<Core, Done>> {
  public:
    PlaceWaiter(Core& core, const asio::any_io_executor& executor, const Criteria& criteria, Done done)
        : core_{core},
          strand_{asio::make_strand(executor)},
          timer_{strand_},
          criteria_{criteria},
          done_{std::move(done)} {}

    void join(const RequestOptions& options) { core_.line().join(this->shared_from_this(), options); }
    void leave() { core_.line().leave(this->shared_from_this()); }

    const Criteria& criteria() const noexcept override { return criteria_; }

    void served(Lease lease) override {
        asio::post(strand_, [self = this->shared_from_this(), lease = std::move(lease)]() mutable {
            self->is_served_ = true;
            self->timer_.cancel();
            std::exchange(self->done_, std::nullopt).value()(std::move(lease));
        });
    }

    void look_by(Time at) override {
        asio::post(strand_, [self = this->shared_from_this(), at] { self->wake_by(at); });
    }

  private:
    void wake_by(Time at) {
        if (is_served_) return;
        last_ = std::max(last_, at);
        if (at >= next_) return;
        next_ = at;
        timer_.expires_after(std::max(at - core_.clock().now(), Duration::zero()));
        timer_.async_wait([self = this->shared_from_this()](std::error_code error) {
            if (!error) self->woken();
        });
    }

    void woken() {
        if (is_served_) return;  // the balancer may be gone: cancelling does not call off what has expired
        next_ = Time::max();
        // The end of its time stands, whatever comes before it; past it, a clock that stands still (a test's)
        // is not asked again. Read before the look, which a clock that is behind the timer may show too
        // early.
        const bool is_early = last_ > core_.clock().now();
        core_.look();  // serves, or asks to look again
        if (is_early) wake_by(last_);
    }

    Core& core_;
    asio::strand<asio::any_io_executor> strand_;
    asio::steady_timer timer_;
    const Criteria criteria_;
    std::optional<Done> done_;
    Time next_ = Time::max();
    Time last_{};
    bool is_served_ = false;
};

}  // namespace fairlead::detail
