// What lies in a cache draws a request there, for what it saves and no more.
#include "support/candidates.hpp"
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/any_strategy.hpp>

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::test;

using Affine = Balancer<PrefixAffinity, NoTransport, ManualClock>;

Options seeded(std::uint64_t seed = 1, std::uint32_t gateways = 1) {
    Options options;
    options.seed = seed;
    options.gateways = gateways;
    return options;
}

/// `blocks` hashes of a conversation: the first `shared` of them are those of `common`.
std::vector<std::uint64_t> prompt(std::uint64_t conversation, std::size_t blocks, std::size_t shared = 0) {
    std::vector<std::uint64_t> hashes(blocks);
    for (std::size_t i = 0; i < blocks; ++i) {
        hashes[i] = Rng::mix((i < shared ? 0 : conversation * 1'000'003) + i + 1);
    }
    return hashes;
}

Lease pick(Affine& fleet, std::span<const std::uint64_t> blocks) {
    return fleet.select({.tokens = blocks.size() * 16, .prefix = blocks});
}

/// One whole request: chosen, answered, ended.
std::string ask(Affine& fleet, std::span<const std::uint64_t> blocks) {
    Lease lease = pick(fleet, blocks);
    if (!lease) return {};
    std::string name = lease->name;
    fleet.first_byte(lease);
    fleet.report(std::move(lease), Outcome::success);
    return name;
}

TEST_CASE("a conversation stays where it began, as it grows") {
    Affine fleet{test::fleet(16), seeded()};
    for (std::uint64_t conversation = 1; conversation <= 50; ++conversation) {
        const std::string first = ask(fleet, prompt(conversation, 20));
        for (std::size_t turn = 2; turn <= 5; ++turn)
            CHECK(ask(fleet, prompt(conversation, 20 * turn)) == first);
    }
}

TEST_CASE("prompts that nobody knows spread over all, however few are in flight") {
    // One at a time: all costs are equal whenever one comes. 1,600 over 16: 100 each, and 5 sigma are 49.
    Affine fleet{test::fleet(16), seeded()};
    std::map<std::string, int> shares;
    for (std::uint64_t i = 1; i <= 1600; ++i) ++shares[ask(fleet, prompt(i, 30))];
    CHECK(shares.size() == 16);
    for (const auto& [name, share] : shares) {
        CHECK(share > 51);
        CHECK(share < 149);
    }
}

TEST_CASE("a slow prefill everywhere piles nothing up on the first") {
    Affine fleet{test::fleet(8, 1000), seeded()};
    std::deque<Lease> leases;
    for (std::uint64_t i = 1; i <= 400; ++i) leases.push_back(pick(fleet, prompt(i, 100)));
    // Equal prompts, least work: within one of each other, and 2 % of 50 waiting is one more.
    for (const auto& each : fleet.snapshot()) {
        CHECK(each.in_flight >= 48);
        CHECK(each.in_flight <= 52);
    }
}

TEST_CASE("a cache is worth what it saves: others take over as its backend fills") {
    Affine fleet{test::fleet(2, 1000), seeded()};
    const auto known = prompt(1, 100);
    const std::string home = ask(fleet, known);
    std::deque<Lease> leases;
    std::size_t at_home = 0;
    for (std::uint64_t i = 0; i < 200; ++i) {
        leases.push_back(pick(fleet, known));
        fleet.first_byte(leases.back());
        if (leases.back()->name == home) ++at_home;
    }
    // 1,600 tokens saved weigh 8,000, until the other holds the prompt, too; each past its first token 256.
    CHECK(at_home > 18);
    CHECK(at_home < 130);
}

TEST_CASE("weights are capacity") {
    auto backends = test::fleet(2, 1000);
    backends[0].weight = 3;
    Affine fleet{backends, seeded()};
    std::deque<Lease> leases;
    for (std::uint64_t i = 1; i <= 400; ++i) leases.push_back(pick(fleet, prompt(i, 100)));
    CHECK(figures(fleet, "b0").in_flight >= 295);
    CHECK(figures(fleet, "b0").in_flight <= 305);
}

