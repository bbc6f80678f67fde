// The balancers that are measured, one for each strategy.
#include "benchmark/subject.hpp"

#include <fairlead/fairlead.hpp>

#include "support/fleet.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace fairlead::benchmarks {
namespace {

/// One type for all that tell the time, so that a balancer is compiled once for them: the branch is always
/// foretold.
class ChosenClock {
  public:
    explicit ChosenClock(ClockKind kind = ClockKind::free) noexcept : kind_{kind} {}
    Time now() const noexcept {
        switch (kind_) {
            case ClockKind::steady:
                return std::chrono::steady_clock::now();
            case ClockKind::coarse:
                return CoarseClock::now();
            case ClockKind::tsc:
                return TscClock::now();
            default:
                return FreeClock::now();
        }
    }

  private:
    ClockKind kind_;
};

template <class S, class Clock>
class SubjectOf final : public Subject {
    using Measured = Balancer<S, NoTransport, Clock>;

  public:
    template <class... Args>
    explicit SubjectOf(Args&&... args) : balancer_{std::forward<Args>(args)...} {}

    void requests(std::size_t n) noexcept override {
        const Criteria criteria{.key = "conversation"};
        for (std::size_t i = 0; i < n; ++i) request(criteria);
    }
    void requests(std::size_t n, const Criteria& criteria) noexcept override {
        for (std::size_t i = 0; i < n; ++i) request(criteria);
    }
    void bare_requests(std::size_t n) noexcept override {
        for (std::size_t i = 0; i < n; ++i) {
            Lease lease = balancer_.select();
            balancer_.report(std::move(lease), Outcome::success);
        }
    }
    void answers(std::size_t n) noexcept override {
        for (std::size_t i = 0; i < n; ++i) {
            Lease lease = balancer_.select();
            balancer_.first_byte(lease);
            balancer_.report(std::move(lease), Outcome::success);
        }
    }
    void model_answers(std::size_t n) noexcept override {
        FreeClock::step = 100'000;  // three readings a request
        const Criteria criteria{.key = "conversation", .tokens = 1000, .answer_tokens = 200};
        for (std::size_t i = 0; i < n; ++i, ++begun_) {
            Lease& lease = under_way_[begun_ % under_way_.size()];
            balancer_.report(std::move(lease), Outcome::success);
            lease = balancer_.select(criteria);
            balancer_.first_byte(under_way_[(begun_ + under_way_.size() / 2) % under_way_.size()]);
        }
        FreeClock::step = 100;
    }
    void selects(std::size_t n) noexcept override {
        for (std::size_t i = 0; i < n; ++i) {
            Lease lease = balancer_.select();
            benchmark::DoNotOptimize(lease);
        }
    }

    Lease select(const Criteria& criteria) noexcept override { return balancer_.select(criteria); }
    void report(Lease lease, Outcome::Kind kind) noexcept override {
        balancer_.report(std::move(lease), kind);
    }

    void change() override {
        balancer_.update("b0", [](BackendConfig& config) { config.weight = 1 + config.weight % 7; });
    }
    void change_all(std::uint32_t weight) override {
        const auto all = balancer_.snapshot();
        balancer_.change([&](FleetChange& fleet) {
            for (const auto& each : all) {
                fleet.update(each.config.name, [&](BackendConfig& config) { config.weight = weight; });
            }
        });
    }

  private:
    [[gnu::always_inline]] void request(const Criteria& criteria) noexcept {
        Lease lease = balancer_.select(criteria);
        balancer_.report(std::move(lease), Outcome::success);
    }

    Measured balancer_;
    std::array<Lease, 64> under_way_;  // go before it
    std::size_t begun_ = 0;
};

using Plain = std::tuple<RoundRobin, WeightedRoundRobin, Random, WeightedRandom, ConsistentHash,
                         LeastConnections, ResponseTime, LeastTokens, PrefixAffinity>;

/// `visit` with a strategy of each kind.
template <class Visit>
void each_strategy(Visit&& visit) {
    std::apply([&](auto... strategy) { (visit(strategy), ...); }, Plain{});
}

AnyStrategy named(std::string_view strategy) {
    auto found = AnyStrategy::from_name(strategy);
    if (!found) throw std::invalid_argument{found.error()};
    return *found;
}

}  // namespace

const std::vector<std::string>& strategies() {
    static const auto names = [] {
        std::vector<std::string> all;
        each_strategy([&]<class S>(const S&) { all.emplace_back(S::name); });
        return all;
    }();
    return names;
}

std::vector<BackendConfig> backends(std::size_t n, bool equal) {
    auto all = test::fleet(n, 1000);
    for (std::size_t i = 0; i < n && !equal; ++i) all[i].weight = static_cast<std::uint32_t>(1 + i % 7);
    return all;
}

std::vector<BackendConfig> two_models(std::size_t n, bool equal) {
    auto all = backends(n, equal);
    for (std::size_t i = 0; i < n; ++i) {
        all[i].model_name = i % 2 == 0 ? "even" : "odd";
        all[i].tags = {"gpu"};
    }
    return all;
}

Options seeded() {
    Options options;
    options.seed = 1;
    return options;
}

std::unique_ptr<Subject> plain(std::string_view strategy, std::vector<BackendConfig> backends,
                               const Options& options) {
    std::unique_ptr<Subject> made;
    each_strategy([&]<class S>(const S& kind) {
        if (S::name == strategy) {
            made =
                std::make_unique<SubjectOf<S, FreeClock>>(std::move(backends), options, NoTransport{}, kind);
        }
    });
    if (!made) throw std::invalid_argument{"no strategy " + std::string{strategy}};
    return made;
}

std::unique_ptr<Subject> any(std::string_view strategy, std::vector<BackendConfig> backends,
                             const Options& options) {
    return std::make_unique<SubjectOf<AnyStrategy, FreeClock>>(std::move(backends), options, NoTransport{},
                                                               named(strategy));
}

std::unique_ptr<Subject> timed(std::string_view strategy, ClockKind clock,
                               std::vector<BackendConfig> backends) {
    return std::make_unique<SubjectOf<AnyStrategy, ChosenClock>>(std::move(backends), seeded(), NoTransport{},
                                                                 named(strategy), ChosenClock{clock});
}

std::unique_ptr<Subject> single_backend() {
    Settings settings;
    settings.mode = Mode::single_backend;
    settings.backends = backends(1, true);
    settings.backends.front().max_connections = max_connections_limit;
    not_balanced(settings.options);
    return std::make_unique<SubjectOf<AnyStrategy, FreeClock>>(settings);
}

Full::Full(std::size_t size, bool pending) {
    auto all = backends(size, true);
    for (auto& each : all) each.max_connections = 1;
    subject_ = plain("least_connections", std::move(all));
    for (std::size_t i = 0; i < size; ++i) leases_.push_back(subject_->select({}));
    for (int i = 0; pending && i < 3; ++i) {  // the threshold
        subject_->report(std::move(leases_.back()), Outcome::server_error);
        leases_.back() = subject_->select({});
    }
}

}  // namespace fairlead::benchmarks
