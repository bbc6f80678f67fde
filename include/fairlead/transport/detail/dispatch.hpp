// Calling at once what an executor would run at once.
#pragma once

#include <type_traits>
#include <typeinfo>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

namespace fairlead::detail {

/// Whether the calling thread runs the loop behind `executor`, which then would call at once what is
/// dispatched to it. "No" may be wrong, and costs a dispatch.
template <class Executor>
bool runs_here([[maybe_unused]] const Executor& executor) noexcept {
#if !defined(ASIO_NO_TYPEID)
    if constexpr (std::is_same_v<Executor, asio::any_io_executor>) {
        using Loop = asio::io_context::executor_type;
        using Busy = std::decay_t<decltype(asio::prefer(std::declval<const Loop&>(),
                                                        asio::execution::outstanding_work.tracked))>;
        // The type first: some versions of Asio give a target of whatever type it is asked for.
        const auto& type = executor.target_type();
        if (type == typeid(Busy)) return executor.template target<Busy>()->running_in_this_thread();
        if (type == typeid(Loop)) return executor.template target<Loop>()->running_in_this_thread();
    }
#endif
    return false;
}

/// As `asio::post`, with less of it where the calling thread runs the loop.
template <class Executor, class Action>
void post_on(const Executor& executor, Action&& action) {
#if !defined(ASIO_NO_TYPEID)
    if constexpr (std::is_same_v<Executor, asio::any_io_executor>) {
        using Loop = asio::io_context::executor_type;
        if (executor.target_type() == typeid(Loop))
            return asio::post(*executor.template target<Loop>(), std::forward<Action>(action));
    }
#endif
    asio::post(executor, std::forward<Action>(action));
}

/// As `asio::dispatch`. An executor whose type is erased takes an allocation and several moves for what is a
/// call where the loop has one thread.
template <class Executor, class Action>
void dispatch_on(const Executor& executor, Action&& action) {
    if (runs_here(executor)) return std::forward<Action>(action)();
    asio::dispatch(executor, std::forward<Action>(action));
}

}  // namespace fairlead::detail
