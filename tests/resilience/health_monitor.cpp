// When backends are probed and what the answers mean, in virtual time.
#include <fairlead/resilience/health_monitor.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace fairlead;
using namespace std::chrono_literals;

constexpr Time begin{std::chrono::hours{100}};

HealthTarget target(std::string name, std::uint64_t incarnation = 0) {
    HealthTarget target;
    target.config.url = "http://" + name;
    target.config.name = std::move(name);
    target.incarnation = incarnation;
    return target;
}

std::vector<HealthTarget> targets(std::size_t n) {
    std::vector<HealthTarget> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(target("b" + std::to_string(i)));
    return all;
}

/// A loop that does what the monitor asks for, and how the backends answer.
struct Loop {
    explicit Loop(const Options& options = {}, std::uint64_t seed = 1) : monitor{options, seed} {}

    struct Sent {
        std::string name;
        Time at;
    };

    /// Jumps from deadline to deadline until `end`; every probe is answered `latency` later.
    void run_until(Time end) {
        for (;;) {
            const Time answered = open.empty() ? Time::max() : open.begin()->first;
            const Time next = std::min(monitor.next_deadline(), answered);
            if (next > end) break;
            now = std::max(now, next);
            for (auto it = open.begin(); it != open.end() && it->first <= now; it = open.erase(it)) {
                if (auto f = monitor.complete(it->second, answer(it->second.backend->name), now))
                    findings.emplace_back(now, *f);
            }
            for (auto& probe : monitor.due(now)) {
                sent.push_back({probe.backend->name, now});
                ++under_way[probe.backend->name];
                open.emplace(now + latency, probe);
            }
            most_open = std::max(most_open, open.size());
        }
        now = end;
    }

    std::vector<Time> times_of(std::string_view name) const {
        std::vector<Time> times;
        for (const auto& each : sent) {
            if (each.name == name) times.push_back(each.at);
        }
        return times;
    }

    /// The shortest and the longest time between two probes of one backend, from `from` on.
    std::pair<Duration, Duration> gaps(std::string_view name, Time from = {}) const {
        Duration least = Duration::max();
        Duration most{};
        const auto times = times_of(name);
        for (std::size_t i = 1; i < times.size(); ++i) {
            if (times[i - 1] < from) continue;
            least = std::min(least, times[i] - times[i - 1]);
            most = std::max(most, times[i] - times[i - 1]);
        }
        return {least, most};
    }

    HealthMonitor monitor;
    Time now = begin;
    Duration latency = 1ms;
    std::function<Outcome(const std::string&)> answer = [](const std::string&) { return Outcome::success; };
    std::vector<Sent> sent;
    std::vector<std::pair<Time, ProbeFinding>> findings;
    std::multimap<Time, HealthProbe> open;
    std::map<std::string, int> under_way;
    std::size_t most_open = 0;
};

/// One probe of the only backend, asked for and answered at once.
std::optional<ProbeFinding> probe(HealthMonitor& monitor, const Outcome& outcome, Time now = begin) {
    REQUIRE(monitor.request("b0", now));
    const auto probes = monitor.due(now);
    REQUIRE(probes.size() == 1);
    return monitor.complete(probes[0], outcome, now);
}

TEST_CASE("a monitor that begins anew gives up what was under way, and loses nobody") {
    Options options;
    options.health_check_concurrency = 1;
    HealthMonitor monitor{options, 1};
    monitor.set_members(targets(2), begin);
    const auto lost = monitor.due(begin + 1h);
    REQUIRE(lost.size() == 1);
    auto known = targets(2);
    known[1].healthy = false;
    monitor.begin_anew(known, begin + 1h);
    CHECK(monitor.under_way() == 0);
    CHECK_FALSE(monitor.complete(lost[0], Outcome::connect_error, begin + 1h));
    CHECK(monitor.standing("b0") == HealthStanding{.healthy = true});
    CHECK(monitor.standing("b1") == HealthStanding{.healthy = false});
    for (int i = 0; i < 2; ++i) {
        const auto probes = monitor.due(begin + 1h);
        REQUIRE(probes.size() == 1);
        monitor.complete(probes[0], Outcome::success, begin + 1h);
    }
    CHECK(monitor.standing("b0")->consecutive_successes == 1);
    CHECK(monitor.standing("b1")->consecutive_successes == 1);
}

