// A claim on one place of one backend.
#pragma once

#include <cstdint>
#include <new>
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
class LeaseOwner;

/// What a lease needs of its backend beside its config: the account, and whom a dropped lease goes back to.
struct LeasedAccount : Account {
    LeaseOwner* owner = nullptr;
};

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
    Lease() noexcept : Lease{static_cast<int>(Errc::no_backends), Duration::zero()} {}
    Lease(Lease&& other) noexcept { take(other); }
    Lease& operator=(Lease&& other) noexcept {
        if (this != &other) {
            drop();
            take(other);
        }
        return *this;
    }
    ~Lease() { drop(); }

    /// Whether a backend was chosen.
    explicit operator bool() const noexcept { return backend_ != nullptr; }

    /// Why none was; empty when one was, also after the lease was reported. `Errc::no_backends` of one that
    /// was moved from.
    std::error_code error() const noexcept {
        return state_.error == 0 ? std::error_code{} : static_cast<Errc>(state_.error);
    }

    /// When nothing was chosen because every match is resting: how long the shortest rest lasts.
    std::optional<Duration> retry_after() const noexcept {
        return state_.error != 0 && rest_.wait > Duration::zero() ? std::optional{rest_.wait} : std::nullopt;
    }

    /// The chosen backend's config, as it was when the place was taken. Only on a true lease.
    const BackendConfig& operator*() const noexcept { return *config_; }
    const BackendConfig* operator->() const noexcept { return config_; }

    void swap(Lease& other) noexcept {
        Lease held{std::move(other)};
        other.take(*this);
        take(held);
    }

  private:
    friend struct detail::LeaseAccess;

    /// Eight bytes, so that a lease begins with one store of them. All 0 for most.
    struct State {
        int error = 0;           // why none was chosen
        bool half_open = false;  // taken while the backend was half open: its outcome decides
        bool trial = false;      // holds the one trial place
        detail::Phase phase = detail::Phase::prefill;
        bool plain = false;  // of a balancer that balances nothing: a success has only a place to give back
    };

    struct Rest {
        Time began{};              // when; of the first byte once that came
        std::uint64_t tokens = 0;  // accounted on the backend
        Duration wait{};           // of a refused one: the shortest rest; else time to the first byte, and
                                   // until that came, the tokens expected of the answer
    };

    /// What the balancer fills in next.
    struct Unset {};
    explicit Lease(Unset) noexcept {}

    Lease(int error, Duration wait) noexcept
        : backend_{nullptr}, config_{nullptr}, taken_{0}, state_{.error = error}, rest_{.wait = wait} {}

    /// A place taken. What is stored between taking a place and giving it back costs twice: the locked
    /// operation that gives it back waits until all of it has left the processor's store buffer.
    Lease(detail::LeasedAccount& backend, const BackendConfig& config, std::uint64_t taken,
          Time began) noexcept
        : backend_{&backend}, config_{&config}, taken_{taken}, state_{}, rest_{.began = began} {}

    struct Plain {};
    /// As above, `plain`: what nobody asks of such a lease is left as it is.
    Lease(Plain, detail::LeasedAccount& backend, const BackendConfig& config, std::uint64_t taken) noexcept
        : backend_{&backend}, config_{&config}, taken_{taken}, state_{.plain = true} {}

    void drop() noexcept {
        if (backend_ != nullptr) backend_->owner->abandon(*this);
    }

    /// Called on a lease without a place.
    void take(Lease& other) noexcept {
        backend_ = std::exchange(other.backend_, nullptr);
        config_ = other.config_;
        taken_ = other.taken_;
        ::new (&state_) State{other.state_};
        if (!state_.plain) ::new (&rest_) Rest{other.rest_};
        other.state_ = State{.error = static_cast<int>(Errc::no_backends)};
        ::new (&other.rest_) Rest{};
    }

    // Set by the constructors, none by itself: see `Unset`.
    detail::LeasedAccount* backend_;
    const BackendConfig* config_;
    std::uint64_t taken_;  // the account's word just before: generation and epoch
    union {
        State state_;
    };
    union {
        Rest rest_;  // none in a plain lease
    };
};

}  // namespace fairlead
