// What happens next, and what follows from it.
#include "simulator/simulation.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <utility>

namespace simulator {

namespace {

using fairlead::Outcome;
using fairlead::Rng;
using fairlead::Time;
using namespace std::chrono_literals;

constexpr Time never = Time::max();
// Not at 0, so that "never yet" and "at the beginning" differ for whoever remembers a time.
constexpr Time beginning{1h};
// Until a connection is refused.
constexpr Duration refusal_time = 1ms;

std::uint64_t leading_key(const Request& request) {
    if (request.ids.empty()) return 0;
    return Rng::mix(request.ids[std::min<std::size_t>(request.ids.size(), 2) - 1] + 1);
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Simulation::Simulation(const Scenario& scenario, const MakeRouter& make_router)
    : scenario_{scenario},
      rng_{Rng::mix(scenario.seed)},
      now_{beginning},
      engine_next_(scenario.backends, never),
      down_until_(scenario.backends, Time{}),
      happenings_{scenario.happenings},
      estimate_{scenario.estimate} {
    std::stable_sort(happenings_.begin(), happenings_.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
    engines_.reserve(scenario.backends + happenings_.size());
    std::vector<fairlead::BackendConfig> backends;
    for (std::size_t i = 0; i < scenario.backends; ++i) {
        engines_.emplace_back(scenario.engine_of(i));
        backends.push_back(config(i));
    }
    const auto board = std::make_shared<Board>(now_, engines_);
    for (std::size_t i = 0; i < scenario.gateways; ++i) {
        fairlead::Options options;
        options.seed = Rng::mix(scenario.seed * 1'000 + i);
        options.gateways = scenario.owner ? static_cast<std::uint32_t>(scenario.gateways) : 1;
        options.max_retries = scenario.retries;
        routers_.push_back(make_router({scenario, backends, options, VirtualClock{now_}, board}));
    }
    // Each gateway every second, or less often where there are many; evenly spread over that time.
    const double interval = std::max(1.0, static_cast<double>(scenario.gateways) / 10);
    between_scrapes_ = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(interval / static_cast<double>(scenario.gateways)));
    told_.resize(scenario.gateways);
    result_.sent.resize(scenario.backends);
}

fairlead::BackendConfig Simulation::config(std::size_t backend) const {
    fairlead::BackendConfig config;
    config.name = "b" + std::to_string(backend);
    config.url = "http://" + config.name;
    config.max_connections = scenario_.max_connections;
    if (backend < scenario_.weights.size()) config.weight = scenario_.weights[backend];
    return config;
}

Time Simulation::arrival_of(std::size_t index) const {
    const Duration at = (*scenario_.trace)[index].at;
    return beginning +
           std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds(at) / scenario_.load));
}

Result Simulation::run() {
    const auto& trace = *scenario_.trace;
    while (next_arrival_ < trace.size() || under_way_ > 0) {
        now_ = next_time();
        advance_engines();
        while (!refusals_.empty() && refusals_.front().at <= now_) {
            const auto slot = refusals_.front().flight;
            refusals_.pop_front();
            failed(slot, Outcome::connect_error);
        }
        while (next_happening_ < happenings_.size() && beginning + happenings_[next_happening_].at <= now_)
            happen(happenings_[next_happening_++]);
        while (scenario_.signals != Signals::off &&
               beginning + between_scrapes_ * static_cast<std::int64_t>(next_scrape_) <= now_) {
            scrape(next_scrape_ % routers_.size());
            ++next_scrape_;
        }
        while (next_arrival_ < trace.size() && arrival_of(next_arrival_) <= now_)
            arrive(trace[next_arrival_++]);
    }
    result_.seconds = seconds(now_ - beginning);
    for (auto& router : routers_) {
        const auto times = router->take_pick_times();
        result_.pick_times.insert(result_.pick_times.end(), times.begin(), times.end());
    }
    return std::move(result_);
}

Time Simulation::next_time() const {
    Time next = *std::min_element(engine_next_.begin(), engine_next_.end());
    if (next_arrival_ < scenario_.trace->size()) next = std::min(next, arrival_of(next_arrival_));
    if (!refusals_.empty()) next = std::min(next, refusals_.front().at);
    if (next_happening_ < happenings_.size())
        next = std::min(next, beginning + happenings_[next_happening_].at);
    if (scenario_.signals != Signals::off)
        next = std::min(next, beginning + between_scrapes_ * static_cast<std::int64_t>(next_scrape_));
    return std::max(next, now_);
}

void Simulation::advance_engines() {
    for (std::size_t i = 0; i < engines_.size(); ++i) {
        if (engine_next_[i] > now_) continue;
        events_.clear();
        engines_[i].advance(now_, events_);
        engine_next_[i] = engines_[i].next().value_or(never);
        for (const auto& event : events_) tell(event);
    }
}

void Simulation::tell(const inference::Engine::Event& event) {
    auto& flight = flights_[event.id];
    auto& router = *routers_[flight.gateway];
    if (event.first) {
        flight.first = event.at;
        flight.cached_tokens = static_cast<std::uint32_t>(event.cached_tokens);
        router.first_byte(flight.lease);
    }
    if (!event.last) return;
    const auto& request = *flight.request;
    const double after_first = seconds(event.at - flight.first);
    result_.served.push_back({seconds(flight.arrived - beginning), seconds(flight.first - flight.arrived),
                              request.output_tokens > 1 ? after_first / (request.output_tokens - 1) : 0,
                              request.prompt_tokens, flight.cached_tokens, flight.backend});
    Outcome outcome = Outcome::from_status(200);
    outcome.prompt_tokens = request.prompt_tokens;
    outcome.completion_tokens = request.output_tokens;
    router.report(std::move(flight.lease), outcome);
    release(event.id);
}

/// A gateway counts the tokens of its streams as they pass. It looks at the count only when it chooses: told
/// of then, and not at each of an answer's hundreds of tokens, it chooses the same.
void Simulation::tell_what_came(std::size_t gateway) {
    if (told_[gateway] == now_) return;
    told_[gateway] = now_;
    for (const auto& engine : engines_) {
        engine.each_answer(now_, [&](inference::Engine::Id id, std::uint64_t tokens) {
            auto& flight = flights_[id];
            if (flight.gateway == gateway) routers_[gateway]->came(flight.lease, tokens);
        });
    }
}

void Simulation::happen(const Happening& happening) {
    switch (happening.kind) {
        case Happening::Kind::restart:
            restart(happening.backend, happening.down);
            break;
        case Happening::Kind::add: {
            const std::size_t backend = engines_.size();
            engines_.emplace_back(scenario_.engine_of(backend));
            engine_next_.push_back(never);
            down_until_.emplace_back();
            result_.sent.push_back(0);
            for (auto& router : routers_) router->add(config(backend));
            break;
        }
        case Happening::Kind::prompt:
            ++prompt_epoch_;
            break;
        case Happening::Kind::estimates:
            estimate_ = happening.factor;
            break;
    }
}

/// Another engine in the place of this one; connections break.
void Simulation::restart(std::size_t backend, Duration down) {
    if (backend >= engines_.size()) return;
    engines_[backend] = inference::Engine{scenario_.engine_of(backend)};
    engine_next_[backend] = never;
    down_until_[backend] = now_ + down;
    std::vector<std::size_t> broken;
    for (std::size_t slot = 0; slot < flights_.size(); ++slot) {
        if (flights_[slot].lease && flights_[slot].backend == backend &&
            std::none_of(refusals_.begin(), refusals_.end(),
                         [slot](const Refusal& refusal) { return refusal.flight == slot; }))
            broken.push_back(slot);
    }
    for (const auto slot : broken) failed(slot, Outcome::connect_error);
}

/// One gateway reads all engines' metrics.
void Simulation::scrape(std::size_t gateway) {
    for (std::size_t i = 0; i < engines_.size(); ++i) {
        if (down_until_[i] > now_) continue;
        const auto figures = engines_[i].figures();
        fairlead::LoadReport report;
        report.running = figures.running;
        report.waiting = figures.waiting;
        report.cache_use = figures.used;
        if (scenario_.signals == Signals::tokens)
            report.waiting_tokens = static_cast<double>(figures.waiting_tokens);
        report.at = now_;
        routers_[gateway]->report_load("b" + std::to_string(i), report);
    }
}

void Simulation::arrive(const Request& request) {
    ++result_.requests;
    ++under_way_;
    std::size_t slot = flights_.size();
    if (free_.empty()) {
        flights_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    auto& flight = flights_[slot];
    flight = Flight{};
    flight.request = &request;
    flight.arrived = now_;
    flight.gateway = rng_.below(static_cast<std::uint32_t>(routers_.size()));
    const std::size_t full =
        std::min<std::size_t>(request.ids.size(), request.prompt_tokens / scenario_.engine.block_tokens);
    flight.blocks.reserve(full);
    // A prompt's ids are chained already; those of another system prompt have nothing in common with them.
    for (std::size_t i = 0; i < full; ++i)
        flight.blocks.push_back(Rng::mix(request.ids[i] + 1 + (prompt_epoch_ << 48)));
    send(slot);
}

void Simulation::send(std::size_t slot) {
    auto& flight = flights_[slot];
    const auto& request = *flight.request;
    const std::vector<std::string_view> tried{flight.tried.begin(), flight.tried.end()};
    fairlead::Criteria criteria;
    // Prefix hashing's key: two blocks, since the first is common to all; their ids are chained, so that the
    // second one stands for both. The second may be a short one.
    const std::uint64_t key = leading_key(request);
    if (key != 0) criteria.key = {reinterpret_cast<const char*>(&key), sizeof key};
    criteria.tokens =
        static_cast<std::uint64_t>(std::llround(std::max(1.0, request.prompt_tokens * estimate_)));
    criteria.prefix = flight.blocks;
    criteria.owner = request.conversation;
    criteria.exclude = tried;
    tell_what_came(flight.gateway);
    flight.lease = routers_[flight.gateway]->select(criteria);
    if (!flight.lease) {
        ++(flight.tries == 0 ? result_.shed : result_.failed);
        return release(slot);
    }
    if (flight.tries++ > 0) ++result_.retries;
    const std::string& name = flight.lease->name;
    std::from_chars(name.data() + 1, name.data() + name.size(), flight.backend);
    ++result_.sent[flight.backend];
    if (down_until_[flight.backend] > now_) {
        refusals_.push_back({now_ + refusal_time, slot});
        return;
    }
    auto& engine = engines_[flight.backend];
    if (!engine.submit(slot, {flight.blocks, request.prompt_tokens, request.output_tokens}, now_)) {
        routers_[flight.gateway]->report(std::move(flight.lease), Outcome::from_status(400));
        ++result_.failed;
        return release(slot);
    }
    engine_next_[flight.backend] = engine.next().value_or(never);
}

/// The backend failed: once more elsewhere, while tries are left. An answer that had begun begins anew.
void Simulation::failed(std::size_t slot, const Outcome& outcome) {
    auto& flight = flights_[slot];
    flight.tried.push_back(flight.lease->name);
    routers_[flight.gateway]->report(std::move(flight.lease), outcome);
    if (flight.tries > scenario_.retries) {
        ++result_.failed;
        return release(slot);
    }
    send(slot);
}

void Simulation::release(std::size_t slot) {
    flights_[slot].request = nullptr;
    free_.push_back(slot);
    --under_way_;
}

}  // namespace simulator
