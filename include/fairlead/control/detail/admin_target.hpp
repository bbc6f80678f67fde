// What the admin API needs of a balancer and of a health checker, whatever their template arguments are.
//
// Without it the whole API would be compiled anew for every kind of balancer. Private to the library; the two
// adapters at the end are made by `AdminApi`'s constructor.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/figures.hpp>
#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/settings.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// A balancer. Any thread.
class AdminTarget {
  public:
    virtual ~AdminTarget() = default;

    virtual Mode mode() const = 0;
    virtual std::vector<BackendFigures> snapshot() const = 0;
    virtual Totals totals() const = 0;
    virtual std::error_code add(BackendConfig config) = 0;
    virtual std::error_code update(std::string_view name,
                                   const std::function<void(BackendConfig&)>& edit) = 0;
    virtual std::error_code remove(std::string_view name) = 0;
    virtual std::error_code enable(std::string_view name) = 0;
    virtual std::error_code disable(std::string_view name) = 0;
    virtual std::error_code drain(std::string_view name) = 0;

    virtual std::string strategy() const = 0;
    /// What `set_strategy` takes: all that can be named, or the one that was compiled in.
    virtual std::vector<std::string> strategies() const = 0;
    /// `Errc::unknown_strategy` for a name that is not among `strategies`.
    virtual std::error_code set_strategy(std::string_view name) = 0;
    virtual std::uint32_t max_retries() const = 0;
    virtual void set_max_retries(std::uint32_t retries) = 0;
    virtual std::uint32_t failure_threshold() const = 0;
    virtual std::error_code set_failure_threshold(std::uint32_t failures) = 0;
};

/// How a backend's last probe went.
struct HealthReport {
    bool ok = true;
    std::string error{};                     ///< why not; empty when it went well
    std::uint32_t consecutive_failures = 0;  ///< probes that failed in a row
    double checked_at = 0;                   ///< unix seconds
};

/// A health checker. Any thread.
class HealthControl {
  public:
    virtual ~HealthControl() = default;

    virtual bool running() const = 0;
    virtual void start() = 0;
    virtual void stop() = 0;
    virtual Duration interval() const = 0;
    virtual void set_interval(Duration interval) = 0;
    /// Probes now; `done` is called once, at once or later, on any thread.
    using Probed = std::function<void(std::error_code, const HealthReport&)>;
    virtual void probe(std::string_view name, Probed done) = 0;
    /// Nothing before the first probe.
    virtual std::optional<HealthReport> last(std::string_view name) const = 0;
};

/// What a health checker must offer: `HealthChecker` (transport/health_checker.hpp) does. Beside these
/// `probe_now(name, handler)`, which completes `void(std::error_code, Report)`; a report has `ok`,
/// `last_error`, `consecutive_failures` and `last_check_time` (of the system's clock).
template <class H>
concept ControlsHealth = requires(H& health, const H& seen, Duration interval, std::string_view name) {
    { seen.running() } -> std::convertible_to<bool>;
    { seen.interval() } -> std::convertible_to<Duration>;
    health.start();
    health.stop();
    health.set_interval(interval);
    seen.last(name);
};

template <class B>
class BalancerTarget final : public AdminTarget {
  public:
    explicit BalancerTarget(B& balancer) noexcept : balancer_{balancer} {}

    Mode mode() const override { return balancer_.mode(); }
    std::vector<BackendFigures> snapshot() const override { return balancer_.snapshot(); }
    Totals totals() const override { return balancer_.totals(); }
    std::error_code add(BackendConfig config) override { return balancer_.add(std::move(config)); }
    std::error_code update(std::string_view name, const std::function<void(BackendConfig&)>& edit) override {
        return balancer_.update(name, edit);
    }
    std::error_code remove(std::string_view name) override { return balancer_.remove(name); }
    std::error_code enable(std::string_view name) override { return balancer_.enable(name); }
    std::error_code disable(std::string_view name) override { return balancer_.disable(name); }
    std::error_code drain(std::string_view name) override { return balancer_.drain(name); }

    std::string strategy() const override { return balancer_.strategy_name(); }

    std::vector<std::string> strategies() const override {
        if constexpr (is_named) {
            const auto names = B::StrategyType::names();
            return {names.begin(), names.end()};
        } else {
            return {strategy()};
        }
    }

    std::error_code set_strategy(std::string_view name) override {
        // The present one is left alone: a new one would begin its turns anew.
        if (name == strategy()) return {};
        if constexpr (is_named) {
            const auto named = B::StrategyType::from_name(name);
            if (!named) return Errc::unknown_strategy;
            balancer_.set_strategy(*named);
            return {};
        } else {
            return Errc::unknown_strategy;
        }
    }

    std::uint32_t max_retries() const override { return balancer_.max_retries(); }
    void set_max_retries(std::uint32_t retries) override { balancer_.set_max_retries(retries); }
    std::uint32_t failure_threshold() const override { return balancer_.failure_threshold(); }
    std::error_code set_failure_threshold(std::uint32_t failures) override {
        return balancer_.set_failure_threshold(failures);
    }

  private:
    static constexpr bool is_named = requires(std::string_view name) { B::StrategyType::from_name(name); };

    B& balancer_;
};

template <ControlsHealth H>
class HealthAdapter final : public HealthControl {
  public:
    explicit HealthAdapter(H& health) noexcept : health_{health} {}

    bool running() const override { return health_.running(); }
    void start() override { health_.start(); }
    void stop() override { health_.stop(); }
    Duration interval() const override { return health_.interval(); }
    void set_interval(Duration interval) override { health_.set_interval(interval); }

    void probe(std::string_view name, Probed done) override {
        health_.probe_now(name, [done = std::move(done)](std::error_code error, const auto& report) {
            done(error, report_of(report));
        });
    }

    std::optional<HealthReport> last(std::string_view name) const override {
        const auto report = health_.last(name);
        if (!report) return std::nullopt;
        return report_of(*report);
    }

  private:
    template <class Report>
    static HealthReport report_of(const Report& report) {
        HealthReport told;
        told.ok = report.ok;
        told.error = report.last_error;
        told.consecutive_failures = report.consecutive_failures;
        told.checked_at = std::chrono::duration<double>(report.last_check_time.time_since_epoch()).count();
        return told;
    }

    H& health_;
};

}  // namespace fairlead::detail
