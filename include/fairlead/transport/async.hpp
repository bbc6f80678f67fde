// The asynchronous members of `Balancer`, for any Asio completion token: callbacks, futures, coroutines.
//
//     #include <fairlead/transport/async.hpp>
//     auto response = co_await balancer.async_send(request, asio::use_awaitable);
//     auto stream   = co_await balancer.async_stream(request, criteria, asio::use_awaitable);
//
//     auto lease    = co_await balancer.async_select(criteria, asio::use_awaitable);
//
// Handlers run on their associated executor (default: the transport's `get_executor()` where it has one, else
// the system executor), never inside the initiating function. Cancellation through the handler's slot reaches
// the transport at once; the request is then reported as cancelled.
//
// When all that match are full or resting, the calls wait in line (`Options::queue_limit`, `queue_timeout`,
// `RequestOptions::priority` and `deadline`), first come first served. What waits is held by the balancer:
// its executor's context must outlive the balancer. And the balancer must outlive its calls, which hold
// leases: let the loop run dry, or cancel them, before it goes.
#pragma once

#include <memory>
#include <system_error>
#include <utility>

#include <asio/async_result.hpp>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/transport/detail/recycled.hpp>
#include <fairlead/transport/detail/select_operation.hpp>
#include <fairlead/transport/detail/send_operation.hpp>
#include <fairlead/transport/detail/stream_operation.hpp>
#include <fairlead/transport/stream.hpp>

namespace fairlead::detail {

template <class S, class Transport, class Clock>
struct AsyncCalls<Balancer<S, Transport, Clock>> {
    using Owner = Balancer<S, Transport, Clock>;

    // send(owner, request[, criteria[, options]], token)
    template <class Request, class Token>
    static auto send(Owner& owner, Request request, Token&& token) {
        return send(owner, std::move(request), Criteria{}, RequestOptions{}, std::forward<Token>(token));
    }
    template <class Request, class Token>
    static auto send(Owner& owner, Request request, const Criteria& criteria, Token&& token) {
        return send(owner, std::move(request), criteria, RequestOptions{}, std::forward<Token>(token));
    }
    template <class Request, class Token>
    static auto send(Owner& owner, Request request, const Criteria& criteria, const RequestOptions& options,
                     Token&& token) {
        static_assert(AsyncTransport<Transport>, "async_send needs a transport with async_send");
        return asio::async_initiate<Token, void(std::error_code, typename Transport::Response)>(
            [&owner](auto handler, Request r, OwnedCriteria c, const RequestOptions& o) {
                using Operation = SendOperation<Core<S, Clock>, Transport, decltype(handler)>;
                make_recycled<Operation>(owner.core_, owner.transport_, std::move(r), std::move(c), o,
                                         std::move(handler))
                    ->start();
            },
            token, std::move(request), OwnedCriteria{criteria}, options);
    }

    // stream(owner, request[, criteria[, options]], token)
    template <class Request, class Token>
    static auto stream(Owner& owner, Request request, Token&& token) {
        return stream(owner, std::move(request), Criteria{}, RequestOptions{}, std::forward<Token>(token));
    }
    template <class Request, class Token>
    static auto stream(Owner& owner, Request request, const Criteria& criteria, Token&& token) {
        return stream(owner, std::move(request), criteria, RequestOptions{}, std::forward<Token>(token));
    }
    template <class Request, class Token>
    static auto stream(Owner& owner, Request request, const Criteria& criteria, const RequestOptions& options,
                       Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, Stream<Owner>)>(
            [&owner](auto handler, Request r, OwnedCriteria c, const RequestOptions& o) {
                using Operation = StreamOperation<Owner, Core<S, Clock>, Transport, decltype(handler)>;
                make_recycled<Operation>(owner.core_, owner.transport_, std::move(r), std::move(c), o,
                                         std::move(handler))
                    ->start();
            },
            token, std::move(request), OwnedCriteria{criteria}, options);
    }

    // select(owner[, criteria[, options]], token)
    template <class Token>
    static auto select(Owner& owner, Token&& token) {
        return select(owner, Criteria{}, RequestOptions{}, std::forward<Token>(token));
    }
    template <class Token>
    static auto select(Owner& owner, const Criteria& criteria, Token&& token) {
        return select(owner, criteria, RequestOptions{}, std::forward<Token>(token));
    }
    template <class Token>
    static auto select(Owner& owner, const Criteria& criteria, const RequestOptions& options, Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, Lease)>(
            [&owner](auto handler, OwnedCriteria c, const RequestOptions& o) {
                using Operation = SelectOperation<Core<S, Clock>, decltype(handler)>;
                std::make_shared<Operation>(owner.core_, default_executor(owner.transport_), std::move(c), o,
                                            std::move(handler))
                    ->start();
            },
            token, OwnedCriteria{criteria}, options);
    }
};

}  // namespace fairlead::detail
