// `Balancer::send`: the whole exchange over a blocking transport, on the caller's thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include <fairlead/balancer/detail/exchange.hpp>

namespace fairlead::detail {

/// Waits on the calling thread; nothing can end it early.
inline void pause(Duration duration) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock{mutex};
    never.wait_for(lock, duration, [] { return false; });
}

template <class Core, class Transport>
typename Transport::Response send_blocking(Core& core, Transport& transport,
                                           const typename Transport::Request& request,
                                           const Criteria& criteria, const RequestOptions& options) {
    using Response = typename Transport::Response;
    Exchange<Core> exchange{core, criteria, options};
    std::optional<Response> last;
    std::error_code failure;
    for (;;) {
        Step step = exchange.next(false);
        if (step.kind == Step::Kind::pause) {
            pause(step.pause);
            continue;
        }
        if (step.kind == Step::Kind::give_up) {
            if (!failure) failure = step.lease.error();
            break;
        }
        Response response{};
        std::error_code error;
        try {
            response = transport.send(*step.lease, request, options.deadline);
        } catch (const std::system_error& e) {
            error = e.code();
        }
        const bool again =
            exchange.finished(std::move(step.lease), Transport::outcome(error, std::as_const(response)));
        if (error) {
            failure = error;
        } else {
            last = std::move(response);
        }
        if (!again) break;
    }
    if (!last) throw std::system_error{failure};
    return std::move(*last);
}

}  // namespace fairlead::detail
