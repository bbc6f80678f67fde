// The hashes of a prompt: what must match does, and nothing else.
#include "support/catch.hpp"

#include <fairlead/model/prompt_hasher.hpp>
#include <fairlead/model/rng.hpp>

#include <set>
#include <string>
#include <vector>

namespace {

using namespace fairlead;

struct Message {
    std::string role;
    std::string text;
};

struct Hashed {
    std::vector<std::uint64_t> blocks;
    std::uint64_t owner = 0;
    std::uint64_t tokens = 0;
};

/// Each text in pieces of `cut` bytes.
Hashed hashed(const std::vector<Message>& messages, const PromptSetUp& set_up = {}, std::size_t cut = 1 << 20,
              std::uint32_t block_tokens = 16) {
    std::vector<std::uint64_t> buffer(4096);
    PromptHasher hasher{buffer, set_up, block_tokens};
    for (const auto& message : messages) {
        hasher.message(message.role);
        for (std::size_t at = 0; at < message.text.size(); at += cut)
            hasher.text(std::string_view{message.text}.substr(at, cut));
    }
    return {{hasher.blocks().begin(), hasher.blocks().end()}, hasher.owner(), hasher.tokens()};
}

std::vector<std::uint64_t> hashed_ids(const std::vector<std::uint32_t>& ids, std::size_t cut = 1 << 20) {
    std::vector<std::uint64_t> buffer(4096);
    PromptHasher hasher{buffer};
    for (std::size_t at = 0; at < ids.size(); at += cut)
        hasher.token_ids(std::span{ids}.subspan(at, std::min(cut, ids.size() - at)));
    return {hasher.blocks().begin(), hasher.blocks().end()};
}

std::string letters(std::size_t n, std::uint64_t seed = 1) {
    Rng rng{seed};
    std::string text(n, ' ');
    for (auto& c : text) c = static_cast<char>('a' + rng.below(26));
    return text;
}

std::size_t common(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
    std::size_t n = 0;
    while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
    return n;
}

TEST_CASE("the hashes are the same on every machine, build and version") {
    // Golden: another value here moves what every gateway believes, and parts old gateways from new.
    const auto of = hashed({{"system", "You are helpful."}, {"user", std::string(200, 'x')}},
                           {.model = "qwen", .adapter = "a", .cache_salt = "s", .tools = "[]"});
    REQUIRE(of.blocks.size() == 3);
    CHECK(of.blocks[0] == 0xa09a5c38e59a138dU);
    CHECK(of.blocks[2] == 0x1dd4d3bb957080f3U);
    CHECK(of.owner == 0x07355a2d21f7b59dU);
    CHECK(hashed_ids(std::vector<std::uint32_t>(16, 7)).front() == 0xb58c5eba11f376c6U);
}

TEST_CASE("how a text is cut into pieces makes no difference") {
    const std::vector<Message> talk{
        {"system", letters(1000)}, {"user", letters(3333, 2)}, {"assistant", "ok"}};
    for (const std::uint32_t block_tokens : {1U, 3U, 16U, 17U, 32U, 512U}) {
        const auto whole = hashed(talk, {.model = "m"}, 1 << 20, block_tokens);
        CHECK(whole.blocks.size() == 4335 / (block_tokens * 4));
        for (const std::size_t cut : {1U, 7U, 63U, 64U, 65U, 1000U}) {
            const auto pieces = hashed(talk, {.model = "m"}, cut, block_tokens);
            CHECK(pieces.blocks == whole.blocks);
            CHECK(pieces.owner == whole.owner);
            CHECK(pieces.tokens == whole.tokens);
        }
    }
    std::vector<std::uint32_t> ids(100);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint32_t>(i * 7919);
    for (const std::size_t cut : {1U, 5U, 16U, 33U}) CHECK(hashed_ids(ids, cut) == hashed_ids(ids));
}

TEST_CASE("a longer conversation begins with the hashes of the shorter") {
    std::vector<Message> talk{{"system", letters(700)}, {"user", letters(500, 2)}};
    auto before = hashed(talk).blocks;
    for (std::uint64_t turn = 3; turn < 10; ++turn) {
        talk.push_back({turn % 2 == 0 ? "user" : "assistant", letters(300, turn)});
        const auto now = hashed(talk).blocks;
        CHECK(common(before, now) == before.size());
        CHECK(now.size() > before.size());
        before = now;
    }
}

TEST_CASE("one changed byte changes its block and all after it, and none before") {
    const std::string text = letters(6400);
    const auto whole = hashed({{"user", text}}).blocks;
    Rng rng{5};
    for (int i = 0; i < 200; ++i) {
        std::string other = text;
        const std::size_t at = rng.below(6400);
        other[at] = static_cast<char>(other[at] ^ (1 << rng.below(7)));
        const auto changed = hashed({{"user", other}}).blocks;
        CHECK(common(whole, changed) == at / 64);
        for (std::size_t k = at / 64; k < whole.size(); ++k) CHECK(whole[k] != changed[k]);
    }
}

TEST_CASE("model, adapter, salt, tools, roles and the places where messages begin are in the hashes") {
    const std::vector<Message> talk{{"system", letters(128)}, {"user", letters(128, 2)}};
    const std::vector<Hashed> unlike{
        hashed(talk, {.model = "m"}),
        hashed(talk, {.model = "n"}),
        hashed(talk, {.adapter = "m"}),
        hashed(talk, {.cache_salt = "m"}),
        hashed(talk, {.tools = "m"}),
        hashed(talk, {.model = "m", .adapter = "x"}),
        hashed(talk, {.model = "m", .cache_salt = "x"}),
        hashed(talk, {.model = "mx"}),
        hashed(talk),
        hashed({{"system", letters(128) + letters(128, 2)}}),
        hashed({{"user", letters(128)}, {"system", letters(128, 2)}}),
        hashed({{"system", letters(128)}, {"assistant", letters(128, 2)}}),
        hashed({{"system", letters(100)}, {"user", letters(128).substr(100) + letters(128, 2)}})};
    std::set<std::uint64_t> last;
    for (const auto& each : unlike) last.insert(each.blocks.back());
    CHECK(last.size() == unlike.size());
    // Unlike set-ups do not match in the first block either.
    for (std::size_t i = 1; i < 9; ++i) CHECK(unlike[0].blocks[0] != unlike[i].blocks[0]);
}

TEST_CASE("of long tools every byte counts, the last one and those before it") {
    const std::vector<Message> talk{{"user", letters(128)}};
    const std::string tools = letters(300, 3);
    std::set<std::uint64_t> first{hashed(talk, {.tools = tools}).blocks.front()};
    for (std::size_t i = 0; i < tools.size(); ++i) {
        std::string other = tools;
        other[i] = static_cast<char>(other[i] ^ 1);
        first.insert(hashed(talk, {.tools = other}).blocks.front());
    }
    // Whole stripes of 64 bytes, too, which nothing but their length tells from nothing behind them.
    for (const std::size_t size : {0U, 64U, 128U}) {
        first.insert(hashed(talk, {.tools = std::string_view{tools}.substr(0, size)}).blocks.front());
    }
    CHECK(first.size() == 1 + tools.size() + 3);
}

TEST_CASE("prompts of token ids are told apart by value, and are no text") {
    // Equal in length, and each id the same modulo 256: what takes the bytes of a number for a token, or
    // counts them, takes all of these for one.
    std::set<std::uint64_t> seen;
    for (std::uint32_t i = 0; i < 1000; ++i)
        seen.insert(hashed_ids(std::vector<std::uint32_t>(16, i * 256)).front());
    CHECK(seen.size() == 1000);
    std::vector<std::uint64_t> buffer(4);
    PromptHasher text{buffer};
    text.text(std::string(64, '\0'));
    CHECK_FALSE(seen.contains(text.blocks().front()));
}

TEST_CASE("images and recordings count by their content, where they stand") {
    std::vector<std::uint64_t> buffer(4);
    const auto with = [&](std::string_view before, std::string_view image, std::string_view after) {
        PromptHasher hasher{buffer};
        hasher.message("user");
        hasher.text(before);
        hasher.content(image);
        hasher.text(after);
        return std::pair{hasher.blocks().front(), hasher.owner()};
    };
    const std::string a = letters(32), b = letters(32, 2);
    CHECK(with(a, "one", b) == with(a, "one", b));
    CHECK(with(a, "one", b) != with(a, "two", b));
    CHECK(with(a, "one", b) != with(a + b.substr(0, 1), "one", b.substr(1)));
    CHECK(with(a, "one", b).second != with(a, "two", b).second);
}

TEST_CASE("a conversation's owner follows from its first message that is not the system's") {
    const auto first = hashed({{"system", letters(500)}, {"user", "hello"}}, {.model = "m"});
    CHECK(first.owner != 0);
    CHECK(hashed({{"system", letters(500)}}).owner == 0);
    // The same however long it goes on, and whatever the system's prompt.
    CHECK(hashed({{"system", letters(500)}, {"user", "hello"}, {"assistant", "hi"}, {"user", "x"}},
                 {.model = "m"})
              .owner == first.owner);
    CHECK(hashed({{"developer", letters(9, 9)}, {"user", "hello"}}, {.model = "m"}).owner == first.owner);
    CHECK(hashed({{"system", letters(500)}, {"user", "hello!"}}, {.model = "m"}).owner != first.owner);
    CHECK(hashed({{"user", "hello"}}, {.model = "n"}).owner != first.owner);
    CHECK(hashed({{"user", "hello"}}, {.model = "m", .cache_salt = "s"}).owner != first.owner);
}

TEST_CASE("no more blocks than the buffer holds, and the tokens of all") {
    std::vector<std::uint64_t> buffer(3);
    PromptHasher hasher{buffer};
    hasher.text(letters(1000));
    CHECK(hasher.blocks().size() == 3);
    CHECK(hasher.tokens() == 250);
    hasher.text(letters(1000));
    CHECK(hasher.tokens() == 500);
    PromptHasher none{std::span<std::uint64_t>{}};
    none.text("anything");
    none.token_ids(std::vector<std::uint32_t>(100, 1));
    CHECK(none.blocks().empty());
    CHECK(none.tokens() == 102);
}

TEST_CASE("the hashes' bits are even: flipping any bit of a block flips half of the hash") {
    // 512 input bits, 64 samples each: a mean of 32 flips with a sigma of 4 / sqrt(512 * 64); 6 sigma.
    Rng rng{3};
    double flips = 0;
    int least = 64;
    for (std::size_t bit = 0; bit < 512; ++bit) {
        for (int sample = 0; sample < 64; ++sample) {
            std::string text(64, '\0');
            for (auto& c : text) c = static_cast<char>(rng.below(256));
            const auto of = [](const std::string& t) { return hashed({{"user", t}}).blocks.front(); };
            const std::uint64_t before = of(text);
            text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
            const int n = std::popcount(before ^ of(text));
            flips += n;
            least = std::min(least, n);
        }
    }
    CHECK(std::abs(flips / (512 * 64) - 32) < 0.14);
    CHECK(least > 5);  // 32,768 draws: fewer than 6 of 64 have a probability of 4e-13 each
}

}  // namespace
