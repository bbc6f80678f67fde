// What the engine model claims: how long prompts and tokens take, who waits, and what the cache saves.
#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <vector>

#include <fairlead/model/rng.hpp>

#include "engine/engine.hpp"
#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using fairlead::Duration;
using fairlead::Rng;
using fairlead::Time;
using inference::Engine;
using inference::Profile;

constexpr Time zero{};

/// `count` chained blocks of a conversation: equal numbers are equal text.
std::vector<std::uint64_t> blocks(std::uint64_t conversation, std::uint64_t count) {
    std::vector<std::uint64_t> hashes(count);
    std::iota(hashes.begin(), hashes.end(), Rng::mix(conversation));
    return hashes;
}

/// Runs until nothing is left to do.
std::vector<Engine::Event> run(Engine& engine) {
    std::vector<Engine::Event> events;
    while (const auto at = engine.next()) engine.advance(*at, events);
    return events;
}

Duration first_token(const std::vector<Engine::Event>& events, Engine::Id id) {
    const auto found =
        std::find_if(events.begin(), events.end(), [id](const auto& e) { return e.id == id && e.first; });
    REQUIRE(found != events.end());
    return found->at - zero;
}
Duration last_token(const std::vector<Engine::Event>& events, Engine::Id id) {
    const auto found =
        std::find_if(events.begin(), events.end(), [id](const auto& e) { return e.id == id && e.last; });
    REQUIRE(found != events.end());
    return found->at - zero;
}

