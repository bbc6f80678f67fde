// `Balancer::async_send`: the whole exchange, the whole response.
#pragma once

#include <system_error>
#include <utility>

#include <fairlead/transport/detail/operation.hpp>

namespace fairlead::detail {

template <class Core, class Transport, class Handler>
class SendOperation final
    : public Operation<SendOperation<Core, Transport, Handler>, Core, Transport, Handler> {
    using Base = Operation<SendOperation<Core, Transport, Handler>, Core, Transport, Handler>;
    friend Base;

  public:
    using Base::Base;
    using typename Base::Response;

  private:
    void try_on(const BackendConfig& backend) {
        this->transport_.async_send(
            backend, this->request_of_try(), this->deadline(),
            this->callback([](SendOperation& self, std::error_code error, Response response) {
                self.tried(error, std::move(response));
            }));
    }

    void tried(std::error_code error, Response response) {
        const Outcome outcome = this->cancelled_ ? Outcome{Outcome::cancelled}
                                                 : Transport::outcome(error, std::as_const(response));
        const bool again = this->exchange_.finished(std::move(this->lease_), outcome);
        if (error) {
            failure_ = error;
        } else {
            last_ = std::move(response);
            answered_ = true;
        }
        if (this->cancelled_ && error) return this->complete(make_error_code(Errc::cancelled), Response{});
        if (again) return this->step();
        finish();
    }

    void finish() {
        if (answered_) {
            this->complete(std::error_code{}, std::move(last_));
        } else {
            this->complete(failure_, Response{});
        }
    }

    void given_up(std::error_code error, Duration) {
        if (!answered_ && !failure_) failure_ = error;
        finish();
    }

    std::error_code failure_;
    Response last_{};
    bool answered_ = false;
};

}  // namespace fairlead::detail
