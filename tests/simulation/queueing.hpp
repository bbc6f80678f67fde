// A fleet in virtual time: Poisson arrivals, backends with some servers each and first-come queues,
// exponential service; the library's own balancers choose. Runs millions of simulated seconds in one real
// one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include <fairlead/balancer/balancer.hpp>

#include "support/manual_clock.hpp"

namespace fairlead::test {

/// What one simulated backend is like, as a function of time.
struct Server {
    std::uint32_t servers = 4;  ///< requests served at once; the others wait in order
    double mean = 0.1;          ///< seconds of service
    std::uint32_t weight = 1;   ///< as configured
    std::function<double(double)> slowness = [](double) { return 1.0; };  ///< of service begun at that second
    std::function<bool(double)> fails = [](double) { return false; };     ///< answers 500 after a millisecond
};

struct Result {
    std::vector<double> latencies;    ///< seconds, of those that succeeded
    std::vector<std::uint64_t> sent;  ///< by backend
    std::vector<std::vector<std::uint64_t>> sent_by_second;
    std::uint64_t requests = 0;
    std::uint64_t failed = 0;
    std::uint64_t refused = 0;

    double mean() const {
        double sum = 0;
        for (const double each : latencies) sum += each;
        return sum / static_cast<double>(latencies.size());
    }
    double quantile(double q) const {
        auto sorted = latencies;
        const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(sorted.size() - 1));
        std::nth_element(sorted.begin(), sorted.begin() + at, sorted.end());
        return sorted[static_cast<std::size_t>(at)];
    }
    double share(std::size_t backend) const {
        return static_cast<double>(sent[backend]) / static_cast<double>(requests);
    }
    /// Share of `backend` among what was sent in the seconds [from, to).
    double share(std::size_t backend, std::size_t from, std::size_t to) const {
        double own = 0;
        double all = 0;
        for (std::size_t second = from; second < to && second < sent_by_second.size(); ++second) {
            for (std::size_t i = 0; i < sent.size(); ++i)
                all += static_cast<double>(sent_by_second[second][i]);
            own += static_cast<double>(sent_by_second[second][backend]);
        }
        return own / all;
    }
};

struct Scenario {
    std::vector<Server> fleet;
    double load = 0.7;          ///< of the capacity when nobody is slow
    double seconds = 300;       ///< simulated
    double warm_up = 60;        ///< seconds whose latencies do not count
    std::size_t balancers = 1;  ///< that share the fleet, each seeing its own requests only
    std::uint64_t seed = 1;
    Options options = [] {
        Options o;
        o.ejection = false;
        return o;
    }();
};

template <class S>
Result simulate(const Scenario& scenario, S strategy = {}) {
    struct Request {
        double sent = 0;
        std::size_t balancer = 0;
        Lease lease;
    };
    struct Machine {
        std::uint32_t busy = 0;
        std::deque<std::size_t> queue;
    };
    struct Happening {
        double at;
        std::uint64_t order;
        std::size_t request;  // none: an arrival
        std::size_t machine;
        bool fast_failure;
        bool operator>(const Happening& other) const {
            return at != other.at ? at > other.at : order > other.order;
        }
    };
    constexpr std::size_t none = ~std::size_t{0};

    ManualClock clock;
    Rng rng{Rng::mix(scenario.seed)};
    const auto exponential = [&](double mean) { return -mean * std::log1p(-rng.uniform()); };
    const std::size_t n = scenario.fleet.size();
    std::vector<BackendConfig> configs(n);
    double capacity = 0;
    for (std::size_t i = 0; i < n; ++i) {
        configs[i].name = "b" + std::to_string(i);
        configs[i].url = "http://h";
        configs[i].weight = scenario.fleet[i].weight;
        configs[i].max_connections = max_connections_limit;
        capacity += scenario.fleet[i].servers / scenario.fleet[i].mean;
    }
    using Simulated = Balancer<S, NoTransport, ManualClock>;
    std::vector<std::unique_ptr<Simulated>> balancers;
    for (std::size_t i = 0; i < scenario.balancers; ++i) {
        Options options = scenario.options;
        options.seed = Rng::mix(scenario.seed * 1000 + i);
        balancers.push_back(std::make_unique<Simulated>(configs, options, NoTransport{}, strategy, clock));
    }

    Result result;
    result.sent.assign(n, 0);
    result.sent_by_second.assign(static_cast<std::size_t>(scenario.seconds) + 1,
                                 std::vector<std::uint64_t>(n, 0));
    std::vector<Machine> machines(n);
    std::vector<Request> requests;
    std::vector<std::size_t> free_requests;
    std::priority_queue<Happening, std::vector<Happening>, std::greater<>> events;
    std::uint64_t order = 0;
    double now = 0;
    const double between = 1.0 / (capacity * scenario.load);
    events.push({exponential(between), order++, none, 0, false});
    const auto index = [](const Lease& lease) {
        return static_cast<std::size_t>(std::stoul(lease->name.substr(1)));
    };
    const auto serve = [&](std::size_t machine, std::size_t request) {
        const auto& server = scenario.fleet[machine];
        events.push(
            {now + exponential(server.mean) * server.slowness(now), order++, request, machine, false});
    };

    while (!events.empty()) {
        const Happening next = events.top();
        events.pop();
        clock.advance(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(next.at - now)));
        now = next.at;
        if (next.request == none) {
            if (now >= scenario.seconds) continue;  // no more arrivals; what is under way ends
            events.push({now + exponential(between), order++, none, 0, false});
            ++result.requests;
            const std::size_t by = rng.below(static_cast<std::uint32_t>(balancers.size()));
            Lease lease = balancers[by]->select();
            if (!lease) {
                ++result.refused;
                continue;
            }
            const std::size_t machine = index(lease);
            ++result.sent[machine];
            ++result.sent_by_second[static_cast<std::size_t>(now)][machine];
            std::size_t slot = requests.size();
            if (free_requests.empty()) {
                requests.emplace_back();
            } else {
                slot = free_requests.back();
                free_requests.pop_back();
            }
            requests[slot].sent = now;
            requests[slot].balancer = by;
            requests[slot].lease = std::move(lease);
            if (scenario.fleet[machine].fails(now)) {
                events.push({now + 0.001, order++, slot, machine, true});
            } else if (machines[machine].busy < scenario.fleet[machine].servers) {
                ++machines[machine].busy;
                serve(machine, slot);
            } else {
                machines[machine].queue.push_back(slot);
            }
            continue;
        }
        Request& request = requests[next.request];
        auto& balancer = *balancers[request.balancer];
        if (next.fast_failure) {
            ++result.failed;
            balancer.report(std::move(request.lease), Outcome::server_error);
        } else {
            if (request.sent >= scenario.warm_up) result.latencies.push_back(now - request.sent);
            balancer.report(std::move(request.lease), Outcome::success);
            auto& machine = machines[next.machine];
            if (machine.queue.empty()) {
                --machine.busy;
            } else {
                const std::size_t waiting = machine.queue.front();
                machine.queue.pop_front();
                serve(next.machine, waiting);
            }
        }
        free_requests.push_back(next.request);
    }
    return result;
}

inline std::vector<Server> equal_fleet(std::size_t n, std::uint32_t servers = 4) {
    Server one;
    one.servers = servers;
    return std::vector<Server>(n, one);
}

}  // namespace fairlead::test
