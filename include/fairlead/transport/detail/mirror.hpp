// Copies of requests for backends that do not serve: what a new model or engine would make of real traffic.
#pragma once

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>

#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/transport/detail/executor_of.hpp>
#include <fairlead/transport/transport.hpp>

namespace fairlead::detail {

/// Sends a copy to a mirror, where chance says so and one has a place. Its answer is thrown away, its outcome
/// shown in the mirror's figures; the real request neither waits for it nor hears of it, and the balancer may
/// go before it has ended.
template <class Core, class Transport>
void mirror(Core& core, Transport& transport, const typename Transport::Request& request,
            const Criteria& criteria) noexcept {
    if constexpr (AsyncTransport<Transport>) {
        if (!core.tries().draws_mirror()) return;
        try {
            Lease lease = core.select_mirror(criteria);
            if (!lease) return;
            // The lease stays with the balancer: the exchange needs a config of its own.
            const auto backend = std::make_shared<const BackendConfig>(*lease);
            const auto signal = std::make_shared<asio::cancellation_signal>();
            const auto& copies = core.copies();
            const auto number = copies->add(std::move(lease));
            if (number == 0) return;
            const auto finish = [copies = std::weak_ptr{copies}, number](const Outcome& outcome) {
                if (const auto held = copies.lock()) held->finished(number, outcome);
            };
            // A handler that goes uncalled, with its loop, has ended too; after the call this finds nothing.
            const std::shared_ptr<void> end{nullptr, [finish](void*) { finish(Outcome::cancelled); }};
            auto answered = [finish, end, backend, signal](std::error_code error,
                                                           const typename Transport::Response& response) {
                finish(Transport::outcome(error, response));
            };
            // A signal belongs to its handler's executor: it is emitted there.
            const auto strand = asio::make_strand(default_executor(transport));
            transport.async_send(*backend, request, Deadline::never(),
                                 asio::bind_executor(strand, asio::bind_cancellation_slot(
                                                                 signal->slot(), std::move(answered))));
            copies->let_cancel(number, [strand, signal] {
                asio::post(strand, [signal] { signal->emit(asio::cancellation_type::terminal); });
            });
        } catch (const std::exception&) {
            // For want of memory there is no copy; the lease, if any, has given its place back, or will when
            // the copies are given up.
        }
    }
}

}  // namespace fairlead::detail
