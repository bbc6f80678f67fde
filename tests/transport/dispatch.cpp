// What runs at once, and what waits for its loop.
#include <fairlead/transport/detail/dispatch.hpp>

#include <thread>

#include <asio/any_io_executor.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/strand.hpp>

#include "support/catch.hpp"

using fairlead::detail::dispatch_on;
using fairlead::detail::runs_here;

TEST_CASE("a call is made at once in the loop's own thread, and else when the loop comes to it") {
    asio::io_context io;
    asio::io_context another;
    const asio::any_io_executor loop = io.get_executor();
    const asio::any_io_executor busy = asio::prefer(loop, asio::execution::outstanding_work.tracked);
    const asio::any_io_executor strand = asio::make_strand(io);
    int calls = 0;
    dispatch_on(loop, [&calls] { ++calls; });
    CHECK(calls == 0);
    asio::post(io, [&] {
        CHECK(calls == 1);
        CHECK(runs_here(loop));
        CHECK(runs_here(busy));
        CHECK_FALSE(runs_here(asio::any_io_executor{another.get_executor()}));
        CHECK_FALSE(runs_here(asio::any_io_executor{}));
        std::thread{[&] { CHECK_FALSE(runs_here(loop)); }}.join();
        dispatch_on(busy, [&calls] { ++calls; });
        CHECK(calls == 2);
        // A strand above the loop keeps its own order.
        CHECK_FALSE(runs_here(strand));
        dispatch_on(strand, [&calls] { ++calls; });
    });
    // Work that `busy` counts would keep `run` waiting for more.
    for (int i = 0; i < 10 && calls < 3; ++i) io.run_one();
    CHECK(calls == 3);
}
