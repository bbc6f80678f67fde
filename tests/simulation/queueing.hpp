// A fleet in virtual time: Poisson arrivals, backends with some servers each and first-come queues,
// exponential service; the library's own balancers choose. Runs millions of simulated seconds in one real
// one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/resilience/verdict.hpp>

#include "support/manual_clock.hpp"

namespace fairlead::test {

/// What one simulated backend is like, as a function of time.
struct Server {
    std::uint32_t servers = 4;  ///< requests served at once; the others wait in order
    double mean = 0.1;          ///< seconds of service
    std::uint32_t weight = 1;   ///< as configured
    std::function<double(double)> slowness = [](double) { return 1.0; };  ///< of service begun at that second
    std::function<bool(double)> fails = [](double) { return false; };  ///< not served, but answered with ...
    Outcome failure = Outcome::from_status(500);                       ///< ... this ...
    double fails_after = 0.001;                                        ///< ... after so many seconds
    double breaks_at = never;  ///< what is served or waits at that second ends with `connect_error`
    double joins_at = 0;       ///< 0: one of the first set; else added at that second

    static constexpr double never = std::numeric_limits<double>::infinity();
};

struct Result {
    std::vector<double> latencies;    ///< seconds, of those that succeeded
    std::vector<std::uint64_t> sent;  ///< by backend
    std::vector<std::vector<std::uint64_t>> sent_by_second;
    std::vector<std::uint32_t> order;  ///< to whom, one after the other
    std::uint64_t requests = 0;
    std::uint64_t failed = 0;   ///< tries that did not succeed
    std::uint64_t refused = 0;  ///< requests that found nobody at their first try
    std::uint64_t lost = 0;     ///< requests whose last try failed, or found nobody
    std::uint64_t ejections = 0;

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
    /// How many were sent to `backend` in the seconds [from, to).
    std::uint64_t sent_in(std::size_t backend, std::size_t from, std::size_t to) const {
        std::uint64_t sum = 0;
        for (std::size_t second = from; second < to && second < sent_by_second.size(); ++second)
            sum += sent_by_second[second][backend];
        return sum;
    }
};

struct Scenario {
    std::vector<Server> fleet;
    double load = 0.7;          ///< of the capacity when nobody is slow
    double seconds = 300;       ///< simulated
    double warm_up = 60;        ///< seconds whose latencies do not count
    std::size_t balancers = 1;  ///< that share the fleet, each seeing its own requests only
    std::size_t retries = 0;  ///< further tries of a request, each elsewhere, where the failure table allows
    bool keys = false;        ///< each request with a key of its own
    std::uint64_t seed = 1;
    Options options = [] {
        Options o;
        o.ejection = false;
        return o;
    }();
};

template <class S>
class Simulation {
  public:
    Simulation(const Scenario& scenario, S strategy)
        : scenario_{scenario}, rng_{Rng::mix(scenario.seed)}, machines_(scenario.fleet.size()) {
        const std::size_t n = scenario.fleet.size();
        std::vector<BackendConfig> first;
        double capacity = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (scenario.fleet[i].joins_at > 0) {
                joining_.push_back(i);
                continue;
            }
            first.push_back(config(i));
            capacity += scenario.fleet[i].servers / scenario.fleet[i].mean;
        }
        between_ = 1.0 / (capacity * scenario.load);
        for (std::size_t i = 0; i < scenario.balancers; ++i) {
            Options options = scenario.options;
            options.seed = Rng::mix(scenario.seed * 1000 + i);
            balancers_.push_back(
                std::make_unique<Simulated>(first, options, NoTransport{}, strategy, clock_));
            balancers_.back()->on_event([this](const Event& event) {
                if (event.kind == Event::Kind::ejected) ++result_.ejections;
            });
        }
        result_.sent.assign(n, 0);
        result_.sent_by_second.assign(static_cast<std::size_t>(scenario.seconds) + 1,
                                      std::vector<std::uint64_t>(n, 0));
    }

    Result run() {
        push(exponential(between_), none, 0);
        while (!events_.empty()) {
            const Happening next = events_.top();
            events_.pop();
            clock_.advance(
                std::chrono::duration_cast<Duration>(std::chrono::duration<double>(next.at - now_)));
            now_ = next.at;
            join();
            if (next.request == none) {
                if (now_ < scenario_.seconds) arrive();  // then no more; what is under way ends
            } else if (next.served) {
                served(next.request, next.machine, next.broken);
            } else {
                ended(next.request, scenario_.fleet[next.machine].failure);
            }
        }
        return std::move(result_);
    }

  private:
    using Simulated = Balancer<S, NoTransport, ManualClock>;
    struct Request {
        double began = 0;
        std::size_t balancer = 0;
        std::string key;
        std::vector<std::string> tried;
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
        bool served;  // by one of the machine's servers, else answered at the door
        bool broken;
        bool operator>(const Happening& other) const {
            return at != other.at ? at > other.at : order > other.order;
        }
    };
    static constexpr std::size_t none = ~std::size_t{0};

