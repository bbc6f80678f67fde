// `Balancer::async_select`: a place, waited for when all are taken.
#pragma once

#include <memory>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

#include <fairlead/transport/detail/executor_of.hpp>
#include <fairlead/transport/detail/owned_criteria.hpp>
#include <fairlead/transport/detail/place_waiter.hpp>

namespace fairlead::detail {

/// Threads: as `Operation`.
template <class Core, class Handler>
class SelectOperation final : public std::enable_shared_from_this<SelectOperation<Core, Handler>> {
  public:
    SelectOperation(Core& core, const asio::any_io_executor& fallback, OwnedCriteria criteria,
                    const RequestOptions& options, Handler handler)
        : core_{core},
          criteria_{std::move(criteria)},
          options_{options},
          executor_{asio::prefer(executor_of(handler, fallback), asio::execution::outstanding_work.tracked)},
          slot_{asio::get_associated_cancellation_slot(handler)},
          handler_{std::move(handler)} {}

    void start() {
        if (options_.deadline.passed(core_.clock().now())) {
            return complete(LeaseAccess::refused(Errc::deadline_passed));
        }
        const bool can_wait = core_.options().queue_limit > 0;
        if (!can_wait || core_.line().is_empty()) {
            Lease lease = core_.select(criteria_.view());
            if (lease || !can_wait || !core_.line().is_worth_it(lease.error())) {
                return complete(std::move(lease));
            }
        }
        const auto waiter = std::make_shared<PlaceWaiter<Core, Placed>>(core_, executor_, criteria_.view(),
                                                                        Placed{this->shared_from_this()});
        if (slot_.is_connected()) {
            slot_.assign([weak = std::weak_ptr{waiter}](asio::cancellation_type) {
                if (const auto held = weak.lock()) held->leave();
            });
        }
        waiter->join(options_);
    }

  private:
    struct Placed {
        std::shared_ptr<SelectOperation> self;
        void operator()(Lease lease) const {
            if (self->slot_.is_connected()) self->slot_.clear();
            asio::dispatch(self->executor_, self->call_with(std::move(lease)));
        }
    };

    void complete(Lease lease) { asio::post(executor_, call_with(std::move(lease))); }

    auto call_with(Lease lease) {
        return [handler = std::move(handler_), lease = std::move(lease)]() mutable {
            const std::error_code error = lease.error();
            std::move(handler)(error, std::move(lease));
        };
    }

    Core& core_;
    OwnedCriteria criteria_;
    const RequestOptions options_;
    const asio::any_io_executor executor_;
    asio::associated_cancellation_slot_t<Handler> slot_;
    Handler handler_;
};

}  // namespace fairlead::detail
