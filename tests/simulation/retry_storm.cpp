// A fleet that fails altogether must not get three times the load from its own callers' retries.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// A transport of the test: counts what is sent, and fails it while told to.
class Upstream {
  public:
    struct Request {};
    struct Response {
        int status = 0;
    };
    struct State {
        bool failing = false;
        std::vector<std::int64_t> sent_at{};  // nanoseconds
    };

    Upstream(std::shared_ptr<State> state, ManualClock clock)
        : state_{std::move(state)}, clock_{std::move(clock)} {}

    Response send(const BackendConfig&, const Request&, Deadline) {
        state_->sent_at.push_back(clock_.now().time_since_epoch().count());
        return {state_->failing ? 500 : 200};
    }
    static Outcome outcome(std::error_code, const Response& response) {
        return Outcome::from_status(response.status);
    }

  private:
    std::shared_ptr<State> state_;
    ManualClock clock_;
};

struct Storm {
    std::uint64_t received = 0;
    std::uint64_t answered = 0;
    std::uint64_t answered_before = 0;  // the failure
    std::uint64_t answered_after = 0;
    std::uint64_t sent = 0;       // over the 10 s of failure
    std::uint64_t worst_ten = 0;  // sent in the worst 10 s of all, at 1,000 requests a second
    std::uint64_t budget_events = 0;
};

/// 1,000 requests a second, one each millisecond, for 40 s; every backend fails from 15 s to 25 s.
Storm storm(const Options& options) {
    constexpr int seconds = 40;
    ManualClock clock;
    auto state = std::make_shared<Upstream::State>();
    Balancer<RoundRobin, Upstream, ManualClock> balancer{
        fleet(12), options, Upstream{state, clock}, {}, clock};
    Storm result;
    balancer.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::retry_budget_exhausted) ++result.budget_events;
    });
    for (int ms = 0; ms < seconds * 1000; ++ms) {
        clock.advance(1ms);
        state->failing = ms >= 15'000 && ms < 25'000;
        ++result.received;
        const auto before = state->sent_at.size();
        const bool ok = balancer.send({}).status == 200;
        if (state->failing) result.sent += state->sent_at.size() - before;
        if (!ok) continue;
        ++result.answered;
        if (ms < 15'000) ++result.answered_before;
        if (ms >= 25'000) ++result.answered_after;
    }
    // The window slides over every sending.
    std::size_t from = 0;
    for (std::size_t to = 0; to < state->sent_at.size(); ++to) {
        while (state->sent_at[to] - state->sent_at[from] >= 10'000'000'000) ++from;
        result.worst_ten = std::max<std::uint64_t>(result.worst_ten, to - from + 1);
    }
    return result;
}

TEST_CASE(
    "all fail for 10 s under 1,000 requests/s: at most 1.2 times the requests and 10 a second are sent") {
    Options options;
    options.seed = 1;
    SECTION("with ejection, as it comes") {}
    SECTION("without ejection") { options.ejection = false; }
    SECTION("with more retries allowed a request") {
        options.max_retries = 10;
        options.ejection = false;  // 12 backends for 11 tries: none is used again, so nothing waits
    }
    const Storm result = storm(options);
    constexpr std::uint64_t received = 10'000;  // in the 10 s of failure
    constexpr std::uint64_t most = received * 12 / 10 + 10 * 10;
    CHECK(result.sent <= most);
    CHECK(result.sent > received);    // but it does try
    CHECK(result.worst_ten <= most);  // exact over any 10 s, not only these
    CHECK(result.budget_events > 0);  // and says so
    CHECK(result.answered_before == 15'000);
    // As soon as the backends are well again everything is answered: those still ejected are not needed.
    CHECK(result.answered_after == 15'000);
}

TEST_CASE("without the budget it would be three times the load") {
    Options options;
    options.seed = 1;
    options.ejection = false;
    options.retry_budget_ratio = 10;
    CHECK(storm(options).sent == 30'000);
}

}  // namespace