TEST_CASE("without a prefix and without tokens it counts requests") {
    Affine fleet{test::fleet(4, 1000), seeded()};
    std::deque<Lease> leases;
    for (int i = 0; i < 100; ++i) leases.push_back(fleet.select());
    for (const auto& each : fleet.snapshot()) {
        CHECK(each.in_flight >= 24);
        CHECK(each.in_flight <= 26);
    }
}

TEST_CASE("what a backend held is forgotten when it goes, restarts or is another") {
    const auto known = prompt(1, 200);
    const auto still_home = [&](auto change) {
        int stays = 0;
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            Affine fleet{test::fleet(16), seeded(seed)};
            const std::string home = ask(fleet, known);
            change(fleet, home);
            stays += ask(fleet, known) == home ? 1 : 0;
        }
        return stays;
    };
    CHECK(still_home([](Affine&, const std::string&) {}) == 20);
    // At random among 16 it is 1.25 of 20; 9 or more have a probability below 1e-6.
    CHECK(still_home([](Affine& fleet, const std::string& home) { CHECK_FALSE(fleet.restarted(home)); }) < 9);
    for (const bool seen : {false, true}) {  // by probes
        const int stays = still_home([seen](Affine& fleet, const std::string& home) {
            const ProbeFinding found{.name = home, .restarted = seen};
            fleet.probed(std::span{&found, 1});
        });
        CHECK((stays == 20) == !seen);
        CHECK((stays < 9) == seen);
    }
    CHECK(still_home([](Affine& fleet, const std::string& home) {
              CHECK_FALSE(fleet.update(home, [](BackendConfig& c) { c.url = "http://elsewhere"; }));
          }) < 9);
    CHECK(still_home([](Affine& fleet, const std::string& home) {
              const BackendConfig config = figures(fleet, home).config;
              CHECK_FALSE(fleet.remove(home));
              CHECK_FALSE(fleet.add(config));
          }) < 9);
    // A weight is no other server.
    CHECK(still_home([](Affine& fleet, const std::string& home) {
              CHECK_FALSE(fleet.update(home, [](BackendConfig& c) { c.weight = 2; }));
          }) == 20);
}

