// When engines are asked for their load, in virtual time.
#include <fairlead/resilience/load_monitor.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace fairlead;
using namespace std::chrono_literals;

constexpr Time load_began{std::chrono::hours{100}};
constexpr const char* busy = "vllm:num_requests_running 3\n";

LoadTarget load_target(std::string name, std::uint64_t incarnation = 0) {
    LoadTarget target;
    target.config.url = "http://" + name;
    target.config.name = std::move(name);
    target.incarnation = incarnation;
    return target;
}

std::vector<LoadTarget> load_targets(std::size_t n) {
    std::vector<LoadTarget> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(load_target("b" + std::to_string(i)));
    return all;
}

/// A loop that does what the monitor asks for.
struct LoadLoop {
    explicit LoadLoop(const Options& options = {}, std::uint64_t seed = 1) : monitor{options, seed} {}

    void run_until(Time end) {
        for (;;) {
            const Time answered = open.empty() ? Time::max() : open.begin()->first;
            const Time next = std::min(monitor.next_deadline(), answered);
            if (next > end) break;
            now = std::max(now, next);
            for (auto it = open.begin(); it != open.end() && it->first <= now; it = open.erase(it)) {
                --under_way[it->second.backend->name];
                if (const char* const text = answer(it->second.backend->name)) {
                    if (const auto report = monitor.complete(it->second, text, now))
                        reports.push_back(*report);
                } else {
                    monitor.failed(it->second, "no answer", now);
                }
            }
            for (auto& scrape : monitor.due(now)) {
                times[scrape.backend->name].push_back(now);
                most_at_once = std::max(most_at_once, ++under_way[scrape.backend->name]);
                open.emplace(now + latency, scrape);
            }
        }
        now = end;
    }

    /// The shortest and the longest time between two scrapes of one backend, from `from` on.
    std::pair<Duration, Duration> gaps(const std::string& name, Time from = {}) {
        Duration least = Duration::max();
        Duration most{};
        const auto& all = times[name];
        for (std::size_t i = 1; i < all.size(); ++i) {
            if (all[i - 1] < from) continue;
            least = std::min(least, all[i] - all[i - 1]);
            most = std::max(most, all[i] - all[i - 1]);
        }
        return {least, most};
    }

    LoadMonitor monitor;
    Time now = load_began;
    Duration latency = 5ms;
    std::function<const char*(const std::string&)> answer = [](const std::string&) { return busy; };
    std::multimap<Time, LoadScrape> open;
    std::map<std::string, std::vector<Time>> times;
    std::map<std::string, int> under_way;
    int most_at_once = 0;
    std::vector<LoadReport> reports;
};

}  // namespace

TEST_CASE("a load monitor that begins anew gives up what was under way, and loses nobody") {
    LoadMonitor monitor{Options{}, 1};
    monitor.set_members(load_targets(2), load_began);
    const auto lost = monitor.due(load_began + 1h);
    REQUIRE(lost.size() == 2);
    monitor.begin_anew(load_targets(2), load_began + 1h);
    CHECK_FALSE(monitor.complete(lost[0], busy, load_began + 1h));
    for (const auto& scrape : monitor.due(load_began + 1h))
        CHECK(monitor.complete(scrape, busy, load_began + 1h));
    CHECK(monitor.standing("b0")->engine == "vllm");
    CHECK(monitor.standing("b1")->engine == "vllm");
}

TEST_CASE("each backend is asked once an interval, a tenth of it more or less") {
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U}) {
        LoadLoop loop{{}, seed};
        loop.monitor.set_members(load_targets(8), load_began);
        loop.run_until(load_began + 60s);
        for (const auto& [name, times] : loop.times) {
            INFO(name);
            CHECK((times.size() >= 59 && times.size() <= 61));
            const auto [least, most] = loop.gaps(name);
            CHECK(least >= 900ms);
            CHECK(most <= 1100ms);
        }
        CHECK(loop.times.size() == 8);
    }
}

TEST_CASE("scrapes of a fleet do not come together") {
    LoadLoop loop;
    loop.monitor.set_members(load_targets(10), load_began);
    loop.run_until(load_began + 20s);
    // Any N phases stand 0.44 / N of the interval apart; each comes up to a tenth later. So within a tenth of
    // it there are at most 2 / 10 / 0.044 = 4.5, rounded up.
    std::vector<Time> all;
    for (const auto& [name, times] : loop.times) all.insert(all.end(), times.begin(), times.end());
    std::sort(all.begin(), all.end());
    for (std::size_t i = 5; i < all.size(); ++i) CHECK(all[i] - all[i - 5] > 100ms);
}

