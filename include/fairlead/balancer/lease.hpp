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
    Lease(Lease&& other) noexcept { swap(other); }
    Lease& operator=(Lease&& other) noexcept {
        Lease{std::move(other)}.swap(*this);
        return *this;
    }
    ~Lease() {
        if (backend_ != nullptr) owner_->abandon(*this);
    }

    /// Whether a backend was chosen.
    explicit operator bool() const noexcept { return backend_ != nullptr; }

    /// Why none was; empty when one was.
    std::error_code error() const noexcept {
        return error_ == 0 ? std::error_code{} : static_cast<Errc>(error_);
    }

    /// When nothing was chosen because every match is resting: how long the shortest rest lasts.
    std::optional<Duration> retry_after() const noexcept {
        return backend_ == nullptr && wait_ > Duration::zero() ? std::optional{wait_} : std::nullopt;
    }

    /// The chosen backend's config, as it was when the place was taken. Only on a true lease.
    const BackendConfig& operator*() const noexcept { return *config_; }
    const BackendConfig* operator->() const noexcept { return config_; }

    void swap(Lease& other) noexcept {
        std::swap(owner_, other.owner_);
        std::swap(backend_, other.backend_);
        std::swap(config_, other.config_);
        std::swap(taken_, other.taken_);
        std::swap(began_, other.began_);
        std::swap(tokens_, other.tokens_);
        std::swap(wait_, other.wait_);
        std::swap(id_, other.id_);
        std::swap(serial_, other.serial_);
        std::swap(error_, other.error_);
        std::swap(half_open_, other.half_open_);
        std::swap(trial_, other.trial_);
        std::swap(streaming_, other.streaming_);
    }

  private:
    friend struct detail::LeaseAccess;

    detail::LeaseOwner* owner_ = nullptr;
    detail::LiveBackend* backend_ = nullptr;
    const BackendConfig* config_ = nullptr;
    std::uint64_t taken_ = 0;   // the account's word just before: generation and epoch
    Time began_{};              // when; of the first byte once that came
    std::uint64_t tokens_ = 0;  // accounted on the backend
    Duration wait_{};           // of a refused one: the shortest rest; else time to the first byte
    BackendId id_ = 0;          // of the backend, for what must not touch it any more
    std::uint32_t serial_ = 0;
    int error_ = static_cast<int>(Errc::no_backends);
    bool half_open_ = false;  // taken while the backend was half open: its outcome decides
    bool trial_ = false;      // holds the one trial place
    bool streaming_ = false;  // the first byte came
};

namespace detail {

/// The balancer's side of a lease.
struct LeaseAccess {
    static Lease refused(std::error_code error, Duration wait = {}) noexcept {
        Lease lease;
        lease.error_ = error.value();
        lease.wait_ = wait;
        return lease;
    }

    static LeaseOwner*& owner(Lease& lease) noexcept { return lease.owner_; }
    static LiveBackend*& backend(Lease& lease) noexcept { return lease.backend_; }
    static const BackendConfig*& config(Lease& lease) noexcept { return lease.config_; }
    static std::uint64_t& taken(Lease& lease) noexcept { return lease.taken_; }
    static Time& began(Lease& lease) noexcept { return lease.began_; }
    static std::uint64_t& tokens(Lease& lease) noexcept { return lease.tokens_; }
    static Duration& wait(Lease& lease) noexcept { return lease.wait_; }
    static BackendId& id(Lease& lease) noexcept { return lease.id_; }
    static std::uint32_t& serial(Lease& lease) noexcept { return lease.serial_; }
    static int& error(Lease& lease) noexcept { return lease.error_; }
    static bool& half_open(Lease& lease) noexcept { return lease.half_open_; }
    static bool& trial(Lease& lease) noexcept { return lease.trial_; }
    static bool& streaming(Lease& lease) noexcept { return lease.streaming_; }
};

}  // namespace detail
}  // namespace fairlead
