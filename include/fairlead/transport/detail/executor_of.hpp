// On which executor an asynchronous call runs.
#pragma once

#include <type_traits>

#include <asio/any_io_executor.hpp>
#include <asio/associated_executor.hpp>
#include <asio/system_executor.hpp>

namespace fairlead::detail {

/// The transport's, where it has one; else the system's.
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

}  // namespace fairlead::detail
