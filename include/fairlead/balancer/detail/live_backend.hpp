// One backend as the balancer keeps it: the account that requests touch, and the findings behind a mutex.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fairlead/balancer/detail/failure_watch.hpp>
#include <fairlead/balancer/detail/histogram.hpp>
#include <fairlead/balancer/detail/latency.hpp>
#include <fairlead/balancer/detail/load_notes.hpp>
#include <fairlead/balancer/figures.hpp>
#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/event.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/resilience/ejection.hpp>
#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/detail/account.hpp>

namespace fairlead::detail {

inline constexpr std::size_t outcome_kinds = 7;

/// The configs that leases still show, and how many leases each. A release compares the generation in the
/// word with its lease's: only when they differ does it come here (under the roster's mutex).
class ConfigHistory {
  public:
    /// So that the next `retire` has room. Throws std::bad_alloc. Called with the roster's mutex.
    void make_room() {
        if (old_.size() == old_.capacity()) old_.reserve(2 * old_.size() + 1);
    }

    /// Called with the roster's mutex, after `make_room`. `held` leases were out, of all generations, when
    /// `generation` ended.
    void retire(std::uint32_t generation, std::shared_ptr<const BackendConfig> config,
                std::int64_t held) noexcept {
        for (const Old& old : old_) held -= old.leases;
        old_.push_back({generation, held, std::move(config)});
        drop_unused();
    }

    /// Called with the roster's mutex: a lease of `generation` ended while the word had `current`. A
    /// generation that ended between that release and this call did not count it: it was then taken for one
    /// of the older generation's, which is set right here.
    void ended(std::uint32_t generation, std::uint32_t current) noexcept {
        for (Old& old : old_) {
            if (old.generation == generation) --old.leases;
            if (old.generation == current) ++old.leases;
        }
        drop_unused();
    }

    bool uses(std::uint32_t generation) const noexcept {
        for (const Old& old : old_) {
            if (old.generation == generation) return true;
        }
        return false;
    }

    std::size_t size() const noexcept { return old_.size(); }

  private:
    struct Old {
        std::uint32_t generation;
        std::int64_t leases;
        std::shared_ptr<const BackendConfig> config;
    };

    /// Oldest first only: while a release is on its way to `ended`, its own generation still counts it, so
    /// nothing younger, whose count may be short by it, can go.
    void drop_unused() noexcept {
        const auto used =
            std::find_if(old_.begin(), old_.end(), [](const Old& old) { return old.leases != 0; });
        old_.erase(old_.begin(), used);
    }

    std::vector<Old> old_;  // nearly always empty, and then takes no memory, which a deque does
};

/// The operator's word.
enum class Duty : std::uint8_t { serving, draining, disabled, removed };

/// One live backend. Identity is the name and survives a change of config. The base is the hot cache line;
/// everything below is touched when something goes wrong, once in a while, or by the writers.
struct LiveBackend : LeasedAccount {
    // --- any thread, relaxed -----------------------------------------------------------------------------
    std::array<std::atomic<std::uint64_t>, outcome_kinds - 1> outcomes{};  // success, the first, is the rest
    std::atomic<std::uint64_t> failures{0};   // `failed` of the account, which is modulo 2^32
    std::atomic<std::int64_t> rest_until{0};  // nanoseconds of the balancer's clock; 0: never rested
    std::atomic<std::int64_t> returned{0};    // when it last came into service: slow start counts from here
    std::atomic<std::uint64_t> prompt_tokens{0};
    std::atomic<std::uint64_t> completion_tokens{0};
    std::atomic<std::uint64_t> streamed{0};  // ticks that answers took after their first byte
    std::atomic<int> last_failure{-1};       // kind of the last failure in the lowest byte, status above
    std::atomic<std::uint32_t> kept_at{0};   // `Roster::draws()` when it last stayed in spite of failures
    std::atomic<std::int64_t> load_came{0};  // when an answer last told its load; nanoseconds of the clock
    FailureWatch failure_watch;
    mutable Histogram response_times;              // beyond the first bound; the first as last shown
    Histogram first_byte_times;                    // all
    std::atomic<std::uint64_t> first_byte_sum{0};  // nanoseconds
    Pace pace;

