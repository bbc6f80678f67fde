// `Balancer::async_stream`: as `async_send` up to the response's head.
#pragma once

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <fairlead/transport/detail/operation.hpp>
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
    void try_on(const BackendConfig& backend) {
        open_.reset();
        this->transport_.async_open(
            backend, this->request_of_try(), this->deadline(),
            this->callback([](StreamOperation& self, std::error_code error, Response head, Body body) {
                self.opened(error, std::move(head), std::move(body));
            }));
    }

    void opened(std::error_code error, Response head, Body body) {
        const Outcome outcome =
            this->cancelled_ ? Outcome{Outcome::cancelled} : Transport::outcome(error, std::as_const(head));
        if (error || this->cancelled_) {
            failure_ = this->cancelled_ ? make_error_code(Errc::cancelled) : error;
            if (this->exchange_.finished(std::move(this->lease_), outcome)) return this->step();
            return finish(failure_, {});
        }
        if (outcome.kind == Outcome::success) this->core_.head_came(this->lease_);
        const bool again = this->exchange_.wants_another(*this->lease_, outcome);
        open_ =
            std::make_unique<Open>(this->core_, std::move(this->lease_), std::move(head), std::move(body));
        if (!again) return finish({}, {});  // reported when its body ends
        // Its place is free for others from now on. The answer itself is kept until there is another try:
        // when nobody else can be found, it is what the caller gets.
        open_->finish(outcome);
        this->step();
    }

    void given_up(std::error_code error, Duration wait) { finish(failure_ ? failure_ : error, wait); }

    void finish(std::error_code error, Duration wait) {
        if (open_) return this->complete(std::error_code{}, Stream<Owner>{std::move(open_)});
        this->complete(error, Stream<Owner>{wait});
    }

    std::error_code failure_;
    std::unique_ptr<Open> open_;
};

}  // namespace fairlead::detail
