// Options that are set while four threads choose, fail, report and wait for nobody: run under TSan and ASan.
#include "support/catch.hpp"
#include "support/fleet.hpp"

#include <fairlead/fairlead.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// One of a few sets, so that each is used many times, and also some that were never in force.
Options random_options(Rng& rng) {
    Options options;
    options.seed = 5;
    options.ejection = rng.below(3) != 0;
    options.failure_threshold = 1 + rng.below(4);
    options.max_retries = rng.below(4);
    options.failure_ratio_window = std::chrono::milliseconds{1 + rng.below(20)};
    options.failure_ratio_requests = 1 + rng.below(8);
    options.base_ejection = std::chrono::microseconds{1 + rng.below(1000)};
    options.max_ejection = std::chrono::microseconds{1 + rng.below(2000)};
    options.rest_max = std::chrono::microseconds{rng.below(500)};
    options.slow_start = std::chrono::microseconds{rng.below(2) == 0 ? 0 : rng.below(2000)};
    options.panic_threshold = rng.below(2) == 0 ? 0.0 : 0.9;
    options.overprovisioning = rng.below(2) == 0 ? 0.0 : 1.2;
    options.subset_limit = 1 + rng.below(3);
    options.latency_tau = std::chrono::milliseconds{1 + rng.below(50)};
    options.health_check_path = rng.below(2) == 0 ? "/v1/models" : "/a/longer/path/than/fits/in/a/string";
    return options;
}

TEST_CASE("nothing is lost while four threads send and two set the options") {
    constexpr std::size_t backends = 5;
    constexpr std::uint64_t requests = 5000;
    auto configs = fleet(backends, 4);
    for (std::size_t i = 0; i < backends; ++i) {
        configs[i].model_name = i % 2 == 0 ? "even" : "odd";
        configs[i].priority = i == 4 ? 1 : 0;
    }
    Rng first{1};
    Balancer<AnyStrategy> balancer{configs, random_options(first)};
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> chosen{0};
    std::atomic<std::uint64_t> wrong{0};

    const auto setter = [&](std::uint64_t seed) {
        Rng rng{seed};
        while (!stop.load(std::memory_order_relaxed)) {
            if (rng.below(2) == 0) {
                if (balancer.set_options(random_options(rng))) wrong.fetch_add(1, std::memory_order_relaxed);
            } else {
                balancer.set_max_retries(rng.below(5));
                const auto failed =
                    balancer.update_options([&](Options& options) { options.queue_limit = rng.below(5); });
                if (failed) wrong.fetch_add(1, std::memory_order_relaxed);
            }
            // Read as a request's exchange does, and held over a change of the others.
            const Options& options = balancer.options();
            if (options.health_check_path.size() < 10) wrong.fetch_add(1, std::memory_order_relaxed);
        }
    };
    const auto sender = [&](std::uint64_t seed) {
        Rng rng{seed};
        std::vector<Lease> mine;
        for (std::uint64_t i = 0; i < requests; ++i) {
            const Criteria criteria{.model = rng.below(2) == 0 ? "even" : std::string_view{}};
            if (Lease lease = balancer.select(criteria)) {
                chosen.fetch_add(1, std::memory_order_relaxed);
                if (rng.below(2) == 0) balancer.first_byte(lease);
                mine.push_back(std::move(lease));
            }
            while (mine.size() > rng.below(4)) {
                constexpr std::array kinds{Outcome::success, Outcome::success, Outcome::server_error,
                                           Outcome::connect_error, Outcome::cancelled};
                Outcome outcome{kinds[rng.below(kinds.size())]};
                if (rng.below(20) == 0) {
                    outcome.kind = Outcome::rate_limited;
                    outcome.retry_after = 200us;
                }
                balancer.report(std::move(mine.back()), outcome);
                mine.pop_back();
            }
        }
    };
    std::vector<std::thread> setters;
    std::vector<std::thread> senders;
    for (std::uint64_t i = 0; i < 2; ++i) setters.emplace_back(setter, i + 10);
    for (std::uint64_t i = 0; i < 4; ++i) senders.emplace_back(sender, i + 20);
    for (auto& thread : senders) thread.join();
    stop = true;
    for (auto& thread : setters) thread.join();

    CHECK(wrong == 0);
    std::uint64_t completed = 0;
    for (const auto& each : balancer.snapshot()) {
        CHECK(each.in_flight == 0);
        completed += each.completed;
    }
    CHECK(completed == chosen);
}

}  // namespace
