// What the asynchronous exchanges share: their steps, their tries, waiting, hedging, cancellation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>

#include <fairlead/balancer/detail/exchange.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/transport/detail/dispatch.hpp>
#include <fairlead/transport/detail/executor_of.hpp>
#include <fairlead/transport/detail/mirror.hpp>
#include <fairlead/transport/detail/owned_criteria.hpp>
#include <fairlead/transport/detail/place_waiter.hpp>

namespace fairlead::detail {

/// Where a step runs: a handler must never be called inside the initiating function.
enum class Where : std::uint8_t { initiating, executor };

/// Runs one request's exchange over an asynchronous transport. `Derived` sends (`try_on(which)`), says what
/// the end of a try means (`tried(...)`), and completes with what there is (`give_up(error, wait, where)`).
///
/// At most two tries are under way at once, the second a hedge. Threads: the steps run one at a time, on the
/// handler's executor; on a strand above it if hedging was on when it began, because only then two things are
/// awaited.
template <class Derived, class Core, class Transport, class Handler>
class Operation : public std::enable_shared_from_this<Derived> {
  public:
    using Request = typename Transport::Request;
    using Response = typename Transport::Response;
    static constexpr bool repeats = std::copy_constructible<Request>;  // else it is sent once

    Operation(Core& core, Transport& transport, Request request, OwnedCriteria criteria,
              const RequestOptions& options, Handler handler)
        : core_{core},
          transport_{transport},
          request_{std::move(request)},
          criteria_{std::move(criteria)},
          exchange_{core, criteria_.view(), options, repeats},
          work_{asio::prefer(executor_of(handler, default_executor(transport)),
                             asio::execution::outstanding_work.tracked)},
          hedges_{core.tries().hedges()},
          executor_{hedges_ ? asio::any_io_executor{asio::make_strand(work_)} : work_},
          slot_{asio::get_associated_cancellation_slot(handler)},
          handler_{std::move(handler)} {}

    void start() {
        if (slot_.is_connected()) {
            slot_.assign([weak = this->weak_from_this()](asio::cancellation_type type) {
                if (const auto self = weak.lock()) self->cancel(type);
            });
        }
        if (!hedges_) return step(Where::initiating);
        asio::post(executor_, [self = this->shared_from_this()] { self->step(Where::executor); });
    }

  protected:
    struct Try {
        Lease lease{};
        // Where hedges may come: the lease may go before the transport is done. Apart, because it is large.
        std::unique_ptr<BackendConfig> config{};
        asio::cancellation_signal signal{};
        Time began{};
        bool under_way = false;

        const BackendConfig& backend() const noexcept { return config ? *config : *lease; }
    };

    /// What the transport's operations are called back with: knows the executor, and the try's own slot.
    template <class Next>
    struct Callback {
        using executor_type = asio::any_io_executor;
        using cancellation_slot_type = asio::cancellation_slot;

        std::shared_ptr<Derived> self;
        std::size_t which;
        Next next;

        executor_type get_executor() const noexcept { return self->executor_; }
        cancellation_slot_type get_cancellation_slot() const noexcept {
            return self->tries_[which].signal.slot();
        }

        template <class... Results>
        void operator()(Results&&... results) {
            self->tries_[which].under_way = false;
            if (!self->is_complete_) next(*self, which, std::forward<Results>(results)...);
        }
    };

    template <class Next>
    Callback<Next> callback(std::size_t which, Next next) {
        return {this->shared_from_this(), which, std::move(next)};
    }

    void step(Where where) {
        if (is_cancelled_) return derived().give_up(Errc::cancelled, {}, where);
        act(exchange_.next(true), where);
    }

    /// The deadline that goes to the transport with each try.
    Deadline deadline() const noexcept { return exchange_.options().deadline; }

    Request request_of_try() {
        if constexpr (repeats) {
            return request_;
        } else {
            return std::move(request_);
        }
    }

    Derived& derived() noexcept { return static_cast<Derived&>(*this); }

    /// Whether another try may still bring an answer.
    bool another_is_under_way(std::size_t which) const noexcept { return tries_[1 - which].under_way; }

    /// The answer of `which` is the request's: a hedge, or what it was to help, is cancelled. Its place is
    /// given back now, since nothing may touch the balancer after the request has completed.
    void wins(std::size_t which) {
        Try& other = tries_[1 - which];
        if (!std::exchange(other.under_way, false)) return;
        core_.report(std::move(other.lease), Outcome::cancelled);
        other.signal.emit(asio::cancellation_type::terminal);
    }

    /// An answer came, or its head: what hedges are timed by.
    void note_answer(const Try& answered) {
        if (!hedges_) return;
        core_.tries().answered(answered.backend().model_name, core_.clock().now() - answered.began);
    }

    /// What the answer's head says of its backend's load, where the transport can read that.
    void note_load(Try& answered, const Response& head) {
        if constexpr (requires { Transport::load(head); }) {
            if (const auto report = Transport::load(head)) core_.report_load(answered.lease, *report);
        }
    }

