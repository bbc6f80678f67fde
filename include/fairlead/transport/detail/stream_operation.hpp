// `Balancer::async_stream`: as `async_send` up to the response's head.
#pragma once

#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

#include <fairlead/transport/detail/operation.hpp>
#include <fairlead/transport/detail/recycled.hpp>
#include <fairlead/transport/stream.hpp>

namespace fairlead::detail {

template <class Owner, class Core, class Transport, class Handler>
class StreamOperation final
    : public Operation<StreamOperation<Owner, Core, Transport, Handler>, Core, Transport, Handler> {
    using Base = Operation<StreamOperation<Owner, Core, Transport, Handler>, Core, Transport, Handler>;
    friend Base;

  public:
    using Base::Base;
    using typename Base::Response;
    using Body = typename Transport::Body;
    using Open = OpenStream<Core, Transport>;

  private:
    void try_on(std::size_t which) {
        this->transport_.async_open(
            this->tries_[which].backend(), this->request_of_try(), this->deadline(),
            this->callback(which,
                           [](StreamOperation& self, std::size_t w, std::error_code error, Response head,
                              Body body) { self.opened(w, error, std::move(head), std::move(body)); }));
    }

    void opened(std::size_t which, std::error_code error, Response head, Body body) {
        auto& ended = this->tries_[which];
        if (this->is_cancelled_) return this->cancelled(which);
        const Outcome outcome = Transport::outcome(error, std::as_const(head));
        if (!error) this->note_load(ended, head);
        if (outcome.kind == Outcome::success) {
            this->note_answer(ended);
            this->core_.head_came(ended.lease);
        }
        const bool helped = this->another_is_under_way(which);
        if (helped && this->exchange_.is_final(*ended.lease, outcome)) this->wins(which);
        const bool again = !helped && this->exchange_.wants_another(*ended.lease, outcome);
        if (error) {
            failure_ = error;
            this->core_.report(std::move(ended.lease), outcome);
        } else {
            open_ = make_recycled<Open>(this->core_, default_executor(this->transport_),
                                        std::move(ended.lease), std::move(head), std::move(body), outcome);
            // Where another try follows, its place is free for others from now on. The answer itself is kept:
            // when nobody else can be found, it is what the caller gets.
            if (again || this->another_is_under_way(which)) open_->report_early(outcome);
        }
        if (again) return this->step(Where::executor);
        if (!this->another_is_under_way(which)) finish(failure_, {}, Where::executor);
    }

    void give_up(std::error_code error, Duration wait, Where where) {
        if (error == Errc::cancelled) {
            open_.reset();
            failure_ = error;
        }
        finish(failure_ ? failure_ : error, wait, where);
    }

    void finish(std::error_code error, Duration wait, Where where) {
        if (open_) {
            open_->retries = this->exchange_.further_tries();
            return this->complete(where, std::error_code{}, Stream<Owner>{std::move(open_)});
        }
        this->complete(where, error, Stream<Owner>{wait});
    }

    std::error_code failure_;
    std::shared_ptr<Open> open_;
};

}  // namespace fairlead::detail