TEST_CASE("every backend is probed once in its interval, give or take the jitter") {
    Loop loop;
    loop.monitor.set_members(targets(20), begin);
    loop.run_until(begin + 1h);
    for (const auto& each : targets(20)) {
        // The first probe is out of the grid: it comes early, so that a dead backend is known soon.
        const auto [least, most] = loop.gaps(each.config.name, begin + 5s + 1ns);
        CHECK(least >= 27s);
        CHECK(most <= 33s);
        CHECK(most > 30s);  // there is a jitter: of 119 gaps all below 30 s has probability 2^-119
        const auto count = loop.times_of(each.config.name).size();
        CHECK(count >= 120);
        CHECK(count <= 122);
    }
    CHECK(loop.findings.empty());
}

TEST_CASE("probes never come in a burst, the first ones included") {
    Loop loop;
    loop.monitor.set_members(targets(200), begin);
    loop.run_until(begin + 10min);
    // 200 in 30 s, each moved by up to 3 s: a window of 3 s is met by slots of 6 s, which are 40, and golden
    // phases stray from even ones by less than 3 (discrepancy of the golden ratio below 1/2 log2(200) + 1).
    for (std::size_t i = 0; i + 45 < loop.sent.size(); ++i) {
        if (loop.sent[i].at < begin + 5s) continue;
        REQUIRE(loop.sent[i + 45].at - loop.sent[i].at > 3s);
    }
    // The first round: 200 over 5 s, in even steps of 25 ms, none nearer than 0.44 of that.
    for (std::size_t i = 1; i < 200; ++i) {
        REQUIRE(loop.sent[i].at - loop.sent[i - 1].at >= 11ms);
        REQUIRE(loop.sent[i].at <= begin + 5s);
    }
    CHECK(loop.most_open < 16);
}

TEST_CASE("phases of backends that joined in a row are nearly even, for every number of them") {
    for (std::uint64_t first : {0u, 7u, 1000u}) {
        std::vector<double> phases;
        for (std::uint64_t n = 0; n < 300; ++n) {
            phases.push_back(detail::phase_of(0.3, first + n));
            auto sorted = phases;
            std::sort(sorted.begin(), sorted.end());
            double least = 1 + sorted.front() - sorted.back();
            for (std::size_t i = 1; i < sorted.size(); ++i)
                least = std::min(least, sorted[i] - sorted[i - 1]);
            REQUIRE(least * static_cast<double>(sorted.size()) > (sorted.size() == 1 ? 0.99 : 0.38));
        }
    }
}

TEST_CASE("two gateways with different seeds probe at different moments, with one seed at the same") {
    const auto first_of = [](std::uint64_t seed) {
        Loop loop{{}, seed};
        loop.monitor.set_members(targets(1), begin);
        return loop.monitor.next_deadline();
    };
    CHECK(first_of(1) == first_of(1));
    CHECK(first_of(1) != first_of(2));
}

TEST_CASE("unhealthy after failure_threshold failed probes in a row, healthy again after success_threshold") {
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(1), begin);
    CHECK_FALSE(probe(monitor, Outcome::success));
    CHECK_FALSE(probe(monitor, Outcome::timeout));
    CHECK_FALSE(probe(monitor, Outcome::timeout));
    CHECK_FALSE(probe(monitor, Outcome::success));  // clears
    CHECK_FALSE(probe(monitor, Outcome::connect_error));
    CHECK_FALSE(probe(monitor, Outcome::from_status(500)));
    CHECK(probe(monitor, Outcome::from_status(404)) == ProbeFinding{"b0", 0, false});
    CHECK(monitor.standing("b0") == HealthStanding{false, 3, 0, false});
    CHECK_FALSE(probe(monitor, Outcome::timeout));  // told once
    CHECK_FALSE(probe(monitor, Outcome::success));
    CHECK_FALSE(probe(monitor, Outcome::timeout));  // clears
    CHECK_FALSE(probe(monitor, Outcome::success));
    CHECK(probe(monitor, Outcome::success) == ProbeFinding{"b0", 0, true});
    CHECK_FALSE(probe(monitor, Outcome::success));
}

