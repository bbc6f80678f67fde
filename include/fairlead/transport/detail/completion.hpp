// A handler with its type erased: what the compiled part of the transport completes.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

#include <fairlead/transport/detail/dispatch.hpp>
#include <fairlead/transport/detail/recycled.hpp>

namespace fairlead::detail {

/// Move-only; empty once completed. Counts as work on the handler's executor until then.
template <class... Args>
class Completion {
  public:
    Completion() = default;

    template <class Handler>
    Completion(Handler handler, const asio::any_io_executor& fallback)
        : held_{std::make_unique<Held<Handler>>(std::move(handler), fallback)} {}

    explicit operator bool() const noexcept { return held_ != nullptr; }

    /// Calls the handler on its executor, never before returning.
    void post(Args... args) { std::exchange(held_, nullptr)->run(false, std::move(args)...); }

    /// As `post`, or at once when the calling thread is already on that executor. Only from a completed
    /// operation, never on behalf of an initiating function.
    void dispatch(Args... args) { std::exchange(held_, nullptr)->run(true, std::move(args)...); }

  private:
    struct Base {
        virtual ~Base() = default;
        virtual void run(bool at_once, Args... args) = 0;
    };

    template <class Handler>
    struct Held final : Base {
        using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
        using Work = std::decay_t<decltype(asio::prefer(std::declval<const Executor&>(),
                                                        asio::execution::outstanding_work.tracked))>;

        Held(Handler h, const asio::any_io_executor& fallback)
            : work{asio::prefer(asio::get_associated_executor(h, fallback),
                                asio::execution::outstanding_work.tracked)},
              handler{std::move(h)} {}

        // Handlers that need more alignment have no cache.
        static void* operator new(std::size_t size, std::align_val_t alignment) {
            return ::operator new(size, alignment);
        }
        static void operator delete(void* block, std::size_t, std::align_val_t alignment) noexcept {
            ::operator delete(block, alignment);
        }
        static void* operator new(std::size_t size) { return SpareBlocks::take(size); }
        static void operator delete(void* block, std::size_t size) noexcept {
            SpareBlocks::give(block, size);
        }

        void run(bool at_once, Args... args) override {
            auto executor = std::move(work);
            // The slot is cleared where the handler runs: only there may its owner emit.
            auto call = [handler = std::move(handler),
                         results = std::tuple<Args...>{std::move(args)...}]() mutable {
                if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
                    slot.clear();
                std::apply([&](auto&... each) { std::move(handler)(std::move(each)...); }, results);
            };
            if (at_once) {
                dispatch_on(executor, std::move(call));
            } else {
                asio::post(executor, std::move(call));
            }
        }

        Work work;
        Handler handler;
    };

    std::unique_ptr<Base> held_{};
};

}  // namespace fairlead::detail
