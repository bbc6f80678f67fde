// What the asynchronous operations share: criteria that own what they point to, executor, cancellation,
// pauses.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/dispatch.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_executor.hpp>

#include <fairlead/balancer/detail/exchange.hpp>
#include <fairlead/model/criteria.hpp>

namespace fairlead::detail {

/// A copy of criteria together with all that they point to. Moving it keeps the views right.
class OwnedCriteria {
  public:
    explicit OwnedCriteria(const Criteria& criteria) {
        if (criteria.key.empty() && criteria.model.empty() && criteria.tags.empty() &&
            criteria.prefix.empty() && criteria.exclude.empty()) {
            plain_.tokens = criteria.tokens;
            return;
        }
        owned_ = std::make_unique<Owned>();
        owned_->key = criteria.key;
        owned_->model = criteria.model;
        owned_->tags.assign(criteria.tags.begin(), criteria.tags.end());
        owned_->exclude.assign(criteria.exclude.begin(), criteria.exclude.end());
        owned_->prefix.assign(criteria.prefix.begin(), criteria.prefix.end());
        owned_->tag_views.assign(owned_->tags.begin(), owned_->tags.end());
        owned_->exclude_views.assign(owned_->exclude.begin(), owned_->exclude.end());
        plain_ = {.key = owned_->key,
                  .model = owned_->model,
                  .tags = owned_->tag_views,
                  .tokens = criteria.tokens,
                  .prefix = owned_->prefix,
                  .exclude = owned_->exclude_views};
    }

    const Criteria& view() const noexcept { return plain_; }

  private:
    struct Owned {
        std::string key;
        std::string model;
        std::vector<std::string> tags;
        std::vector<std::string> exclude;
        std::vector<std::uint64_t> prefix;
        std::vector<std::string_view> tag_views;
        std::vector<std::string_view> exclude_views;
    };

    std::unique_ptr<Owned> owned_;
    Criteria plain_{};
};

template <class Transport>
asio::any_io_executor default_executor(Transport& transport) {
    if constexpr (requires { transport.get_executor(); }) {
        return transport.get_executor();
    } else {
        return asio::system_executor{};
    }
}

/// The handler's executor, where it can do what an operation's steps need (timers, posting): a future's
/// cannot, and is completed from wherever the operation runs.
template <class Handler>
asio::any_io_executor executor_of(const Handler& handler, const asio::any_io_executor& fallback) {
    using Associated = asio::associated_executor_t<Handler, asio::any_io_executor>;
    if constexpr (std::is_constructible_v<asio::any_io_executor, Associated>) {
        return asio::any_io_executor{asio::get_associated_executor(handler, fallback)};
    } else {
        return fallback;
    }
}

/// Runs one request's exchange over an asynchronous transport. `Derived` says what a try is (`try_on(lease)`)
/// and what completing means (`complete(...)`, `give_up(error, wait)`).
///
/// Threads: the operation's steps run one at a time, on the handler's executor.
template <class Derived, class Core, class Transport, class Handler>
class Operation : public std::enable_shared_from_this<Derived> {
  public:
    using Request = typename Transport::Request;
    using Response = typename Transport::Response;

    Operation(Core& core, Transport& transport, Request request, OwnedCriteria criteria,
              const RequestOptions& options, Handler handler)
        : core_{core},
          transport_{transport},
          request_{std::move(request)},
          criteria_{std::move(criteria)},
          exchange_{core, criteria_.view(), options},
          executor_{asio::prefer(executor_of(handler, default_executor(transport)),
                                 asio::execution::outstanding_work.tracked)},
          slot_{asio::get_associated_cancellation_slot(handler)},
          handler_{std::move(handler)} {}

    void start() {
        if (slot_.is_connected()) {
            slot_.assign([weak = this->weak_from_this()](asio::cancellation_type type) {
                if (const auto self = weak.lock()) self->cancel(type);
            });
        }
        starting_ = true;
        step();
        starting_ = false;
    }

  protected:
    /// What the transport's operations are called back with: knows the operation's executor and slot.
    template <class Next>
    struct Callback {
        using executor_type = asio::any_io_executor;
        using cancellation_slot_type = asio::cancellation_slot;

        std::shared_ptr<Derived> self;
        Next next;

        executor_type get_executor() const noexcept { return self->executor_; }
        cancellation_slot_type get_cancellation_slot() const noexcept { return self->signal_.slot(); }

        template <class... Results>
        void operator()(Results&&... results) {
            next(*self, std::forward<Results>(results)...);
        }
    };

    template <class Next>
    Callback<Next> callback(Next next) {
        return {this->shared_from_this(), std::move(next)};
    }

    void step() {
        if (cancelled_) return give_up(make_error_code(Errc::cancelled), {});
        Step next = exchange_.next();
        switch (next.kind) {
            case Step::Kind::send:
                lease_ = std::move(next.lease);
                return derived().try_on(*lease_);
            case Step::Kind::wait:
                timer_ = std::make_unique<asio::steady_timer>(executor_, next.wait);
                timer_->async_wait(callback([](Derived& self, std::error_code) { self.step(); }));
                return;
            case Step::Kind::give_up:
                return give_up(next.lease.error(), next.lease.retry_after().value_or(Duration{}));
        }
    }

    /// The deadline that goes to the transport with each try.
    Deadline deadline() const noexcept { return exchange_.options().deadline; }

    Request request_of_try() {
        if constexpr (std::copy_constructible<Request>) {
            return request_;
        } else {
            return std::move(request_);
        }
    }

    Derived& derived() noexcept { return static_cast<Derived&>(*this); }

    void give_up(std::error_code error, Duration wait) { derived().given_up(error, wait); }

    /// Calls the handler, on its executor; not within `start`.
    template <class... Results>
    void complete(Results... results) {
        if (slot_.is_connected()) slot_.clear();
        auto call = [handler = std::move(handler_),
                     arguments = std::tuple<Results...>{std::move(results)...}]() mutable {
            std::apply([&](auto&... values) { std::move(handler)(std::move(values)...); }, arguments);
        };
        auto executor = asio::any_io_executor{executor_};
        if (starting_) {
            asio::post(executor, std::move(call));
        } else {
            asio::dispatch(executor, std::move(call));
        }
    }

    void cancel(asio::cancellation_type type) {
        cancelled_ = true;
        signal_.emit(type);
        if (timer_) timer_->cancel();
    }

    Core& core_;
    Transport& transport_;
    Request request_;
    OwnedCriteria criteria_;
    Exchange<Core> exchange_;
    asio::any_io_executor executor_;
    asio::associated_cancellation_slot_t<Handler> slot_;
    asio::cancellation_signal signal_;
    Handler handler_;
    Lease lease_;
    std::unique_ptr<asio::steady_timer> timer_;
    bool starting_ = false;
    bool cancelled_ = false;
};

}  // namespace fairlead::detail