    BackendConfig config(std::size_t i) const {
        BackendConfig config;
        config.name = "b" + std::to_string(i);
        config.url = "http://h";
        config.weight = scenario_.fleet[i].weight;
        config.max_connections = max_connections_limit;
        return config;
    }
    double exponential(double mean) { return -mean * std::log1p(-rng_.uniform()); }
    void push(double after, std::size_t request, std::size_t machine, bool served = false,
              bool broken = false) {
        events_.push({now_ + after, order_++, request, machine, served, broken});
    }

    void join() {
        std::erase_if(joining_, [&](std::size_t i) {
            if (scenario_.fleet[i].joins_at > now_) return false;
            for (auto& balancer : balancers_) balancer->add(config(i));
            return true;
        });
    }

    void arrive() {
        push(exponential(between_), none, 0);
        ++result_.requests;
        std::size_t slot = requests_.size();
        if (free_.empty()) {
            requests_.emplace_back();
        } else {
            slot = free_.back();
            free_.pop_back();
        }
        auto& request = requests_[slot];
        request.began = now_;
        request.balancer = rng_.below(static_cast<std::uint32_t>(balancers_.size()));
        if (scenario_.keys) request.key = std::to_string(rng_());
        if (!send(slot)) {
            ++result_.refused;
            lose(slot);
        }
    }

    /// One try, on a backend not tried yet. False when there is none.
    bool send(std::size_t slot) {
        auto& request = requests_[slot];
        const std::vector<std::string_view> tried{request.tried.begin(), request.tried.end()};
        request.lease = balancers_[request.balancer]->select({.key = request.key, .exclude = tried});
        if (!request.lease) return false;
        const auto machine = static_cast<std::size_t>(std::stoul(request.lease->name.substr(1)));
        ++result_.sent[machine];
        ++result_.sent_by_second[std::min(static_cast<std::size_t>(now_), result_.sent_by_second.size() - 1)]
                                [machine];
        result_.order.push_back(static_cast<std::uint32_t>(machine));
        const auto& server = scenario_.fleet[machine];
        if (server.fails(now_)) {
            push(server.fails_after, slot, machine);
        } else if (machines_[machine].busy < server.servers) {
            ++machines_[machine].busy;
            serve(slot, machine);
        } else {
            machines_[machine].queue.push_back(slot);
        }
        return true;
    }

    void serve(std::size_t slot, std::size_t machine) {
        const auto& server = scenario_.fleet[machine];
        double takes = exponential(server.mean) * server.slowness(now_);
        const bool broken =
            server.breaks_at < now_ + takes && (server.breaks_at >= now_ || server.fails(now_));
        if (broken) takes = std::max(0.0, server.breaks_at - now_);
        push(takes, slot, machine, true, broken);
    }

    void served(std::size_t slot, std::size_t at, bool broken) {
        auto& machine = machines_[at];
        if (machine.queue.empty()) {
            --machine.busy;
        } else {
            const std::size_t waiting = machine.queue.front();
            machine.queue.pop_front();
            serve(waiting, at);
        }
        ended(slot, broken ? Outcome::connect_error : Outcome::success);
    }

    void ended(std::size_t slot, const Outcome& outcome) {
        auto& request = requests_[slot];
        std::string name = request.lease->name;
        balancers_[request.balancer]->report(std::move(request.lease), outcome);
        if (outcome.kind == Outcome::success) {
            if (request.began >= scenario_.warm_up) result_.latencies.push_back(now_ - request.began);
            return release(slot);
        }
        ++result_.failed;
        request.tried.push_back(std::move(name));
        const bool again = judge(outcome, false).retry && request.tried.size() <= scenario_.retries;
        if (!again || !send(slot)) lose(slot);
    }

    void lose(std::size_t slot) {
        ++result_.lost;
        release(slot);
    }
    void release(std::size_t slot) {
        requests_[slot].tried.clear();
        free_.push_back(slot);
    }

    const Scenario& scenario_;
    ManualClock clock_;
    Rng rng_;
    double between_ = 0;
    double now_ = 0;
    std::vector<std::unique_ptr<Simulated>> balancers_;
    std::vector<std::size_t> joining_;
    std::vector<Machine> machines_;
    std::vector<Request> requests_;
    std::vector<std::size_t> free_;
    std::priority_queue<Happening, std::vector<Happening>, std::greater<>> events_;
    std::uint64_t order_ = 0;
    Result result_;
};

template <class S>
Result simulate(const Scenario& scenario, S strategy = {}) {
    return Simulation<S>{scenario, std::move(strategy)}.run();
}

inline std::vector<Server> equal_fleet(std::size_t n, std::uint32_t servers = 4) {
    Server one;
    one.servers = servers;
    return std::vector<Server>(n, one);
}

}  // namespace fairlead::test
