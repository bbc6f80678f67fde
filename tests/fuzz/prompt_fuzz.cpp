// What an engine's prefix cache would key on, out of a request's body: in bounds, the same however the body
// is laid out or cut, and a beginning of itself as the conversation grows.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/model/prompt_hasher.hpp>

#include "../../examples/gateway/model_field.hpp"
#include "../../examples/gateway/prompt_key.hpp"
#include "fuzz.hpp"

namespace {

using fairlead::test::must;

/// Blanks where JSON allows them.
std::string spread(std::string_view body) {
    std::string wide;
    bool in_text = false;
    for (std::size_t i = 0; i < body.size(); ++i) {
        const char c = body[i];
        if (in_text && c == '\\' && i + 1 < body.size()) {
            wide += c;
            wide += body[++i];
            continue;
        }
        if (c == '"') in_text = !in_text;
        wide += c;
        if (!in_text && std::string_view{"{}[],:"}.find(c) != std::string_view::npos) wide += " \r\n\t";
    }
    return wide;
}

bool same(const gateway::PromptKey& a, const gateway::PromptKey& b) {
    return a.blocks == b.blocks && a.owner == b.owner && a.tokens == b.tokens;
}

void check_body(std::string_view body) {
    const auto key = gateway::read_prompt(body, "m");
    must(key.blocks.size() <= 4'096, "blocks are bounded");
    must(key.blocks.size() * 16 <= key.tokens, "only whole blocks count");
    must(key.tokens <= body.size(), "a prompt is no longer than its body");
    if (!gateway::find_model(body).problem.empty()) return;  // then the gateway does not read it
    must(same(gateway::read_prompt(body, "m"), key), "the same body has the same key");
    // Blocks are counted by the body's size, which blanks add to: of what fitted, none may change.
    const auto laid_out = gateway::read_prompt(spread(body), "m");
    must(laid_out.tokens == key.tokens && laid_out.owner == key.owner &&
             laid_out.blocks.size() >= key.blocks.size() &&
             std::equal(key.blocks.begin(), key.blocks.end(), laid_out.blocks.begin()),
         "blanks between the members change nothing");
    const auto brace = body.find('{');
    const auto rest = body.substr(brace + 1);
    const bool is_empty = rest.find_first_not_of(" \t\r\n") == rest.find('}');
    const std::string more = std::string{body.substr(0, brace + 1)} +
                             R"("temperature":0.5,"stop":[{"role":"user","content":"x"}])" +
                             (is_empty ? "" : ",") + std::string{rest};
    const auto beside = gateway::read_prompt(more, "m");
    must(beside.tokens == key.tokens && beside.owner == key.owner, "what is no prompt changes nothing");
    const auto other = gateway::read_prompt(body, "other");
    must(other.tokens == key.tokens && other.blocks.size() == key.blocks.size(),
         "a prompt is as long for any model");
    must(key.blocks.empty() || other.blocks.front() != key.blocks.front(), "models share no block");
}

/// One step of a prompt each: a kind and a length, then so many bytes.
void check_hasher(std::string_view input, std::uint64_t cut) {
    constexpr std::size_t most = 24;
    std::array<std::uint64_t, most> whole_blocks;
    std::array<std::uint64_t, most> cut_blocks;
    std::array<std::uint64_t, 2> few_blocks;
    fairlead::test::ByteChance bytes{input};
    const std::uint32_t block_tokens = 1 + bytes.below(20);
    const fairlead::PromptSetUp set_up{.model = "m", .cache_salt = "s"};
    fairlead::PromptHasher whole{whole_blocks, set_up, block_tokens};
    fairlead::PromptHasher pieces{cut_blocks, set_up, block_tokens};
    fairlead::PromptHasher few{few_blocks, set_up, block_tokens};
    const auto all = [&](auto&& step) {
        step(whole);
        step(pieces);
        step(few);
    };
    std::vector<std::uint64_t> before;
    while (!bytes.is_spent()) {
        const std::uint32_t kind = bytes.below(8);
        const std::size_t length = bytes.below(256);
        const auto text = bytes.rest().substr(0, length);
        if (kind == 0) {
            all([role = text.starts_with('s') ? "system" : text](auto& each) { each.message(role); });
        } else if (kind == 1) {
            all([text](auto& each) { each.content(text); });
        } else if (kind == 2) {
            std::vector<std::uint32_t> ids;
            for (const char c : text) ids.push_back(static_cast<unsigned char>(c) * 0x01010101U);
            const std::span<const std::uint32_t> once{ids};
            whole.token_ids(once);
            few.token_ids(once);
            pieces.token_ids(once.first(once.size() / 2));
            pieces.token_ids(once.subspan(once.size() / 2));
        } else {
            whole.text(text);
            few.text(text);
            fairlead::test::in_pieces(text, cut, [&](std::string_view piece) { pieces.text(piece); });
        }
        const auto now = whole.blocks();
        must(std::equal(before.begin(), before.end(), now.begin(),
                        now.begin() + static_cast<std::ptrdiff_t>(std::min(before.size(), now.size()))),
             "what comes behind changes no block before it");
        must(now.size() == most || now.size() <= whole.tokens() / block_tokens, "only whole blocks count");
        before.assign(now.begin(), now.end());
        bytes = fairlead::test::ByteChance{bytes.rest().substr(text.size())};
    }
    must(std::ranges::equal(whole.blocks(), pieces.blocks()), "the cut of a text makes no difference");
    must(whole.tokens() == pieces.tokens() && whole.owner() == pieces.owner(), "nor to what else is told");
    must(whole.owner() == few.owner() && whole.tokens() == few.tokens(), "nor does the room for blocks");
    must(std::ranges::equal(whole.blocks().first(std::min(few_blocks.size(), whole.blocks().size())),
                            few.blocks()),
         "with less room there are the first of the blocks");
}

void fuzz_prompt(std::string_view input) {
    check_body(input);
    check_hasher(input, 1);
    check_hasher(input, 2);
}

const fairlead::test::FuzzRegistration prompt_body{"prompt", fuzz_prompt};

}  // namespace
