// Copies of requests for backends that do not serve: what a new model or engine would make of real traffic.
#pragma once

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/transport/transport.hpp>

namespace fairlead::detail {

/// Sends a copy to a mirror, where chance says so and one has a place. Its answer is thrown away, its outcome
/// shown in the mirror's figures; the real request neither waits for it nor hears of it.
template <class Core, class Transport>
void mirror(Core& core, Transport& transport, const typename Transport::Request& request,
            const Criteria& criteria) noexcept {
    if constexpr (AsyncTransport<Transport>) {
        if (!core.tries().draws_mirror()) return;
        try {
            auto lease = std::make_shared<Lease>(core.select_mirror(criteria));
            if (!*lease) return;
            const BackendConfig& backend = **lease;
            transport.async_send(
                backend, request, Deadline::never(),
                [&core, lease](std::error_code error, const typename Transport::Response& response) {
                    core.report(std::move(*lease), Transport::outcome(error, response));
                });
        } catch (const std::exception&) {
            // For want of memory there is no copy; the lease, if any, has given its place back.
        }
    }
}

}  // namespace fairlead::detail
