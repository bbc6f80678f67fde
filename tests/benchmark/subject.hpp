// What is measured, whatever its strategy and clock: each balancer is compiled once (subjects.cpp), for the
// figures of time and for the counts of instructions alike.
#pragma once

#include <fairlead/balancer/lease.hpp>
#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/criteria.hpp>
#include <fairlead/model/options.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/model/time.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairlead::benchmarks {

/// Time that moves by itself and costs nothing: the clock's own cost is measured apart.
struct FreeClock {
    static Time now() noexcept { return Time{Duration{ticks += step}}; }
    static inline thread_local std::int64_t ticks = 0;
    static inline thread_local std::int64_t step = 100;
};

/// A balancer and the requests that go through it.
class Subject {
  public:
    virtual ~Subject() = default;

    /// `n` times `select` and `report` of a success, with a key.
    virtual void requests(std::size_t n) noexcept = 0;
    virtual void requests(std::size_t n, const Criteria& criteria) noexcept = 0;
    /// The same without anything asked.
    virtual void bare_requests(std::size_t n) noexcept = 0;
    /// And with `first_byte` between them.
    virtual void answers(std::size_t n) noexcept = 0;
    /// As a model's answers come: tokens told, 64 in flight of which each has its first byte when half of the
    /// others came after it, and takes 19 ms.
    virtual void model_answers(std::size_t n) noexcept = 0;
    /// `n` times `select` alone; the lease is dropped.
    virtual void selects(std::size_t n) noexcept = 0;

    virtual Lease select(const Criteria& criteria) noexcept = 0;
    virtual void report(Lease lease, Outcome::Kind kind) noexcept = 0;

    /// One change of the fleet after which every table is another: the weight of "b0".
    virtual void change() = 0;
    /// The same of each backend, in one go.
    virtual void change_all(std::uint32_t weight) = 0;

  protected:
    Subject() = default;
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;
};

/// The strategies by name, in the order of the table.
const std::vector<std::string>& strategies();

/// `n` backends with room for a thousand requests each; of unlike weights 1 to 7 unless `equal`.
std::vector<BackendConfig> backends(std::size_t n, bool equal);
/// The same, every other one of the model "even" and of "odd", all with the tag "gpu".
std::vector<BackendConfig> two_models(std::size_t n, bool equal);

Options seeded();

/// The plain balancer of that strategy.
std::unique_ptr<Subject> plain(std::string_view strategy, std::vector<BackendConfig> backends,
                               const Options& options = seeded());
/// The same behind `AnyStrategy`.
std::unique_ptr<Subject> any(std::string_view strategy, std::vector<BackendConfig> backends,
                             const Options& options = seeded());

enum class ClockKind : std::uint8_t { free, steady, coarse, tsc };
inline constexpr std::pair<const char*, ClockKind> clocks[] = {{"no_clock", ClockKind::free},
                                                               {"steady_clock", ClockKind::steady},
                                                               {"coarse_clock", ClockKind::coarse},
                                                               {"tsc_clock", ClockKind::tsc}};

/// As `any`, by a clock that is looked at.
std::unique_ptr<Subject> timed(std::string_view strategy, ClockKind clock,
                               std::vector<BackendConfig> backends);

/// As `load_settings` makes the balancer of the mode `single_backend`.
std::unique_ptr<Subject> single_backend();

/// `backends` with one place each, all taken. `pending`: while something is to fall due, here one ejected
/// backend's return.
class Full {
  public:
    Full(std::size_t backends, bool pending);
    Subject& subject() noexcept { return *subject_; }

  private:
    std::unique_ptr<Subject> subject_;
    std::vector<Lease> leases_;
};

}  // namespace fairlead::benchmarks