TEST_CASE("an added backend is not flooded") {
    Affine fleet{test::fleet(4, 10'000), seeded()};
    std::vector<std::vector<std::uint64_t>> talks;
    for (std::uint64_t i = 1; i <= 100; ++i) {
        talks.push_back(prompt(i, 60, 20));
        ask(fleet, talks.back());
    }
    BackendConfig added = test::fleet(5).back();
    REQUIRE_FALSE(fleet.add(added));
    // All conversations go on at once: each is at home elsewhere, and the new one has nothing to offer but
    // that nobody works there.
    std::deque<Lease> leases;
    for (const auto& talk : talks) leases.push_back(pick(fleet, talk));
    CHECK(figures(fleet, "b4").in_flight <= 25);  // its fair share is 20
}

TEST_CASE("a backend that answers 503 at once, or is not there, draws nothing") {
    for (const auto kind : {Outcome::server_error, Outcome::connect_error}) {
        Options options = seeded();
        options.ejection = false;
        options.rest_max = Duration::zero();
        const ManualClock clock;
        Affine fleet{test::fleet(8, 1000), options, NoTransport{}, {}, clock};
        std::deque<Lease> under_way;
        int failed = 0;
        constexpr int requests = 2000;
        for (std::uint64_t i = 1; i <= requests; ++i) {
            clock.advance(std::chrono::milliseconds{20});
            Lease lease = pick(fleet, prompt(i % 300 + 1, 40));
            if (lease->name == "b0") {
                ++failed;
                clock.advance(std::chrono::milliseconds{1});
                fleet.report(std::move(lease), kind);
            } else {
                under_way.push_back(std::move(lease));
            }
            if (under_way.size() > 40) {
                fleet.first_byte(under_way.front());
                fleet.report(std::move(under_way.front()), Outcome::success);
                under_way.pop_front();
            }
        }
        CHECK(failed < requests / 8);  // at most its fair share
    }
}

TEST_CASE("a request that failed goes on counting as one that waits, with the mean request's tokens") {
    Options options = seeded();
    options.ejection = false;
    const ManualClock clock;
    Affine fleet{test::fleet(2), options, NoTransport{}, {}, clock};
    Lease lease = pick(fleet, prompt(1, 10));
    const std::string failed = lease->name;
    fleet.report(std::move(lease), Outcome::server_error);
    for (const auto& term : fleet.explain({.tokens = 100})) {
        CHECK(term.waiting == (term.name == failed ? 160 : 0));
        CHECK(term.decoding == (term.name == failed ? 1 : 0));
    }
}

TEST_CASE("a prompt that lies in the cache to its end is still a token of work") {
    Affine fleet{test::fleet(1), seeded()};
    const auto known = prompt(1, 20);
    ask(fleet, known);
    const Lease again = pick(fleet, known);
    CHECK(figures(fleet, "b0").waiting_tokens == 1);
}

TEST_CASE("a storm of 4xx ejects nobody, and what it found cached stays known") {
    Affine fleet{test::fleet(4), seeded()};
    const auto known = prompt(1, 50);
    const std::string home = ask(fleet, known);
    for (int i = 0; i < 500; ++i) fleet.report(pick(fleet, known), Outcome::from_status(400));
    for (const auto& each : fleet.snapshot()) CHECK(each.state == BackendState::healthy);
    CHECK(ask(fleet, known) == home);
}

TEST_CASE("engines' load of other gateways counts, and one without metrics is taken for an average one") {
    const ManualClock clock;
    Affine fleet{test::fleet(4, 10'000), seeded(), NoTransport{}, {}, clock};
    const auto told = [&](const char* name, double running, double waiting) {
        LoadReport report;
        report.running = running;
        report.waiting = waiting;
        report.at = clock.now();
        REQUIRE_FALSE(fleet.report_load(name, report));
    };
    const auto shares = [&](std::uint64_t from) {
        std::map<std::string, int> count;
        std::deque<Lease> leases;
        for (std::uint64_t i = 0; i < 200; ++i) {
            leases.push_back(pick(fleet, prompt(from + i, 10)));
            ++count[leases.back()->name];
        }
        return count;
    };
    told("b0", 100, 50);
    told("b1", 30, 0);
    told("b2", 30, 0);
    auto count = shares(1);
    CHECK(count["b0"] == 0);  // 150 requests of others are more than 200 of ours, of 160 tokens, make up for
    CHECK(count["b3"] > 0);
    CHECK(count["b3"] < count["b1"]);        // it counts as the mean of the three: busier than these
    clock.advance(std::chrono::seconds{4});  // three intervals and more: nothing of it holds
    count = shares(1000);
    for (const auto& each : fleet.snapshot()) CHECK(count[each.config.name] >= 20);
}

TEST_CASE("each term of the cost weighs what it should") {
    const ManualClock clock;
    Affine fleet{test::fleet(1, 1000), seeded(), NoTransport{}, {}, clock};
    const auto cost = [&] { return fleet.explain({.tokens = 1000}).front().cost; };
    CHECK(cost() == 5000);
    Lease lease = fleet.select({.tokens = 300});
    CHECK(cost() == 5300);
    fleet.first_byte(lease);
    CHECK(cost() == 5256);
    fleet.report(std::move(lease), Outcome::success);
    for (const auto& [use, pressure] :
         {std::pair{0.0, 0.0F}, {0.5, 1200.0F}, {0.75, 3600.0F}, {1.0, 118'800.0F}}) {
        LoadReport report;
        report.cache_use = use;
        report.at = clock.now();
        REQUIRE_FALSE(fleet.report_load("b0", report));
        CHECK(fleet.explain({.tokens = 1000}).front().pressure == Approx(pressure).epsilon(1e-4));
        CHECK(cost() == Approx(5000 + pressure).epsilon(1e-4));
    }
}

TEST_CASE("a weight shortens what takes time, and not what a hit is worth") {
    auto backends = test::fleet(2, 1000);
    backends[0].weight = 3;
    Affine fleet{backends, seeded()};
    const Lease lease = fleet.select({.tokens = 600});  // the heavier
    for (const auto& term : fleet.explain({.tokens = 1200})) {
        const bool heavy = term.name == "b0";
        CHECK(term.weight == Approx(heavy ? 1.5 : 0.5));
        CHECK(term.cost == Approx(4 * 1200 + (heavy ? (1200 + 600) / 1.5 : 1200 / 0.5)));
    }
}

TEST_CASE("weights are relative: as many times as large they cost the same") {
    const auto costs_of = [](std::uint32_t times) {
        auto backends = test::fleet(3, 1000);
        backends[0].weight = 2 * times;
        backends[1].weight = times;
        backends[2].weight = times;
        Affine fleet{backends, seeded()};
        const Lease lease = fleet.select({.tokens = 600});
        std::vector<float> costs;
        for (const auto& term : fleet.explain({.tokens = 1000})) costs.push_back(term.cost);
        return costs;
    };
    const auto usual = costs_of(1);
    REQUIRE(usual.size() == 3);
    for (const std::uint32_t times : {3U, 100U, 32'767U}) {
        const auto costs = costs_of(times);
        for (std::size_t i = 0; i < costs.size(); ++i) CHECK(costs[i] == Approx(usual[i]).epsilon(1e-4));
    }
}

TEST_CASE("what others brought fades in two seconds towards what all have, and counts no more after three") {
    const ManualClock clock;
    Affine fleet{test::fleet(2, 1000), seeded(), NoTransport{}, {}, clock};
    for (const auto& [name, running] : {std::pair{"b0", 10.0}, {"b1", 30.0}}) {
        LoadReport report;
        report.running = running;
        report.at = clock.now();
        REQUIRE_FALSE(fleet.report_load(name, report));
    }
    const auto running = [&](const char* name) {
        for (const auto& term : fleet.explain({.tokens = 100}))
            if (term.name == name) return term.decoding;
        return -1.0F;
    };
    CHECK(running("b0") == Approx(10));
    CHECK(running("b1") == Approx(30));
    clock.advance(std::chrono::seconds{2});
    CHECK(running("b0") == Approx(20 - 10 / 2.718F).epsilon(0.02));
    CHECK(running("b1") == Approx(20 + 10 / 2.718F).epsilon(0.02));
    clock.advance(std::chrono::seconds{2});
    CHECK(running("b0") == 0);
    CHECK(running("b1") == 0);
}

TEST_CASE("no more is believed to lie in a cache than the engine tells, or the config says") {
    const ManualClock clock;
    const auto cached_of = [&](std::uint64_t configured, std::optional<std::uint64_t> told) {
        auto backends = test::fleet(1, 1000);
        backends[0].cache_blocks = configured;
        Affine fleet{backends, seeded(), NoTransport{}, {}, clock};
        if (told) {
            LoadReport report;
            report.cache_blocks = told;
            report.block_tokens = 32;  // two of ours
            report.at = clock.now();
            REQUIRE_FALSE(fleet.report_load("b0", report));
        }
        const auto blocks = prompt(1, 100);
        ask(fleet, blocks);
        return fleet.explain({.tokens = 1600, .prefix = blocks}).front().cached;
    };
    CHECK(cached_of(0, std::nullopt) == 1600);
    CHECK(cached_of(0, 10) == 320);
    CHECK(cached_of(30, std::nullopt) == 480);
    CHECK(cached_of(30, 10) == 480);
}

TEST_CASE("a restart leaves a configured cache its size, whatever is told after it") {
    const ManualClock clock;
    auto backends = test::fleet(1, 1000);
    backends[0].cache_blocks = 30;
    Affine fleet{backends, seeded(), NoTransport{}, {}, clock};
    REQUIRE_FALSE(fleet.restarted("b0"));
    REQUIRE_FALSE(fleet.report_load("b0", {.cache_blocks = 10, .at = clock.now()}));
    const auto blocks = prompt(1, 100);
    ask(fleet, blocks);
    CHECK(fleet.explain({.tokens = 1600, .prefix = blocks}).front().cached == 480);
}

TEST_CASE(
    "a cache is as large as was configured, else as was told, before its backend joined or after, until it "
    "left") {
    Options options;
    options.prefix_cache_blocks = 500;
    LoadReport report;
    report.cache_blocks = 10;
    report.block_tokens = 32;  // two of ours
    const auto size = [&](std::uint64_t configured, bool told_before, bool told_after, bool leaves = false) {
        const BackendConfig config{.name = "a", .url = "http://a", .cache_blocks = configured};
        const detail::Account account;
        const Candidate candidate{config, account, 3};
        detail::AffinityState state{options};
        if (told_before) state.told(3, report, 16);
        state.joined(candidate, 1, 0, 0);
        if (told_after) state.told(3, report, 16);
        if (leaves) state.left(3);
        state.joined(candidate, 1, 0, 0);  // as at each change of the fleet
        return state.cache()->capacity(3);
    };
    CHECK(size(0, false, false) == 500);
    CHECK(size(0, true, false) == 20);
    CHECK(size(0, false, true) == 20);
    CHECK(size(30, false, false) == 30);
    CHECK(size(30, true, false) == 30);
    CHECK(size(30, false, true) == 30);
    CHECK(size(0, true, false, true) == 500);
    CHECK(size(30, true, false, true) == 30);
}

TEST_CASE("our own requests in an engine's figures do not count twice") {
    const ManualClock clock;
    Affine fleet{test::fleet(2, 10'000), seeded(), NoTransport{}, {}, clock};
    std::deque<Lease> leases;
    for (std::uint64_t i = 1; i <= 60; ++i) leases.push_back(pick(fleet, prompt(i, 10)));
    for (std::size_t i = 0; i < 30; ++i) fleet.first_byte(leases[i]);
    for (const char* name : {"b0", "b1"}) {
        LoadReport report;  // the truth: what we see is all there is
        report.running = figures(fleet, name).decoding + 5;
        report.waiting = figures(fleet, name).in_flight - figures(fleet, name).decoding - 5;
        report.waiting_tokens = static_cast<double>(figures(fleet, name).waiting_tokens);
        report.at = clock.now();
        REQUIRE_FALSE(fleet.report_load(name, report));
    }
    for (const auto& term : fleet.explain({.tokens = 100})) {
        CHECK(term.waiting == Approx(figures(fleet, term.name).waiting_tokens));
        CHECK(term.decoding == Approx(figures(fleet, term.name).decoding));
    }
    // One that shows fewer than ours, which it has not seen yet: others brought it none. It is not unknown,
    // which would be taken for as many as the other one has of them.
    REQUIRE_FALSE(
        fleet.report_load("b0", {.running = 0.0, .waiting = 0.0, .waiting_tokens = 0.0, .at = clock.now()}));
    REQUIRE_FALSE(fleet.report_load(
        "b1", {.running = 500.0, .waiting = 500.0, .waiting_tokens = 1e6, .at = clock.now()}));
    for (const auto& term : fleet.explain({.tokens = 100})) {
        if (term.name == "b1") continue;
        CHECK(term.waiting == Approx(figures(fleet, term.name).waiting_tokens));
        CHECK(term.decoding == Approx(figures(fleet, term.name).decoding));
    }
}

TEST_CASE("gateways that share a fleet send a new conversation to the same backend") {
    constexpr std::size_t gateways = 8;
    std::deque<Affine> all;
    for (std::uint64_t g = 0; g < gateways; ++g) all.emplace_back(test::fleet(16), seeded(g + 1, gateways));
    std::map<std::string, int> owners;
    for (std::uint64_t talk = 1; talk <= 100; ++talk) {
        const auto blocks = prompt(talk, 200, 10);
        std::map<std::string, int> chosen;
        for (auto& fleet : all) {
            Lease lease = fleet.select({.tokens = 3200, .prefix = blocks, .owner = talk});
            ++chosen[lease->name];
            fleet.report(std::move(lease), Outcome::success);
        }
        CHECK(chosen.size() == 1);
        ++owners[chosen.begin()->first];
    }
    CHECK(owners.size() > 10);  // a common beginning makes nobody the owner of all
}

TEST_CASE(
    "a fifth of what nobody holds is taken to lie with its owner, two where engines show tokens that wait") {
    const ManualClock clock;
    Affine fleet{test::fleet(4, 1000), seeded(1, 16), NoTransport{}, {}, clock};
    const auto known = prompt(7, 20);
    const std::string home = ask(fleet, known);
    const auto longer = prompt(7, 100);
    // 320 of 1,600 tokens lie at home; the owner is another one for some conversation of these.
    const auto owners = [&](std::uint64_t talk) {
        for (const auto& term : fleet.explain({.tokens = 1600, .prefix = longer, .owner = talk})) {
            if (term.name != home && term.cached > 0) return term.cached;
        }
        return 0.0F;
    };
    std::uint64_t talk = 1;
    while (owners(talk) == 0) REQUIRE(++talk < 50);
    CHECK(owners(talk) == Approx(0.2 * (1600 - 320)));
    LoadReport report;
    report.waiting = 0;
    report.at = clock.now();
    REQUIRE_FALSE(fleet.report_load("b0", report));
    CHECK(owners(talk) == Approx(0.2 * (1600 - 320)));  // how many wait says less
    report.waiting_tokens = 0;
    REQUIRE_FALSE(fleet.report_load("b0", report));
    CHECK(owners(talk) == Approx(0.4 * (1600 - 320)));
    Affine alone{test::fleet(4, 1000), seeded(1, 1)};  // one gateway has no need of an owner
    for (const auto& term : alone.explain({.tokens = 1600, .prefix = longer, .owner = talk}))
        CHECK(term.cached == 0);
}

TEST_CASE(
    "waiting tokens that engines show count as they are, and who shows none is taken for an average one") {
    const ManualClock clock;
    Affine fleet{test::fleet(3, 1000), seeded(), NoTransport{}, {}, clock};
    for (const auto& [name, tokens] : {std::pair{"b0", 3000.0}, {"b1", 1000.0}}) {
        LoadReport report;
        report.waiting = 1;
        report.waiting_tokens = tokens;
        report.at = clock.now();
        REQUIRE_FALSE(fleet.report_load(name, report));
    }
    std::map<std::string, float> waiting;
    for (const auto& term : fleet.explain({.tokens = 100})) waiting[term.name] = term.waiting;
    CHECK(waiting["b0"] == Approx(3000));
    CHECK(waiting["b1"] == Approx(1000));
    CHECK(waiting["b2"] == Approx(2000));
}

TEST_CASE("requests that an engine shows to wait count at the mean of what ours had uncached") {
    const ManualClock clock;
    Affine fleet{test::fleet(2, 1000), seeded(), NoTransport{}, {}, clock};
    ask(fleet, prompt(1, 10));  // 160 tokens, none of them known
    REQUIRE_FALSE(fleet.report_load("b0", {.waiting = 3.0, .at = clock.now()}));
    REQUIRE_FALSE(fleet.report_load("b1", {.waiting = 0.0, .at = clock.now()}));
    for (const auto& term : fleet.explain({.tokens = 100}))
        CHECK(term.waiting == Approx(term.name == "b0" ? 3 * 160 : 0));
}

TEST_CASE(
    "chance decides among costs within 2 % of the least, within 5 % where all gateways see the same load") {
    const ManualClock clock;
    // How many of a thousand go to the dearer one of two: each ends before the next one comes.
    const auto dearer = [&](Affine& fleet, const std::string& cheap) {
        int count = 0;
        for (int i = 0; i < 1000; ++i) {
            Lease lease = fleet.select({.tokens = 1000});  // costs 5,000
            if (lease->name != cheap) ++count;
            fleet.report(std::move(lease), Outcome::success);
        }
        return count;
    };
    const auto seen_alone = [&](std::uint64_t more) {
        Affine fleet{test::fleet(2, 1000), seeded(), NoTransport{}, {}, clock};
        const Lease there = fleet.select({.tokens = more});
        return dearer(fleet, there->name == "b0" ? "b1" : "b0");
    };
    const auto seen_by_all = [&](double more) {
        Affine fleet{test::fleet(2, 1000), seeded(), NoTransport{}, {}, clock};
        for (const auto& [name, tokens] : {std::pair{"b0", 0.0}, {"b1", more}}) {
            LoadReport report;
            report.waiting_tokens = tokens;
            report.at = clock.now();
            REQUIRE_FALSE(fleet.report_load(name, report));
        }
        return dearer(fleet, "b0");
    };
    // Half of a thousand by equal chances is 500, and 5 sigma are 79.
    CHECK(seen_alone(75) == Approx(500).margin(79));    // 1.5 %
    CHECK(seen_alone(125) == 0);                        // 2.5 %
    CHECK(seen_by_all(125) == Approx(500).margin(79));  // 2.5 %
    CHECK(seen_by_all(225) == Approx(500).margin(79));  // 4.5 %
    CHECK(seen_by_all(275) == 0);                       // 5.5 %
}

TEST_CASE("explain gives every term for every candidate") {
    Affine fleet{test::fleet(3), seeded()};
    const auto known = prompt(1, 100);
    const std::string home = ask(fleet, known);
    const auto terms = fleet.explain({.tokens = 2000, .prefix = known});
    REQUIRE(terms.size() == 3);
    for (const auto& term : terms) {
        CHECK(term.cached == (term.name == home ? 1600 : 0));
        CHECK(term.uncached == 2000 - term.cached);
        CHECK(term.cost == 5 * term.uncached);
        CHECK(term.can_take);
    }
    CHECK(terms.front().name == home);  // the least cost first
    auto of_models = test::fleet(3);
    of_models[0].model_name = "a";
    of_models[1].model_name = of_models[2].model_name = "b";
    Affine unlike{of_models, seeded()};
    for (int i = 0; i < 2; ++i) {
        CHECK(unlike.explain({.model = "b"}).size() == 2);
        CHECK(unlike.explain({.model = "nobody's"}).empty());
        unlike.report(unlike.select({.model = "b"}), Outcome::success);  // who asks again finds it made
    }
    Balancer<RoundRobin> other{test::fleet(3)};
    CHECK_FALSE(decltype(other)::explains);
    Balancer<AnyStrategy> any{test::fleet(3)};
    CHECK(any.explain({}).empty());
    any.set_strategy(PrefixAffinity{});
    CHECK(any.explain({}).size() == 3);
}

TEST_CASE("speed is learned where it is asked for: a backend of half the speed gets about half the work") {
    const ManualClock clock;
    Affine fleet{test::fleet(4, 10'000), seeded(), NoTransport{}, PrefixAffinity{.learned_speed = true},
                 clock};
    std::uint64_t next = 1;
    const auto round = [&](std::map<std::string, int>& count) {
        std::deque<Lease> leases;
        for (int i = 0; i < 40; ++i) {
            leases.push_back(pick(fleet, prompt(next++, 50)));
            ++count[leases.back()->name];
        }
        // Each works its own off: those of b0 take twice as long.
        clock.advance(std::chrono::seconds{1});
        for (auto& lease : leases) {
            if (lease->name != "b0") fleet.first_byte(lease);
        }
        clock.advance(std::chrono::seconds{1});
        for (auto& lease : leases) fleet.first_byte(lease);
    };
    std::map<std::string, int> learning;
    for (int i = 0; i < 30; ++i) round(learning);
    std::map<std::string, int> count;
    for (int i = 0; i < 10; ++i) round(count);
    // Fair by speed: 400 / 3.5 = 114 each, and 57 for b0. Each sends its own request's time along: of 40 in a
    // round half a request less goes there when the costs are equal, 53 of 400.
    CHECK(count["b0"] < 68);
    CHECK(count["b0"] > 38);
}

TEST_CASE("more than 64 backends, and a subset of them, each keep their own") {
    auto backends = test::fleet(300);
    for (std::size_t i = 0; i < backends.size(); ++i) backends[i].model_name = i % 3 == 0 ? "small" : "large";
    Affine fleet{backends, seeded()};
    for (std::uint64_t talk = 1; talk <= 100; ++talk) {
        const auto blocks = prompt(talk, 40);
        const std::string first = ask(fleet, blocks);
        const auto longer = prompt(talk, 60);
        CHECK(ask(fleet, longer) == first);
    }
    const auto blocks = prompt(1000, 40);
    std::string home;
    for (int i = 0; i < 3; ++i) {
        Lease lease = fleet.select({.model = "small", .tokens = 640, .prefix = blocks});
        CHECK(lease->model_name == "small");
        if (i > 0) CHECK(lease->name == home);
        home = lease->name;
    }
}

}  // namespace