TEST_CASE("who could not be connected to twice in a row and answers again was restarted, and that is told") {
    const bool refuses = GENERATE(true, false);
    const Outcome bad{refuses ? Outcome::connect_error : Outcome::timeout};
    const auto told = [refuses](bool healthy) {
        return refuses ? std::optional{ProbeFinding{"b0", 0, healthy, true}} : std::nullopt;
    };
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(1), begin);
    CHECK_FALSE(probe(monitor, Outcome::success));
    CHECK_FALSE(probe(monitor, bad));
    CHECK_FALSE(probe(monitor, Outcome::success));  // one lost connection is no restart
    CHECK_FALSE(probe(monitor, bad));
    CHECK_FALSE(probe(monitor, bad));
    CHECK(probe(monitor, Outcome::success) == told(true));
    CHECK_FALSE(probe(monitor, bad));
    CHECK_FALSE(probe(monitor, bad));
    CHECK(probe(monitor, bad) == ProbeFinding{"b0", 0, false});
    CHECK(probe(monitor, Outcome::success) == told(false));
    CHECK(probe(monitor, Outcome::success) == ProbeFinding{"b0", 0, true});
}

TEST_CASE("back-pressure and cancelled probes neither add nor clear") {
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(1), begin);
    auto busy = Outcome::from_status(503);
    busy.retry_after = 1s;
    probe(monitor, Outcome::success);
    probe(monitor, Outcome::timeout);
    probe(monitor, Outcome::timeout);
    for (const auto& says_nothing : {Outcome{Outcome::cancelled}, Outcome::from_status(429), busy}) {
        CHECK_FALSE(probe(monitor, says_nothing));
        CHECK(monitor.standing("b0")->consecutive_failures == 2);
    }
    CHECK(probe(monitor, Outcome::timeout));
}

TEST_CASE("of a backend that nothing is known of, one failed probe is enough") {
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(1), begin);
    SECTION("its first") { CHECK(probe(monitor, Outcome::timeout) == ProbeFinding{"b0", 0, false}); }
    SECTION("also after one that said nothing") {
        probe(monitor, Outcome::cancelled);
        CHECK(probe(monitor, Outcome::timeout));
    }
    SECTION("not its second") {
        probe(monitor, Outcome::success);
        CHECK_FALSE(probe(monitor, Outcome::timeout));
    }
}

TEST_CASE("a backend that is added later is probed at once, and others keep their times") {
    Loop loop;
    loop.monitor.set_members(targets(3), begin);
    loop.run_until(begin + 100s);
    const Time next = loop.monitor.next_deadline();
    loop.monitor.set_members(targets(4), loop.now);
    const auto due = loop.monitor.due(loop.now);
    REQUIRE(due.size() == 1);
    CHECK(due[0].backend->name == "b3");
    loop.monitor.complete(due[0], Outcome::success, loop.now);
    // The next one is on its own grid: half to one and a half intervals later.
    CHECK(loop.monitor.next_deadline() == next);
    const Time added = loop.now;
    loop.run_until(added + 60s);
    CHECK(loop.times_of("b3").at(0) >= added + 15s);
    CHECK(loop.times_of("b3").at(0) <= added + 48s);
}

TEST_CASE("a backend with one failed probe and an unhealthy one are probed every 5 s") {
    Loop loop;
    bool down = false;
    loop.answer = [&](const std::string& name) {
        return down && name == "b1" ? Outcome::from_status(500) : Outcome{};
    };
    loop.monitor.set_members(targets(3), begin);
    loop.run_until(begin + 5min);
    down = true;
    const Time failed = loop.now;
    loop.run_until(failed + 5min);
    const auto [least, most] = loop.gaps("b1", failed);
    CHECK(least >= 2500ms);  // the first one: half to one period
    CHECK(most <= 5500ms);
    CHECK(loop.gaps("b0", failed).first >= 27s);
    REQUIRE(loop.findings.size() == 1);
    // The first failure comes within 33 s, two more within 5.5 s each.
    CHECK(loop.findings[0].first <= failed + 44s);

    down = false;
    const Time mended = loop.now;
    loop.run_until(mended + 5min);
    REQUIRE(loop.findings.size() == 2);
    CHECK(loop.findings[1].second.healthy);
    CHECK(loop.findings[1].first <= mended + 11s + 2ms);
    CHECK(loop.gaps("b1", mended + 61s).first >= 27s);  // back on its grid
}

TEST_CASE("an interval below 5 s is not made longer by failing") {
    Options options;
    options.health_check_interval = 1s;
    Loop loop{options};
    loop.answer = [](const std::string&) { return Outcome::timeout; };
    loop.monitor.set_members(targets(2), begin);
    loop.run_until(begin + 60s);
    CHECK(loop.gaps("b0", begin + 2s).first >= 900ms);
    CHECK(loop.gaps("b0", begin + 2s).second <= 1100ms);
}

