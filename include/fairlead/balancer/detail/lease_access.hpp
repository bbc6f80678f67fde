// The balancer's side of a lease.
#pragma once

#include <bit>
#include <cstdint>
#include <new>
#include <system_error>

#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/balancer/detail/seat.hpp>
#include <fairlead/balancer/lease.hpp>

namespace fairlead::detail {

struct LeaseAccess {
    static Lease refused(std::error_code error, Duration wait = {}) noexcept { return {error.value(), wait}; }

    /// Room in which a lease is to be made.
    static Lease unset() noexcept { return Lease{Lease::Unset{}}; }

    /// A place taken on `backend`; `before` was its word.
    static void begin(Lease& unset, LiveBackend& backend, const BackendConfig& config, std::uint64_t before,
                      Time now) noexcept {
        ::new (&unset) Lease{backend, config, before, now};
    }

    /// The same, where a success has only a place to give back.
    static Lease plain_of(const Candidate& candidate, std::uint64_t before) noexcept {
        return {Lease::Plain{}, CandidateAccess::backend(candidate), CandidateAccess::config(candidate),
                before};
    }

    /// nullptr when the lease is not true. Ended by `end`.
    static LiveBackend* backend(const Lease& lease) noexcept {
        return static_cast<LiveBackend*>(lease.backend_);
    }
    static void end(Lease& lease) noexcept { lease.backend_ = nullptr; }

    static const BackendConfig& config(const Lease& lease) noexcept { return *lease.config_; }
    static std::uint64_t taken(const Lease& lease) noexcept { return lease.taken_; }
    static bool plain(const Lease& lease) noexcept { return lease.state_.plain; }
    static bool& half_open(Lease& lease) noexcept { return lease.state_.half_open; }
    static bool& trial(Lease& lease) noexcept { return lease.state_.trial; }
    static Phase& phase(Lease& lease) noexcept { return lease.state_.phase; }

    /// Neither plain, nor of a half open backend, nor with its first byte.
    static bool is_usual(const Lease& lease) noexcept {
        static_assert(sizeof(Lease::State) == sizeof(std::uint64_t));
        return std::bit_cast<std::uint64_t>(lease.state_) == 0;  // a true lease has no error
    }

    // Of a lease that is not plain.
    static Time& began(Lease& lease) noexcept { return lease.rest_.began; }
    static std::uint64_t& tokens(Lease& lease) noexcept { return lease.rest_.tokens; }
    static Duration& wait(Lease& lease) noexcept { return lease.rest_.wait; }
};

}  // namespace fairlead::detail