TEST_CASE("a backend that is slow to answer is not asked twice at once") {
    LoadLoop loop;
    loop.latency = 2500ms;
    loop.monitor.set_members(load_targets(3), load_began);
    loop.run_until(load_began + 60s);
    CHECK(loop.most_at_once == 1);
    for (const auto& [name, times] : loop.times) CHECK(times.size() >= 15);  // every third slot at the least
}

TEST_CASE("with many gateways each asks less often, so that together they ask ten times a second") {
    Options options;
    CHECK(load_interval_of(options) == 1s);
    options.gateways = 10;
    CHECK(load_interval_of(options) == 1s);
    options.gateways = 64;
    CHECK(load_interval_of(options) == 6400ms);
    options.load_interval = 8s;
    CHECK(load_interval_of(options) == 8s);
    options.gateways = 4'294'967'295;
    CHECK(load_interval_of(options) > 1000h);

    options = {};
    options.gateways = 64;
    LoadLoop loop{options};
    loop.monitor.set_members(load_targets(2), load_began);
    loop.run_until(load_began + 640s);
    CHECK((loop.times["b0"].size() >= 99 && loop.times["b0"].size() <= 101));
    loop.monitor.set_interval(1s, loop.now);
    CHECK(loop.monitor.interval() == 6400ms);
}

TEST_CASE("a report carries what the engine said and when") {
    LoadLoop loop;
    loop.monitor.set_members(load_targets(1), load_began);
    loop.run_until(load_began + 3s);
    REQUIRE(loop.reports.size() >= 2);
    CHECK(loop.reports.front().running == 3.0);
    CHECK_FALSE(loop.reports.front().waiting);
    CHECK(loop.reports.front().at == loop.times["b0"].front() + 5ms);
    CHECK(loop.monitor.standing("b0")->engine == "vllm");
}

TEST_CASE("who says nothing is asked every ten seconds until it does") {
    LoadLoop loop;
    loop.answer = [](const std::string& name) { return name == "b0" ? nullptr : "no metrics\n"; };
    loop.monitor.set_members(load_targets(2), load_began);
    loop.run_until(load_began + 120s);
    CHECK(loop.reports.empty());
    for (const std::string name : {"b0", "b1"}) {
        INFO(name);
        const auto& times = loop.times[name];
        REQUIRE(times.size() > 3);
        CHECK(times[2] - times[0] <= 2200ms);  // one lost answer is no habit
        const auto [least, most] = loop.gaps(name, times[4]);
        CHECK(least >= 9s);
        CHECK(most <= 11s);
    }
    CHECK(loop.monitor.standing("b0")->problem == "no answer");
    CHECK(loop.monitor.standing("b1")->problem == "line 1 of the metrics is broken");

    loop.answer = [](const std::string&) { return busy; };
    loop.run_until(load_began + 131s);
    CHECK(loop.monitor.standing("b0")->problem.empty());
    loop.times.clear();
    loop.run_until(load_began + 160s);
    CHECK(loop.times["b0"].size() >= 25);
}

TEST_CASE("what arrives for a backend that is gone or was replaced is ignored") {
    LoadLoop loop;
    loop.monitor.set_members(load_targets(2), load_began);
    std::map<std::string, LoadScrape> sent;
    while (sent.size() < 2) {
        for (auto& scrape : loop.monitor.due(loop.monitor.next_deadline()))
            sent[scrape.backend->name] = scrape;
    }
    const Time now = load_began + 2s;
    loop.monitor.set_members(std::vector{load_target("b1", 7)}, now);
    CHECK_FALSE(loop.monitor.complete(sent["b0"], busy, now));
    CHECK_FALSE(loop.monitor.complete(sent["b1"], busy, now));
    CHECK_FALSE(loop.monitor.standing("b0"));
    // The new one is asked at once, and a scrape is completed once.
    const auto again = loop.monitor.due(now);
    REQUIRE(again.size() == 1);
    CHECK(loop.monitor.complete(again[0], busy, now));
    CHECK_FALSE(loop.monitor.complete(again[0], busy, now));
}

TEST_CASE("a stopped monitor asks nobody, a started one spreads its first scrapes") {
    LoadLoop loop;
    loop.monitor.set_members(load_targets(4), load_began);
    loop.monitor.stop();
    CHECK(loop.monitor.next_deadline() == Time::max());
    loop.monitor.set_members(load_targets(5), load_began + 1s);
    CHECK(loop.monitor.due(load_began + 10s).empty());
    loop.now = load_began + 10s;
    loop.monitor.start(loop.now);
    loop.run_until(load_began + 11s);
    CHECK(loop.times.size() == 5);
    for (const auto& [name, times] : loop.times) CHECK(times.size() <= 2);
}