TEST_CASE("backends that fail together are not probed together") {
    Options options;
    options.health_check_unhealthy_interval = 5s;
    Loop loop{options};
    loop.answer = [](const std::string&) { return Outcome::connect_error; };
    loop.monitor.set_members(targets(60), begin);
    loop.run_until(begin + 2min);
    // 12 a second in the mean, at random moments of each period: 40 within half a second, of 6 expected,
    // has probability below 1e-15 a window.
    for (std::size_t i = 0; i + 40 < loop.sent.size(); ++i)
        REQUIRE(loop.sent[i + 40].at - loop.sent[i].at > 500ms);
}

TEST_CASE("at most 16 probes are under way, never two to one backend, and each gets its turn") {
    Loop loop;
    loop.latency = 40s;  // longer than the interval
    loop.monitor.set_members(targets(50), begin);
    loop.run_until(begin + 20min);
    CHECK(loop.most_open == 16);
    for (const auto& each : targets(50)) {
        // 16 every 40 s: each of 50 every 125 s, so 9 or more in 20 minutes; some wait a turn longer.
        CHECK(loop.times_of(each.config.name).size() >= 8);
        CHECK(loop.gaps(each.config.name).first >= 40s);
    }
    for (std::size_t i = 0; i < 16; ++i) REQUIRE(loop.monitor.next_deadline() == Time::max());
}

TEST_CASE(
    "a backend's own interval, path, status and text count before the options', and those are filled in") {
    Options options;
    options.health_check_path = "/ping";
    options.health_check_contains = "pong";
    options.health_check_status = 204;
    Loop loop{options};
    auto both = targets(2);
    both[1].config.health = {.path = "/health", .interval = 2s, .expected_status = 200, .body_contains = ""};
    loop.monitor.set_members(both, begin);
    loop.run_until(begin + 2min);
    CHECK(loop.gaps("b0", begin + 5s).first >= 27s);
    CHECK(loop.gaps("b1", begin + 5s).second <= 2200ms);
    const auto of = [&](std::string_view name) {
        REQUIRE(loop.monitor.request(name, loop.now));
        return loop.monitor.due(loop.now).at(0).backend->health;
    };
    CHECK(of("b0") == HealthOverride{"/ping", 30s, 204, "pong"});
    CHECK(of("b1") == HealthOverride{"/health", 2s, 200, ""});
    CHECK(health_of({}, {}) == HealthOverride{"/v1/models", 30s, std::nullopt, std::nullopt});
}

TEST_CASE("a probe that an operator asks for goes first, and one under way is taken for it") {
    Options options;
    options.health_check_concurrency = 1;
    HealthMonitor monitor{options, 1};
    monitor.set_members(targets(3), begin);
    const Time late = begin + 1min;  // all are overdue
    REQUIRE(monitor.request("b2", late));
    const auto first = monitor.due(late);
    REQUIRE(first.size() == 1);
    CHECK(first[0].backend->name == "b2");
    CHECK(monitor.request("b2", late));
    CHECK(monitor.due(late).empty());
    monitor.complete(first[0], Outcome::success, late);
    CHECK(monitor.due(late).at(0).backend->name != "b2");
    CHECK_FALSE(monitor.request("nobody", late));
}

TEST_CASE("stopped, only what an operator asks for is probed; started again, all are, apart") {
    Loop loop;
    loop.monitor.set_members(targets(10), begin);
    loop.run_until(begin + 60s);
    loop.monitor.stop();
    CHECK_FALSE(loop.monitor.is_running());
    CHECK(loop.monitor.next_deadline() == Time::max());
    const auto before = loop.sent.size();
    loop.run_until(begin + 10min);
    CHECK(loop.sent.size() == before);
    loop.monitor.request("b3", loop.now);
    loop.run_until(begin + 20min);
    CHECK(loop.sent.size() == before + 1);
    loop.sent.clear();
    loop.monitor.start(loop.now);
    const Time started = loop.now;
    loop.run_until(started + 5s);
    CHECK(loop.sent.size() == 10);
    for (std::size_t i = 1; i < loop.sent.size(); ++i)
        CHECK(loop.sent[i].at - loop.sent[i - 1].at >= 190ms);  // 0.38 of 5 s / 10
}

