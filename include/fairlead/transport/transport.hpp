// What a transport is: the host's own HTTP client, as the balancer sees it. Standard library only.
#pragma once

#include <concepts>
#include <system_error>
#include <utility>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead {

/// No transport: the host selects, sends and reports by itself.
struct NoTransport {};

namespace detail {

/// Stands for any handler `void(std::error_code, Response)` when a concept asks whether one is accepted.
template <class Response>
struct AnyResponseHandler {
    void operator()(std::error_code, Response) {}
};

/// Stands for any handler `void(std::error_code, Outcome)`.
struct AnyOutcomeHandler {
    void operator()(std::error_code, Outcome) {}
};

template <class T>
concept HasMessages = requires {
    typename T::Request;
    typename T::Response;
}
&&requires(std::error_code error, const typename T::Response& response) {
    { T::outcome(error, response) } -> std::same_as<Outcome>;
};

}  // namespace detail

/// Sends one request to one backend and waits. `send` may throw `std::system_error`; its code then goes to
/// `outcome` with a default-made response.
///
///     struct MyClient {
///         using Request = MyRequest;
///         using Response = MyResponse;
///         Response send(const fairlead::BackendConfig&, const Request&, fairlead::Deadline);
///         static fairlead::Outcome outcome(std::error_code, const Response&);
///     };
template <class T>
concept BlockingTransport = detail::HasMessages<T> && std::default_initializable<typename T::Response> &&
    requires(T& transport, const BackendConfig& backend, const typename T::Request& request,
             Deadline deadline) {
    { transport.send(backend, request, deadline) } -> std::same_as<typename T::Response>;
};

/// Sends one request to one backend and calls a handler `void(std::error_code, Response)` exactly once, never
/// before `async_send` has returned (as everywhere in Asio: who has the answer at once posts the handler; the
/// balancer's own promise never to call back inside the initiating function rests on it). The handler's
/// associated cancellation slot is honoured; `backend` is copied or outlives the call (the
/// balancer's lease keeps it alive until the handler was called).
template <class T>
concept AsyncTransport = detail::HasMessages<T> &&
    requires(T& transport, const BackendConfig& backend, typename T::Request request, Deadline deadline,
             detail::AnyResponseHandler<typename T::Response> handler) {
    transport.async_send(backend, std::move(request), deadline, handler);
};

/// A transport that can also ask a backend how it is. The health checker then uses it.
template <class T>
concept BlockingProbe = requires(T& transport, const BackendConfig& backend, Deadline deadline) {
    { transport.probe(backend, deadline) } -> std::same_as<Outcome>;
};

/// As `BlockingProbe`, with a handler `void(std::error_code, Outcome)`.
template <class T>
concept AsyncProbe = requires(T& transport, const BackendConfig& backend, Deadline deadline,
                              detail::AnyOutcomeHandler handler) {
    transport.async_probe(backend, deadline, handler);
};

}  // namespace fairlead
