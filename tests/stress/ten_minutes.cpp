// 16 threads and ten minutes of a fleet's life, in virtual time: backends fail, hang, rest, return, are
// probed and changed. Run under TSan and ASan.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/fairlead.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

constexpr std::size_t backends = 8;
constexpr std::uint32_t limit = 5;
constexpr int senders = 14;  // and one for the operator, one for probes and the clock
constexpr auto ten_minutes = 600s;

/// What the test itself counts, by backend.
struct Tally {
    std::array<std::atomic<std::uint32_t>, backends> held{};
    std::array<std::atomic<std::uint64_t>, backends> ended{};
    std::array<std::atomic<std::uint64_t>, backends> failed{};
    std::atomic<std::uint64_t> exceeded{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> ejected{0};
    std::atomic<std::uint64_t> returned{0};
    std::atomic<std::uint64_t> drained{0};
    std::atomic<std::uint64_t> drains{0};
};

std::size_t index(const Lease& lease) { return static_cast<std::size_t>(lease->name[1] - '0'); }

/// What a backend does at a moment, the same for whoever asks: each minute another one fails, one rests.
Outcome answer(std::size_t who, std::int64_t second, Rng& rng) {
    const auto minute = static_cast<std::size_t>(second / 60);
    if (who == minute % backends && second % 60 < 30) {
        return rng.below(2) == 0 ? Outcome::connect_error : Outcome::timeout;
    }
    if (who == (minute + 3) % backends && second % 60 < 20) {
        Outcome busy = Outcome::rate_limited;
        busy.retry_after = 2s;
        return busy;
    }
    return rng.below(50) == 0 ? Outcome::server_error : Outcome::success;
}

using Stressed = Balancer<AnyStrategy, NoTransport, ManualClock>;

class Sender {
  public:
    Sender(Stressed& balancer, Tally& tally, const ManualClock& clock, std::uint64_t seed)
        : balancer_{balancer}, tally_{tally}, clock_{clock}, start_{clock.now()}, rng_{seed} {}

    void run(Time end) {
        while (clock_.now() < end) {
            begin();
            // Up to three at once of 14 threads: 42 for the 40 places, so that refusals come up.
            while (!mine_.empty() && (mine_.size() >= 3 || rng_.below(2) == 0)) finish();
            // 300,000 turns of all threads together make the ten minutes: 500 requests a second of the fleet.
            clock_.advance(2ms);
        }
        while (!mine_.empty()) finish();
    }