TEST_CASE("a changed interval holds at once") {
    Options options;
    options.health_check_interval = 1h;
    Loop loop{options};
    auto two = targets(2);
    two[1].config.health.interval = 30min;
    loop.monitor.set_members(two, begin);
    loop.run_until(begin + 1min);
    loop.monitor.set_interval(10s, loop.now);
    CHECK(loop.monitor.interval() == Duration{10s});
    loop.run_until(begin + 2min);
    CHECK(loop.times_of("b0").size() >= 6);  // once, then at least every 11 s
    CHECK(loop.gaps("b0", begin + 1min).second <= 11s);
    CHECK(loop.times_of("b1").size() == 1);
}

TEST_CASE("a changed threshold holds for the next probe") {
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(1), begin);
    probe(monitor, Outcome::success);
    probe(monitor, Outcome::timeout);
    monitor.set_failure_threshold(2);
    CHECK(probe(monitor, Outcome::timeout) == ProbeFinding{"b0", 0, false});
}

TEST_CASE("other options hold at once for who has no word of its own, and keep what is known") {
    Options options;
    options.health_check_interval = 1h;
    Loop loop{options};
    auto two = targets(2);
    two[1].config.health.path = "/own";
    two[1].config.health.interval = 30min;
    loop.monitor.set_members(two, begin);
    loop.run_until(begin + 1min);
    options.health_check_interval = 10s;
    options.health_check_path = "/alive";
    loop.monitor.set_options(options, loop.now);
    loop.run_until(begin + 2min);
    CHECK(loop.gaps("b0", begin + 1min).second <= 11s);
    CHECK(loop.times_of("b0").size() >= 6);
    CHECK(loop.times_of("b1").size() == 1);
    REQUIRE(loop.monitor.request("b0", loop.now));
    REQUIRE(loop.monitor.request("b1", loop.now));
    const auto probes = loop.monitor.due(loop.now);
    REQUIRE(probes.size() == 2);
    for (const auto& probe : probes)
        CHECK(*probe.backend->health.path == (probe.backend->name == "b0" ? "/alive" : "/own"));
    CHECK(loop.monitor.standing("b0")->consecutive_successes > 0);
}

TEST_CASE("what is forgotten is told, and the next probe is as the first") {
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(1), begin);
    REQUIRE(probe(monitor, Outcome::timeout));
    monitor.stop();
    CHECK(monitor.forget() == std::vector{ProbeFinding{"b0", 0, true}});
    CHECK(monitor.forget().empty());
    CHECK(monitor.standing("b0")->healthy);
    CHECK(probe(monitor, Outcome::timeout) == ProbeFinding{"b0", 0, false});
}

TEST_CASE("a result for a backend that is gone or was replaced meanwhile is ignored") {
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(1), begin);
    monitor.request("b0", begin);
    const auto old = monitor.due(begin).at(0);
    std::vector<HealthTarget> next;
    SECTION("gone") {}
    SECTION("added again under its name") { next = {target("b0", 7)}; }
    SECTION("with another url") {
        next = targets(1);
        next[0].config.url = "http://elsewhere";
    }
    SECTION("with another key") {
        next = targets(1);
        next[0].config.api_key = "k";
    }
    monitor.set_members(next, begin);
    CHECK_FALSE(monitor.is_current(old));
    CHECK(monitor.under_way() == 1);  // its connection is open still
    CHECK_FALSE(monitor.complete(old, Outcome::timeout, begin));
    CHECK(monitor.under_way() == 0);
    if (next.empty()) {
        CHECK_FALSE(monitor.standing("b0"));
        CHECK(monitor.next_deadline() == Time::max());
    } else {
        CHECK(monitor.standing("b0") == HealthStanding{});
        // Afresh: at once, and one failing is enough.
        const auto probes = monitor.due(begin);
        REQUIRE(probes.size() == 1);
        CHECK(monitor.complete(probes[0], Outcome::timeout, begin) ==
              ProbeFinding{"b0", next[0].incarnation, false});
    }
}

TEST_CASE("any other change keeps what is known, and the probe under way") {
    HealthMonitor monitor{{}, 1};
    auto one = targets(1);
    monitor.set_members(one, begin);
    probe(monitor, Outcome::success);
    probe(monitor, Outcome::timeout);
    monitor.request("b0", begin);
    const auto old = monitor.due(begin).at(0);
    one[0].config.weight = 5;
    one[0].config.health.path = "/other";
    monitor.set_members(one, begin);
    CHECK(monitor.is_current(old));
    monitor.complete(old, Outcome::timeout, begin);
    CHECK(monitor.standing("b0") == HealthStanding{true, 2, 0, false});
    monitor.request("b0", begin);
    CHECK(monitor.due(begin).at(0).backend->health.path == "/other");
}