    /// A try was cancelled together with the request: completes when no other is under way.
    void cancelled(std::size_t which) {
        core_.report(std::move(tries_[which].lease), Outcome::cancelled);
        if (!another_is_under_way(which)) derived().give_up(Errc::cancelled, {}, Where::executor);
    }

    /// Calls the handler, on its executor.
    template <class... Results>
    void complete(Where where, Results... results) {
        is_complete_ = true;
        if (hedge_timer_) hedge_timer_->cancel();
        if (slot_.is_connected()) slot_.clear();
        auto call = [handler = std::move(handler_),
                     arguments = std::tuple<Results...>{std::move(results)...}]() mutable {
            std::apply([&](auto&... values) { std::move(handler)(std::move(values)...); }, arguments);
        };
        const auto executor = std::exchange(work_, {});
        if (where == Where::initiating) {
            asio::post(executor, std::move(call));
        } else {
            dispatch_on(executor, std::move(call));
        }
    }

    Core& core_;
    Transport& transport_;
    Request request_;
    OwnedCriteria criteria_;
    Exchange<Core> exchange_;
    std::array<Try, 2> tries_{};
    bool is_cancelled_ = false;

  private:
    struct Placed {
        std::shared_ptr<Derived> self;
        void operator()(Lease lease) const { self->placed(std::move(lease)); }
    };

    void act(Step next, Where where) {
        switch (next.kind) {
            case Step::Kind::send:
                return begin(std::move(next.lease));
            case Step::Kind::queue: {
                const auto waiter = std::make_shared<PlaceWaiter<Core, Placed>>(
                    core_, executor_, exchange_.criteria(), Placed{this->shared_from_this()});
                waiter_ = waiter;
                // A copy, and nothing of the operation afterwards: it may be served, and go on, on another
                // thread while it joins.
                const RequestOptions options = exchange_.options();
                return waiter->join(options);
            }
            case Step::Kind::pause:
                pause_ = std::make_unique<asio::steady_timer>(executor_, next.pause);
                return pause_->async_wait([self = this->shared_from_this()](std::error_code) {
                    self->pause_.reset();
                    self->step(Where::executor);
                });
            case Step::Kind::give_up:
                return derived().give_up(next.lease.error(), next.lease.retry_after().value_or(Duration{}),
                                         where);
        }
    }

    void placed(Lease lease) {
        waiter_.reset();
        if (is_cancelled_) {
            lease = Lease{};  // before the handler runs, which may be the end of the balancer
            return derived().give_up(Errc::cancelled, {}, Where::executor);
        }
        act(exchange_.placed(std::move(lease)), Where::executor);
    }

    void begin(Lease lease) {
        const std::size_t which = tries_[0].under_way ? 1 : 0;
        Try& next = tries_[which];
        next.lease = std::move(lease);
        next.under_way = true;
        if (hedges_) {
            next.config = std::make_unique<BackendConfig>(*next.lease);
            next.began = core_.clock().now();
        }
        if constexpr (repeats) {
            if (!std::exchange(has_begun_, true)) {
                mirror(core_, transport_, request_, criteria_.view());
                plan_hedge(next);
            }
        }
        // Nothing here may touch the operation after this: it may run on another thread already.
        derived().try_on(which);
    }

    void plan_hedge(Try& first) {
        if (!hedges_) return;
        const auto after = exchange_.hedge_after(*first.lease);
        if (!after) return;
        hedge_timer_ = std::make_unique<asio::steady_timer>(executor_, *after);
        hedge_timer_->async_wait([self = this->shared_from_this()](std::error_code error) {
            if (!error) self->hedge();
        });
    }

    void hedge() {
        if (is_complete_ || is_cancelled_ || !tries_[0].under_way || tries_[1].under_way) return;
        if (Lease lease = exchange_.hedge(*tries_[0].lease)) begin(std::move(lease));
    }

    void cancel(asio::cancellation_type type) {
        is_cancelled_ = true;
        for (auto& each : tries_) each.signal.emit(type);
        if (pause_) pause_->cancel();
        if (const auto waiter = waiter_.lock()) waiter->leave();
    }

    asio::any_io_executor work_;  // the handler's, kept busy until it is called
    const bool
        hedges_;  // for this request's whole life: the option may change while it waits or is under way
    const asio::any_io_executor executor_;
    asio::associated_cancellation_slot_t<Handler> slot_;
    Handler handler_;
    std::weak_ptr<PlaceWaiter<Core, Placed>> waiter_{};  // the line owns it, and it this operation
    std::unique_ptr<asio::steady_timer> pause_{};
    std::unique_ptr<asio::steady_timer> hedge_timer_{};
    bool has_begun_ = false;
    bool is_complete_ = false;
};

}  // namespace fairlead::detail
