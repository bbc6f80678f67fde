// One gateway's balancer in virtual time, whatever its strategy.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/model/load_report.hpp>

namespace simulator {

/// The simulation's time, as its balancers read it.
class VirtualClock {
  public:
    explicit VirtualClock(const fairlead::Time& now) noexcept : now_{&now} {}
    fairlead::Time now() const noexcept { return *now_; }

  private:
    const fairlead::Time* now_;
};

/// What the simulation asks of a gateway. The calls are those of `fairlead::Balancer`.
class Router {
  public:
    Router() = default;
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;
    virtual ~Router() = default;

    virtual fairlead::Lease select(const fairlead::Criteria& criteria) = 0;
    virtual void first_byte(fairlead::Lease& lease) = 0;
    virtual void came(fairlead::Lease& lease, std::uint64_t tokens) = 0;
    virtual void report(fairlead::Lease&& lease, const fairlead::Outcome& outcome) = 0;
    virtual void add(fairlead::BackendConfig config) = 0;

    /// What an engine says of itself.
    virtual void report_load(const std::string& backend, const fairlead::LoadReport& report) = 0;

    /// Nanoseconds of real time that each choice took; handed over.
    std::vector<std::uint32_t> take_pick_times() { return std::exchange(pick_times_, {}); }

  protected:
    std::vector<std::uint32_t> pick_times_{};
};

/// With the strategy `S`.
template <fairlead::Strategy S>
class RouterOf : public Router {
  public:
    RouterOf(std::vector<fairlead::BackendConfig> backends, const fairlead::Options& options, S strategy,
             VirtualClock clock)
        : balancer_{std::move(backends), options, {}, std::move(strategy), clock} {}

    fairlead::Lease select(const fairlead::Criteria& criteria) override {
        const auto begin = std::chrono::steady_clock::now();
        auto lease = balancer_.select(criteria);
        const auto took = std::chrono::steady_clock::now() - begin;
        pick_times_.push_back(static_cast<std::uint32_t>(took / std::chrono::nanoseconds{1}));
        return lease;
    }
    void first_byte(fairlead::Lease& lease) override { balancer_.first_byte(lease); }
    void came(fairlead::Lease& lease, std::uint64_t tokens) override { balancer_.came(lease, tokens); }
    void report(fairlead::Lease&& lease, const fairlead::Outcome& outcome) override {
        balancer_.report(std::move(lease), outcome);
    }
    void add(fairlead::BackendConfig config) override { balancer_.add(std::move(config)); }
    void report_load(const std::string& backend, const fairlead::LoadReport& report) override {
        balancer_.report_load(backend, report);
    }

  private:
    fairlead::Balancer<S, fairlead::NoTransport, VirtualClock> balancer_;
};

}  // namespace simulator