TEST_CASE("a probe completed twice counts once") {
    HealthMonitor monitor{{}, 1};
    monitor.set_members(targets(2), begin);
    probe(monitor, Outcome::success);
    monitor.request("b0", begin);
    const auto once = monitor.due(begin).at(0);
    monitor.complete(once, Outcome::timeout, begin);
    monitor.complete(once, Outcome::timeout, begin);
    CHECK(monitor.standing("b0")->consecutive_failures == 1);
}

TEST_CASE("what probes found before counts: an unhealthy backend needs success_threshold") {
    HealthMonitor monitor{{}, 1};
    auto one = targets(1);
    one[0].healthy = false;
    monitor.set_members(one, begin);
    CHECK_FALSE(probe(monitor, Outcome::success));
    CHECK(probe(monitor, Outcome::success) == ProbeFinding{"b0", 0, true});
}

TEST_CASE("where probes end ejections, every probe that a healthy backend passes is told") {
    Options options;
    options.probe_ends_ejection = true;
    HealthMonitor monitor{options, 1};
    monitor.set_members(targets(1), begin);
    CHECK(probe(monitor, Outcome::success) == ProbeFinding{"b0", 0, true});
    CHECK(probe(monitor, Outcome::success) == ProbeFinding{"b0", 0, true});
    CHECK_FALSE(probe(monitor, Outcome::timeout));
}

TEST_CASE("a loop that slept for hours probes each backend once, not once for every interval missed") {
    Loop loop;
    loop.monitor.set_members(targets(5), begin);
    loop.run_until(begin + 60s);
    const auto before = loop.sent.size();
    loop.now = begin + 3h;
    loop.run_until(begin + 3h);
    CHECK(loop.sent.size() == before + 5);
}

TEST_CASE("a probe comes with its slot or up to the jitter later, never before it") {
    Rng rng{7};
    const detail::ProbePace pace{.interval = 30s, .hurried = 5s, .jitter = 0.1};
    detail::ProbeSchedule schedule{begin, 0.25};
    Time now = schedule.first(begin, 5s);
    for (int i = 0; i < 1000; ++i) {
        schedule.sent(now);
        now = schedule.next(now, pace, false, rng);
        REQUIRE((now - (begin + 7500ms)) % 30s <= 3s);
    }
}

TEST_CASE("those that failed in one moment are probed half to one period later, apart") {
    Rng rng{7};
    const detail::ProbePace pace{.interval = 30s, .hurried = 5s, .jitter = 0.0};
    int early = 0;
    for (int i = 0; i < 1000; ++i) {
        detail::ProbeSchedule schedule{begin, 0.25};
        schedule.at(begin);
        schedule.sent(begin);
        const Time next = schedule.next(begin + 1ms, pace, true, rng);
        REQUIRE(next >= begin + 2500ms);
        REQUIRE(next < begin + 5s);
        if (next < begin + 3750ms) ++early;
    }
    // Evenly spread: 500, with a standard deviation of 16.
    CHECK(early > 420);
    CHECK(early < 580);
}

TEST_CASE(
    "when the pace changes, one that failed is probed within its hurried period, where that is shorter") {
    Rng rng{7};
    detail::ProbeSchedule schedule{begin, 0.25};
    schedule.at(begin);
    const Time now = begin + 1min;
    for (int i = 0; i < 100; ++i) {
        const Time next = schedule.changed(now, {.interval = 30s, .hurried = 5s, .jitter = 0.1}, true, rng);
        REQUIRE(next >= now);
        REQUIRE(next <= now + 5500ms);
        const Time own = schedule.changed(now, {.interval = 1s, .hurried = 5s, .jitter = 0.1}, true, rng);
        REQUIRE(own >= now);
        REQUIRE(own <= now + 1100ms);
    }
}

TEST_CASE("slots that passed while an answer was out are left out in a hurry, too") {
    Rng rng{7};
    const detail::ProbePace pace{.interval = 30s, .hurried = 5s, .jitter = 0.1};
    detail::ProbeSchedule schedule{begin, 0.25};
    Time now = schedule.first(begin, 5s);
    for (int i = 0; i < 100; ++i) {
        schedule.sent(now);
        const Time answered = now + 1s * rng.below(21);
        now = schedule.next(answered, pace, true, rng);
        REQUIRE(now > answered);
        REQUIRE(now <= answered + 5500ms);
    }
}

}  // namespace