TEST_CASE("engine: a prompt takes its tokens at the prefill rate, and a step's own time each 2,048 of them") {
    Engine engine{Profile{}};
    REQUIRE(engine.submit(1, {{}, 5'000, 1}, zero));
    const auto events = run(engine);
    REQUIRE(events.size() == 1);
    CHECK(events[0].first);
    CHECK(events[0].last);
    CHECK(events[0].tokens == 1);
    CHECK(first_token(events, 1) == 3 * 20ms + 625ms);
}

TEST_CASE("engine: a token of an answer takes a step, longer by 0.3 ms for each that decodes with it") {
    Engine engine{Profile{}};
    for (Engine::Id id = 1; id <= 10; ++id) REQUIRE(engine.submit(id, {{}, 8, 101}, zero));
    const auto events = run(engine);
    // The first is alone in the first step: the others came when it had begun.
    CHECK(first_token(events, 1) == 20ms + 1ms);
    CHECK(first_token(events, 2) == 21ms + 20ms + 300us + 9ms);
    // 99 steps of ten, then one of nine: the first is a token ahead.
    CHECK(last_token(events, 1) - first_token(events, 2) == 99 * 23ms);
    CHECK(last_token(events, 2) - last_token(events, 1) == 22ms + 700us);
}

TEST_CASE("engine: who decodes is slowed by another's prompt, and not stopped") {
    Profile profile;
    profile.every_token = true;
    Engine engine{profile};
    REQUIRE(engine.submit(1, {{}, 8, 40}, zero));
    std::vector<Engine::Event> events;
    engine.advance(*engine.next(), events);
    REQUIRE(engine.submit(2, {{}, 8 * 2'047, 1}, *engine.next()));
    while (const auto at = engine.next()) {
        engine.advance(*at, events);
        if (events.back().id == 2) break;
    }
    // Eight full steps of the long prompt, and a token of the first one in each.
    const auto tokens = std::count_if(events.begin(), events.end(), [](const auto& e) { return e.id == 1; });
    CHECK(tokens >= 9);
    CHECK(tokens <= 11);
}

TEST_CASE(
    "engine: prompts are computed in order of arrival, and a short one shares a step with the rest of a "
    "long one") {
    Engine engine{Profile{}};
    REQUIRE(engine.submit(1, {{}, 2'148, 1}, zero));
    REQUIRE(engine.submit(2, {{}, 100, 1}, zero));
    REQUIRE(engine.submit(3, {{}, 4'000, 1}, zero));
    const auto events = run(engine);
    CHECK(first_token(events, 1) == first_token(events, 2));
    CHECK(first_token(events, 3) > first_token(events, 2));
    // The second step is full: what was left of 1, all of 2, and a piece of 3.
    CHECK(first_token(events, 2) == 2 * (20ms + 256ms));
}

TEST_CASE("engine: no more than the batch holds run together; the others wait their turn") {
    Profile profile;
    profile.max_batch = 2;
    Engine engine{profile};
    for (Engine::Id id = 1; id <= 3; ++id) REQUIRE(engine.submit(id, {{}, 8, 100}, zero));
    std::vector<Engine::Event> events;
    engine.advance(zero + 1s, events);
    CHECK(engine.figures().running == 2);
    CHECK(engine.figures().waiting == 1);
    CHECK(engine.figures().waiting_tokens == 8);
    const auto rest = run(engine);
    events.insert(events.end(), rest.begin(), rest.end());
    CHECK(first_token(events, 3) > last_token(events, 1));
    CHECK(engine.figures().running == 0);
}

TEST_CASE(
    "engine: a request waits for room for its prompt and its answer, and one that never fits is refused") {
    Profile profile;
    profile.room = 1'000;
    Engine engine{profile};
    CHECK_FALSE(engine.submit(1, {{}, 990, 11}, zero));
    CHECK(engine.submit(2, {{}, 500, 100}, zero));
    CHECK(engine.submit(3, {{}, 390, 11}, zero));
    CHECK(engine.submit(4, {{}, 10, 1}, zero));
    CHECK(engine.figures().used == Approx(0.6));
    const auto events = run(engine);
    CHECK(first_token(events, 3) > last_token(events, 2));
    CHECK(first_token(events, 4) == first_token(events, 3));  // it would have fitted, but nobody overtakes
    CHECK(engine.figures().used == 0);
}

TEST_CASE("engine: blocks in the cache are not computed again, but for a prompt's last token") {
    Engine engine{Profile{}};
    REQUIRE(engine.submit(1, {blocks(7, 4), 4 * 512, 1}, zero));
    run(engine);
    CHECK(engine.cache().size() == 4);
    REQUIRE(engine.submit(2, {blocks(7, 4), 4 * 512, 1}, zero + 10s));
    REQUIRE(engine.submit(3, {blocks(7, 6), 6 * 512 + 100, 1}, zero + 10s));
    const auto events = run(engine);
    REQUIRE(events.size() == 2);
    CHECK(events[0].cached_tokens == 4 * 512 - 1);
    CHECK(events[0].at == zero + 10s + 20ms + 125us);
    CHECK(events[1].cached_tokens == 4 * 512);
    CHECK(engine.figures().cached_tokens == 8 * 512 - 1);
    CHECK(engine.figures().prompt_tokens == 14 * 512 + 100);
}

TEST_CASE("engine: what another request computes can be used as soon as it is computed") {
    Engine engine{Profile{}};
    REQUIRE(engine.submit(1, {blocks(7, 40), 40 * 512, 1}, zero));
    REQUIRE(engine.submit(2, {blocks(7, 40), 40 * 512, 1}, zero));
    // The second one has its turn when the first one's last step has begun: ten full steps, none to spare.
    const auto events = run(engine);
    CHECK(first_token(events, 2) - first_token(events, 1) == 20ms + 125us);
}

TEST_CASE("engine: a lost cache saves nothing, and fills again") {
    Engine engine{Profile{}};
    REQUIRE(engine.submit(1, {blocks(7, 4), 4 * 512, 1}, zero));
    run(engine);
    engine.lose_cache();
    CHECK(engine.cache().size() == 0);
    REQUIRE(engine.submit(2, {blocks(7, 4), 4 * 512, 1}, zero + 1s));
    CHECK(run(engine).front().cached_tokens == 0);
    CHECK(engine.cache().size() == 4);
}

TEST_CASE("block cache: the least recently used goes first, and of one prompt the last block") {
    inference::BlockCache cache{4};
    const auto a = blocks(1, 3);
    const auto b = blocks(2, 2);
    cache.insert(a);
    cache.insert(b);
    CHECK(cache.size() == 4);
    CHECK(cache.match(a) == 2);  // its third block had to go
    CHECK(cache.match(b) == 2);
    cache.match(a);
    cache.insert(blocks(3, 1));
    CHECK(cache.match(b) == 1);
    CHECK(cache.match(a) == 2);
    cache.clear();
    CHECK(cache.match(a) == 0);
    inference::BlockCache none{0};
    none.insert(a);
    CHECK(none.match(a) == 0);
}

TEST_CASE("block cache: it holds what a list that is searched from end to end would hold") {
    Rng rng{11};
    inference::BlockCache cache{32};
    std::vector<std::uint64_t> reference;  // the most recent at the end
    const auto use = [&](std::uint64_t block) {
        std::erase(reference, block);
        reference.push_back(block);
        if (reference.size() > 32) reference.erase(reference.begin());
    };
    for (int i = 0; i < 5'000; ++i) {
        auto prompt = blocks(rng.below(12), 1 + rng.below(9));
        std::size_t held = 0;
        while (held < prompt.size() &&
               std::find(reference.begin(), reference.end(), prompt[held]) != reference.end())
            ++held;
        REQUIRE(cache.match(prompt) == held);
        for (std::size_t k = held; k-- > 0;) use(prompt[k]);
        if (rng.below(2) == 0) {
            cache.insert(prompt);
            for (std::size_t k = prompt.size(); k-- > 0;) use(prompt[k]);
        }
        REQUIRE(cache.size() == reference.size());
    }
}

/// Random traffic, with some who leave; what became of each request.
struct Fate {
    Time first{};
    Time last{};
    std::uint64_t tokens = 0;
    bool operator==(const Fate&) const = default;
};
std::map<Engine::Id, Fate> traffic(bool every_token, std::uint64_t seed) {
    Profile profile;
    profile.every_token = every_token;
    profile.max_batch = 6;
    profile.room = 20'000;
    profile.cache_blocks = 40;
    Engine engine{profile};
    Rng rng{seed};
    std::map<Engine::Id, Fate> fates;
    std::vector<Engine::Event> events;
    Time now = zero;
    const auto note = [&] {
        for (const auto& event : events) {
            auto& fate = fates[event.id];
            if (event.first) fate.first = event.at;
            if (event.last) fate.last = event.at;
            fate.tokens += event.tokens;
        }
        events.clear();
    };
    for (Engine::Id id = 1; id <= 400; ++id) {
        now += std::chrono::milliseconds{rng.below(1'500)};
        engine.advance(now, events);
        note();
        const std::uint64_t count = rng.below(12);
        const std::uint64_t output = rng.below(120);
        engine.submit(id, {blocks(rng.below(20), count), count * 512 + rng.below(500), output}, now);
        if (rng.below(4) == 0) {
            const Engine::Id gone = id - rng.below(8);
            engine.cancel(gone, now);
            // How many tokens it had got by then depends on how often they are told.
            fates.erase(gone);
        }
    }
    while (const auto at = engine.next()) {
        engine.advance(*at, events);
        note();
    }
    CHECK(engine.figures().used == 0);
    CHECK(engine.figures().running == 0);
    CHECK(engine.figures().waiting == 0);
    CHECK(engine.figures().waiting_tokens == 0);
    return fates;
}

TEST_CASE("engine: steps taken together end where the same steps end one by one, whoever comes or leaves") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        INFO("seed " << seed);
        const auto one_by_one = traffic(true, seed);
        CHECK(one_by_one.size() > 200);
        CHECK(traffic(false, seed) == one_by_one);
    }
}

TEST_CASE("engine: how far each answer is can be asked at any time, and is what each token would have told") {
    Profile profile;
    profile.max_batch = 6;
    Engine engine{profile};
    profile.every_token = true;
    Engine telling{profile};
    Rng rng{3};
    Time now = zero;
    std::map<Engine::Id, std::uint64_t> told;  // of those under way
    std::size_t compared = 0;
    for (Engine::Id id = 1; id <= 300; ++id) {
        now += std::chrono::milliseconds{rng.below(900)};
        std::vector<Engine::Event> events;
        engine.advance(now, events);
        events.clear();
        telling.advance(now, events);
        for (const auto& event : events) {
            told[event.id] += event.tokens;
            if (event.last) told.erase(event.id);
        }
        std::map<Engine::Id, std::uint64_t> asked;
        engine.each_answer(now, [&](Engine::Id one, std::uint64_t tokens) { asked[one] = tokens; });
        REQUIRE(asked == told);
        compared += asked.size();
        const Engine::Request request{{}, 1 + rng.below(6'000), 1 + rng.below(150)};
        REQUIRE(engine.submit(id, request, now));
        REQUIRE(telling.submit(id, request, now));
    }
    CHECK(compared > 300);
}

TEST_CASE("engine: a request that leaves gives back its place and its room, and is not told of again") {
    Engine engine{Profile{}};
    REQUIRE(engine.submit(1, {{}, 100, 50}, zero));
    REQUIRE(engine.submit(2, {{}, 100, 50}, zero));
    std::vector<Engine::Event> events;
    engine.advance(zero + 100ms, events);
    engine.cancel(1, zero + 100ms);
    engine.cancel(1, zero + 100ms);
    engine.cancel(99, zero + 100ms);
    CHECK(engine.figures().running == 1);
    CHECK(engine.figures().used == Approx(150.0 / 600'000));
    for (const auto& event : run(engine)) CHECK(event.id == 2);
    CHECK(engine.figures().used == 0);
    CHECK_FALSE(engine.next());
}

TEST_CASE("engine: more decoding requests than a step has tokens hold up a prompt, but not for good") {
    Profile profile;
    profile.step_tokens = 4;
    Engine engine{profile};
    for (Engine::Id id = 1; id <= 8; ++id) REQUIRE(engine.submit(id, {{}, 1, 1'000}, zero));
    REQUIRE(engine.submit(9, {{}, 10, 1}, zero));
    const auto events = run(engine);
    CHECK(first_token(events, 9) < last_token(events, 1));
}

}  // namespace