  private:
    void begin() {
        Lease lease = balancer_.select({.key = "k", .tokens = rng_.below(3)});
        if (!lease) {
            tally_.refused.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        const auto who = index(lease);
        if (tally_.held[who].fetch_add(1) + 1 > limit) tally_.exceeded.fetch_add(1);
        if (rng_.below(4) == 0) balancer_.first_byte(lease);
        mine_.push_back(std::move(lease));
    }

    void finish() {
        Lease lease = std::move(mine_.back());
        mine_.pop_back();
        const auto who = index(lease);
        const auto second = std::chrono::duration_cast<std::chrono::seconds>(clock_.now() - start_).count();
        const Outcome outcome = answer(who, second, rng_);
        const bool failure = outcome.kind == Outcome::connect_error || outcome.kind == Outcome::timeout ||
                             outcome.kind == Outcome::server_error;
        // Before the report: afterwards another may have the place.
        tally_.held[who].fetch_sub(1);
        if (rng_.below(20) == 0) {
            lease = Lease{};  // the client left
        } else {
            if (failure) tally_.failed[who].fetch_add(1, std::memory_order_relaxed);
            balancer_.report(std::move(lease), outcome);
        }
        tally_.ended[who].fetch_add(1, std::memory_order_relaxed);
    }

    Stressed& balancer_;
    Tally& tally_;
    const ManualClock& clock_;
    const Time start_;
    Rng rng_;
    std::vector<Lease> mine_;
};

/// The operator: every second of the clock something else. Limits and URLs stay, so that the counts do.
void operate(Stressed& balancer, Tally& tally, const ManualClock& clock, Time end) {
    Rng rng{77};
    for (Time next = clock.now(); clock.now() < end;) {
        if (clock.now() < next) {
            std::this_thread::yield();
            continue;
        }
        next += 1s;
        const std::string name = "b" + std::to_string(rng.below(backends));
        switch (rng.below(5)) {
            case 0:
                balancer.disable(name);
                break;
            case 1:
                tally.drains.fetch_add(1);
                balancer.drain(name);
                break;
            case 2:
                balancer.update(name, [&](BackendConfig& config) { config.weight = 1 + rng.below(9); });
                break;
            case 3:
                balancer.set_strategy(AnyStrategy{static_cast<StrategyKind>(rng.below(AnyStrategy::count))});
                break;
            default:
                for (const auto& each : balancer.snapshot()) {
                    if (each.in_flight > limit) tally.exceeded.fetch_add(1);
                }
        }
        for (std::size_t i = 0; i < backends; ++i) balancer.enable("b" + std::to_string(i));
    }
}

void probe(Stressed& balancer, const ManualClock& clock, Time end) {
    Rng rng{78};
    for (Time next = clock.now(); clock.now() < end;) {
        if (clock.now() < next) {
            std::this_thread::yield();
            continue;
        }
        next += 2s;
        balancer.probed("b" + std::to_string(rng.below(backends)), rng.below(4) != 0);
    }
    for (std::size_t i = 0; i < backends; ++i) balancer.probed("b" + std::to_string(i), true);
}

TEST_CASE("16 threads, ten minutes of failing, resting and returning backends: nothing is lost or exceeded") {
    ManualClock clock;
    Options options;
    options.seed = 5;
    Stressed balancer{fleet(backends, limit), options, {}, {}, clock};
    Tally tally;
    balancer.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::ejected) tally.ejected.fetch_add(1);
        if (event.kind == Event::Kind::drained) tally.drained.fetch_add(1);
        if (event.kind == Event::Kind::state_changed && event.from == BackendState::half_open &&
            event.to == BackendState::healthy) {
            tally.returned.fetch_add(1);
        }
    });
    const Time end = clock.now() + ten_minutes;
    std::vector<std::thread> threads;
    for (int i = 0; i < senders; ++i) {
        threads.emplace_back([&, i] {
            Sender{balancer, tally, clock, static_cast<std::uint64_t>(i)}.run(end);
        });
    }
    threads.emplace_back([&] { operate(balancer, tally, clock, end); });
    threads.emplace_back([&] { probe(balancer, clock, end); });
    for (auto& thread : threads) thread.join();

    CHECK(tally.exceeded.load() == 0);
    CHECK(tally.ejected.load() > 0);
    CHECK(tally.returned.load() > 0);
    CHECK(tally.drained.load() <= tally.drains.load());  // never twice for one drain
    for (const auto& each : balancer.snapshot()) {
        const auto who = static_cast<std::size_t>(each.config.name[1] - '0');
        INFO(each.config.name);
        CHECK(each.in_flight == 0);
        CHECK(each.tokens_in_flight == 0);
        CHECK(each.completed == tally.ended[who].load());
        CHECK(each.failed == tally.failed[who].load());
        CHECK(each.completed > 0);
    }
    // Whatever state they were left in: all of them serve again once time has passed.
    clock.advance(6min);
    for (int round = 0; round < 3; ++round) {
        std::array<bool, backends> served{};
        for (int i = 0; i < 2000; ++i) {
            Lease lease = balancer.select();
            REQUIRE(lease);
            served[index(lease)] = true;
            balancer.report(std::move(lease), Outcome::success);
        }
        balancer.set_strategy(RoundRobin{});
        if (round > 0) CHECK(std::count(served.begin(), served.end(), true) == backends);
    }
    for (const auto& each : balancer.snapshot()) CHECK(each.state == BackendState::healthy);
}

}  // namespace
