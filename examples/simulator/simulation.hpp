// Requests, gateways and engines in virtual time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/model/criteria.hpp>
#include <fairlead/model/rng.hpp>

#include "simulator/board.hpp"
#include "simulator/result.hpp"
#include "simulator/router.hpp"
#include "simulator/scenario.hpp"

namespace simulator {

/// What a gateway is made from. What it refers to lives as long as the simulation.
struct Site {
    const Scenario& scenario;
    std::vector<fairlead::BackendConfig> backends;
    fairlead::Options options;
    VirtualClock clock;
    std::shared_ptr<Board> board;  ///< for rules that read metrics; the library's strategies do not
};
using MakeRouter = std::function<std::unique_ptr<Router>(const Site&)>;

/// Runs a scenario to the end of its last answer. The same for the same scenario and seed, but for
/// `pick_times`. A request comes to a gateway, is sent where that one's balancer says, computed by that
/// engine's model, and told of to the balancer as a real answer would be.
class Simulation {
  public:
    Simulation(const Scenario& scenario, const MakeRouter& make_router);

    Result run();

  private:
    struct Flight {
        const Request* request = nullptr;
        std::vector<std::uint64_t> blocks{};  // chained hashes of full blocks, as the engine keys its cache
        fairlead::Time arrived{};
        fairlead::Time first{};
        std::size_t gateway = 0;
        std::vector<std::string> tried{};
        fairlead::Lease lease{};
        std::uint32_t backend = 0;
        std::uint32_t cached_tokens = 0;
        std::uint64_t tries = 0;
    };
    struct Refusal {
        fairlead::Time at;
        std::size_t flight;
    };

    fairlead::BackendConfig config(std::size_t backend) const;
    fairlead::Time arrival_of(std::size_t index) const;
    fairlead::Time next_time() const;
    void advance_engines();
    void tell(const inference::Engine::Event& event);
    void tell_what_came(std::size_t gateway);
    void happen(const Happening& happening);
    void restart(std::size_t backend, Duration down);
    void scrape(std::size_t gateway);
    void arrive(const Request& request);
    void send(std::size_t slot);
    void failed(std::size_t slot, const fairlead::Outcome& outcome);
    void release(std::size_t slot);

    const Scenario& scenario_;
    fairlead::Rng rng_;
    fairlead::Time now_;
    std::vector<inference::Engine> engines_{};
    std::vector<fairlead::Time> engine_next_{};
    std::vector<fairlead::Time> down_until_{};
    std::vector<std::unique_ptr<Router>> routers_{};
    std::vector<fairlead::Time> told_{};  // up to when each gateway knows what came of its answers
    std::vector<Flight> flights_{};
    std::vector<std::size_t> free_{};
    std::deque<Refusal> refusals_{};  // connections refused, in order of time
    std::vector<Happening> happenings_{};
    std::size_t next_happening_ = 0;
    std::size_t next_arrival_ = 0;
    std::uint64_t next_scrape_ = 1;
    Duration between_scrapes_{};
    std::size_t under_way_ = 0;
    std::uint64_t prompt_epoch_ = 0;
    double estimate_ = 1;
    std::vector<inference::Engine::Event> events_{};
    Result result_{};
};

}  // namespace simulator