    // --- with the roster's mutex -------------------------------------------------------------------------
    std::uint64_t incarnation = 0;  // tells apart the servers that stood behind a name: new with url and key
    std::shared_ptr<const BackendConfig> config;
    ConfigHistory history;
    Duty duty = Duty::serving;
    bool probe_ok = true;
    bool ejection_refused = false;  // one event for a row of refusals
    bool announced_drain = false;
    bool warming = false;                        // within slow start
    BackendState shown = BackendState::healthy;  // the last state told to the host
    std::vector<std::function<void(std::error_code)>> on_drained;
    Ejection ejection;
    std::uint64_t retries = 0;
    std::uint64_t ejections = 0;
    LoadNotes load;

    bool resting() const noexcept { return (word.load(std::memory_order_relaxed) & word::resting) != 0; }

    /// The one status shown. Called with the roster's mutex.
    BackendState state() const noexcept {
        if (duty == Duty::disabled || duty == Duty::removed) return BackendState::disabled;
        if (duty == Duty::draining) return BackendState::draining;
        if (!probe_ok || ejection.is_ejected()) return BackendState::unhealthy;
        if (ejection.is_half_open()) return BackendState::half_open;
        return resting() ? BackendState::resting : BackendState::healthy;
    }

    /// What the host is told. Called with the roster's mutex.
    BackendFigures figures() const {
        BackendFigures f = counts();
        f.config = *config;
        return f;
    }

    /// The same without the config: allocates nothing. Called with the roster's mutex.
    BackendFigures counts() const noexcept {
        BackendFigures f;
        f.id = id;
        f.state = state();
        f.in_service = in_service();
        f.probe_ok = probe_ok;
        f.incarnation = incarnation;
        f.in_flight = word::in_flight(word.load(std::memory_order_relaxed));
        // Before `completed`: a request is counted in its bucket first, so what is left is never too much.
        f.response_times = response_times.counts();
        f.completed = total_completed(*this);
        std::uint64_t others = 0;
        static_assert(Outcome::success == 0);
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            f.outcomes[i + 1] = outcomes[i].load(std::memory_order_relaxed);
            others += f.outcomes[i + 1];
        }
        f.succeeded = f.completed > others ? f.completed - others : 0;
        f.outcomes[Outcome::success] = f.succeeded;
        f.failed = failures.load(std::memory_order_relaxed);
        f.consecutive_failures = consecutive.load(std::memory_order_relaxed);
        const auto not_below_0 = [](std::int64_t n) {
            return static_cast<std::uint64_t>(std::max<std::int64_t>(0, n));
        };
        f.waiting_tokens = not_below_0(prefill.load(std::memory_order_relaxed));
        f.tokens_in_flight = f.waiting_tokens + not_below_0(tokens.load(std::memory_order_relaxed));
        f.decoding = detail::decoding(*this);
        f.prompt_tokens = prompt_tokens.load(std::memory_order_relaxed);
        f.completion_tokens = completion_tokens.load(std::memory_order_relaxed);
        if (f.completed > 0) {
            const double ticks =
                pace.total_area() + static_cast<double>(streamed.load(std::memory_order_relaxed));
            f.response_time_sum = Duration{static_cast<std::int64_t>(ticks * nanoseconds_per_tick)};
            f.average_response_time = Duration{
                static_cast<std::int64_t>(ticks * nanoseconds_per_tick / static_cast<double>(f.completed))};
        }
        // A request between its bucket and its end makes this too small for a moment: what was shown once
        // was true, and a count must not fall.
        std::uint64_t slow = 0;
        for (std::size_t i = 1; i < f.response_times.size(); ++i) slow += f.response_times[i];
        if (f.completed > slow) response_times.raise_first(f.completed - slow);
        f.response_times.front() = response_times.first();
        f.first_byte_times = first_byte_times.counts();
        f.first_byte_sum =
            Duration{static_cast<std::int64_t>(first_byte_sum.load(std::memory_order_relaxed))};
        f.retries = retries;
        f.ejections = ejections;
        f.slowness = static_cast<double>(slowness.load(std::memory_order_relaxed));
        if (const int last = last_failure.load(std::memory_order_relaxed); last >= 0) {
            f.last_failure = static_cast<Outcome::Kind>(last & 0xff);
            f.last_failure_status = last >> 8;
        }
        return f;
    }

    /// Whether requests may go to it at all, panic aside. Called with the roster's mutex.
    bool in_service() const noexcept { return duty == Duty::serving && !config->mirror && findings_ok(); }
    bool findings_ok() const noexcept { return probe_ok && !ejection.is_ejected(); }
};

}  // namespace fairlead::detail
