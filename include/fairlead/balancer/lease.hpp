// A claim on one place of one backend.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/time.hpp>
#include <fairlead/strategies/candidate.hpp>

namespace fairlead {

class Lease;

namespace detail {

struct LiveBackend;
struct LeaseAccess;

/// How far an answer has come, and which of its backend's counters says so.
enum class Phase : std::uint8_t {
    prefill,    ///< nothing came
    streaming,  ///< its first byte came and ended its latency
    decoding,   ///< its first byte came
    uncounted   ///< as well, of a balancer that balances nothing
};

/// Takes back a lease that was dropped without a report.
class LeaseOwner {
  public:
    virtual void abandon(Lease& lease) noexcept = 0;

  protected:
    ~LeaseOwner() = default;
};

}  // namespace detail

/// A move-only claim on one connection of one backend, as `Balancer::select` gives it. True when a backend
/// was chosen; else `error()` says why not.
///
///     if (fairlead::Lease lease = balancer.select()) {
///         auto response = my_client.post(lease->url, body);
///         balancer.report(std::move(lease), fairlead::Outcome::from_status(response.status));
///     }
///
/// Dropped without a report it frees its place and counts as cancelled: a connection cannot leak. The config
/// that it shows stays as it is, and alive, while the lease lives, whatever happens to the backend meanwhile.
///
/// Threads: one lease belongs to one thread at a time; it may be reported by another than the one that
/// selected. A balancer outlives its leases.
class [[nodiscard]] Lease {
  public:
    Lease() noexcept = default;
    Lease(Lease&& other) noexcept : claim_{std::exchange(other.claim_, Claim{})} {}
    Lease& operator=(Lease&& other) noexcept {
        Lease{std::move(other)}.swap(*this);
        return *this;
    }
    ~Lease() {
        if (claim_.backend != nullptr) claim_.owner->abandon(*this);
    }

    /// Whether a backend was chosen.
    explicit operator bool() const noexcept { return claim_.backend != nullptr; }

    /// Why none was; empty when one was.
    std::error_code error() const noexcept {
        return claim_.error == 0 ? std::error_code{} : static_cast<Errc>(claim_.error);
    }

    /// When nothing was chosen because every match is resting: how long the shortest rest lasts.
    std::optional<Duration> retry_after() const noexcept {
        return claim_.backend == nullptr && claim_.wait > Duration::zero() ? std::optional{claim_.wait}
                                                                           : std::nullopt;
    }

    /// The chosen backend's config, as it was when the place was taken. Only on a true lease.
    const BackendConfig& operator*() const noexcept { return *claim_.config; }
    const BackendConfig* operator->() const noexcept { return claim_.config; }

    void swap(Lease& other) noexcept { std::swap(claim_, other.claim_); }

  private:
    friend struct detail::LeaseAccess;

    struct Claim {
        detail::LeaseOwner* owner = nullptr;
        detail::LiveBackend* backend = nullptr;
        const BackendConfig* config = nullptr;
        std::uint64_t taken = 0;   // the account's word just before: generation and epoch
        Time began{};              // when; of the first byte once that came
        std::uint64_t tokens = 0;  // accounted on the backend
        Duration wait{};           // of a refused one: the shortest rest; else time to the first byte, and
                                   // until that came, the tokens expected of the answer
        BackendId id = 0;          // of the backend, for what must not touch it any more
        std::uint32_t serial = 0;
        int error = static_cast<int>(Errc::no_backends);
        bool half_open = false;  // taken while the backend was half open: its outcome decides
        bool trial = false;      // holds the one trial place
        detail::Phase phase = detail::Phase::prefill;
        bool plain = false;  // of a balancer that balances nothing: a success has only a place to give back
    };
    Claim claim_{};
};

namespace detail {

/// The balancer's side of a lease.
struct LeaseAccess {
    static Lease refused(std::error_code error, Duration wait = {}) noexcept {
        Lease lease;
        lease.claim_.error = error.value();
        lease.claim_.wait = wait;
        return lease;
    }

    static LeaseOwner*& owner(Lease& lease) noexcept { return lease.claim_.owner; }
    static LiveBackend*& backend(Lease& lease) noexcept { return lease.claim_.backend; }
    static const BackendConfig*& config(Lease& lease) noexcept { return lease.claim_.config; }
    static std::uint64_t& taken(Lease& lease) noexcept { return lease.claim_.taken; }
    static Time& began(Lease& lease) noexcept { return lease.claim_.began; }
    static std::uint64_t& tokens(Lease& lease) noexcept { return lease.claim_.tokens; }
    static Duration& wait(Lease& lease) noexcept { return lease.claim_.wait; }
    static BackendId& id(Lease& lease) noexcept { return lease.claim_.id; }
    static std::uint32_t& serial(Lease& lease) noexcept { return lease.claim_.serial; }
    static int& error(Lease& lease) noexcept { return lease.claim_.error; }
    static bool& half_open(Lease& lease) noexcept { return lease.claim_.half_open; }
    static bool& trial(Lease& lease) noexcept { return lease.claim_.trial; }
    static Phase& phase(Lease& lease) noexcept { return lease.claim_.phase; }
    static bool& plain(Lease& lease) noexcept { return lease.claim_.plain; }
};

}  // namespace detail
}  // namespace fairlead
