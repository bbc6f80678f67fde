// `Balancer::async_send`: the whole exchange, the whole response.
#pragma once

#include <cstddef>
#include <optional>
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
    void try_on(std::size_t which) {
        this->transport_.async_send(
            this->tries_[which].backend(), this->request_of_try(), this->deadline(),
            this->callback(which, [](SendOperation& self, std::size_t w, std::error_code error,
                                     Response response) { self.tried(w, error, std::move(response)); }));
    }

    void tried(std::size_t which, std::error_code error, Response response) {
        auto& ended = this->tries_[which];
        if (this->is_cancelled_ && error) return this->cancelled(which);
        const Outcome outcome = Transport::outcome(error, std::as_const(response));
        if (!error) this->note_load(ended, response);
        if (outcome.kind == Outcome::success) this->note_answer(ended);
        const bool is_final = this->exchange_.is_final(*ended.lease, outcome);
        remember(error, std::move(response));
        if (this->another_is_under_way(which)) {
            this->core_.report(std::move(ended.lease), outcome);
            if (!is_final) return;  // the other may still do better
            this->wins(which);
        } else if (this->exchange_.finished(std::move(ended.lease), outcome)) {
            return this->step(Where::executor);
        }
        finish(Where::executor);
    }

    void remember(std::error_code error, Response response) {
        if (error) {
            failure_ = error;
        } else {
            last_ = std::move(response);
        }
    }

    void give_up(std::error_code error, Duration, Where where) {
        if (error == Errc::cancelled) {
            last_.reset();
            failure_ = error;
        }
        if (!failure_) failure_ = error;
        finish(where);
    }

    void finish(Where where) {
        if (last_) {
            this->complete(where, std::error_code{}, std::move(*last_));
        } else {
            this->complete(where, failure_, Response{});
        }
    }

    std::error_code failure_;
    std::optional<Response> last_{};
};

}  // namespace fairlead::detail
