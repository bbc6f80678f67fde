// What of a body an engine's cache keys on: as the strategies are given it.
#include <string>

#include "gateway/prompt_key.hpp"
#include "support/catch.hpp"

namespace {

using gateway::PromptKey;
using gateway::read_prompt;

const std::string long_text(200, 'x');

std::string chat_body(const std::string& text, const std::string& more = {}) {
    return R"({"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":")" +
           text + "\"}]" + more + "}";
}

/// How many leading blocks two prompts share.
std::size_t shared(const PromptKey& a, const PromptKey& b) {
    std::size_t n = 0;
    while (n < a.blocks.size() && n < b.blocks.size() && a.blocks[n] == b.blocks[n]) ++n;
    return n;
}

}  // namespace

TEST_CASE("a conversation that goes on shares all blocks of what was said before") {
    const auto first = read_prompt(chat_body(long_text), "m");
    CHECK(first.blocks.size() == 3);  // 9 + 200 bytes of text, 64 a block
    CHECK(first.tokens == 53);
    const auto next = read_prompt(
        R"({ "messages": [ {"content": "Be brief.", "role": "system"}, {"role":"user","content":[{"type":"text","text":")" +
            long_text + R"("}]}, {"role":"assistant","content":"Yes."},{"role":"user","content":")" +
            long_text + R"("}], "model": "m", "temperature": 0.5})",
        "m");
    CHECK(next.blocks.size() == 6);
    CHECK(shared(first, next) == 3);
    CHECK(next.owner == first.owner);
    CHECK(first.owner != 0);
    CHECK(read_prompt(chat_body(long_text + "!"), "m").owner != first.owner);
}

TEST_CASE("unlike model, adapter, salt and tools never match, wherever they stand in the body") {
    const auto plain = read_prompt(chat_body(long_text), "m");
    for (const std::string more : {R"(,"cache_salt":"s")", R"(,"lora_path":"s")",
                                   R"(,"tools":[{"type":"function","function":{"name":"f"}}])"}) {
        const auto other = read_prompt(chat_body(long_text, more), "m");
        CHECK(shared(plain, other) == 0);
        CHECK(other.blocks.size() == 3);
        auto before = chat_body(long_text);
        before.insert(1, more.substr(1) + ",");
        CHECK(shared(other, read_prompt(before, "m")) == 3);
    }
    CHECK(shared(plain, read_prompt(chat_body(long_text), "adapter")) == 0);
    CHECK(shared(plain, read_prompt(chat_body(long_text, R"(,"temperature":1,"user":"u","stream":true)"),
                                    "m")) == 3);
}

TEST_CASE("tools that differ in anything do not match") {
    const auto with = [](const std::string& parameters) {
        return read_prompt(
            chat_body(long_text, R"(,"tools":[{"type":"function","function":{"name":"f","parameters":)" +
                                     parameters + "}}]"),
            "m");
    };
    const std::string city = R"({"properties":{"city":{"type":"string"}}})";
    const auto first = with(city);
    CHECK(shared(first, with(city)) == 3);
    CHECK(shared(first, with(R"({ "properties" : {"city": {"type":"string"} } })")) == 3);
    for (const std::string other :
         {R"({"properties":{"town":{"type":"string"}}})", R"({"properties":{"city":{"type":"number"}}})",
          R"({"properties":{"city":{"type":null}}})", R"({"properties":{"city":{"type":["string"]}}})",
          R"({"properties":{"city":{}},"type":"string"})",
          R"({"properties":{"city":{"type":"string"}},"x":[]})"})
        CHECK(shared(first, with(other)) == 0);
}

TEST_CASE("roles count, and images by their content") {
    const auto of = [](const std::string& parts, const std::string& role = "user") {
        return read_prompt(R"({"messages":[{"role":")" + role + R"(","content":[)" + parts + "]}]}", "m");
    };
    const std::string text = R"({"type":"text","text":")" + long_text + "\"}";
    const auto image = [](const std::string& data) {
        return R"({"type":"image_url","image_url":{"url":"data:image/png;base64,)" + data + "\"}},";
    };
    CHECK(shared(of(text), of(text, "tool")) == 0);
    CHECK(shared(of(image("AAAA") + text), of(image("AAAA") + text)) == 3);
    CHECK(shared(of(image("AAAA") + text), of(image("AAAB") + text)) == 0);
}

TEST_CASE("instructions count as one text or as a list of texts, as the Messages API has them") {
    const auto of = [](const std::string& member, const std::string& system) {
        return read_prompt(R"({"model":"m",")" + member + "\":" + system +
                               R"(,"messages":[{"role":"user","content":")" + std::string(200, 'q') + "\"}]}",
                           "m");
    };
    const auto list = [](const std::string& text, const std::string& more = {}) {
        return R"([{"type":"text","text":")" + text + "\"" + more + R"(},{"type":"text","text":"-"}])";
    };
    const std::string one(3'000, 'a');
    const auto usual = of("system", list(one));
    CHECK(usual.tokens >= 750 + 50);
    CHECK(shared(usual, of("system", list(one))) == usual.blocks.size());
    CHECK(shared(usual, of("system", "\"" + one + "-\"")) == usual.blocks.size());
    CHECK(shared(usual, of("instructions", list(one))) == usual.blocks.size());
    CHECK(shared(usual, of("system", list("b" + one))) == 0);
    // The mark up to which a client wants it cached.
    CHECK(shared(usual, of("system", list(one, R"(,"cache_control":{"type":"ephemeral","ttl":"1h"})"))) ==
          usual.blocks.size());
    // Of what else is called so nothing is left out, and a text may follow an object.
    const auto tool = [](const std::string& ttl) {
        return read_prompt(
            R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","input":{"ttl":)" + ttl +
                R"(,"note":")" + std::string(300, 'n') + R"("}},"behind"]}]})",
            "m");
    };
    CHECK(shared(tool("60"), tool("60")) == tool("60").blocks.size());
    CHECK(shared(tool("60"), tool("61")) == 0);
    CHECK(of("system", R"([{"text":"a","type":"text"},"bcde"])").tokens == of("system", "\"abcde\"").tokens);
}

TEST_CASE("prompts may be text or token ids; equal lengths do not match") {
    const auto ids = [](int first) {
        std::string list;
        for (int i = 0; i < 600; ++i) list += (i == 0 ? "" : ",") + std::to_string(first + i);
        return read_prompt(R"({"model":"m","prompt":[)" + list + "]}", "m");
    };
    CHECK(ids(1000).blocks.size() == 37);
    CHECK(ids(1000).tokens == 600);
    CHECK(shared(ids(1000), ids(1000)) == 37);
    CHECK(shared(ids(1000), ids(2000)) == 0);
    const auto text = read_prompt(R"({"prompt":")" + long_text + "\"}", "m");
    CHECK(text.blocks.size() == 3);
    CHECK(text.tokens == 50);
}

TEST_CASE("a prompt is cut into blocks as long as they are wanted, text and token ids") {
    const auto body = chat_body(std::string(20'000, 'x'));
    CHECK(read_prompt(body, "m", 16).blocks.size() == 312);
    CHECK(read_prompt(body, "m", 0).blocks.size() == 312);
    CHECK(read_prompt(body, "m", 64).blocks.size() == 78);
    CHECK(read_prompt(body, "m", 512).blocks.size() == 9);
    CHECK(read_prompt(body, "m", 65'536).blocks.empty());
    CHECK(read_prompt(body, "m", 512).owner == read_prompt(body, "m").owner);
    CHECK(read_prompt(body, "m", 512).tokens == read_prompt(body, "m").tokens);
    std::string ids = "1";
    for (int i = 0; i < 127; ++i) ids += ",1";
    CHECK(read_prompt(R"({"prompt":[)" + ids + "]}", "m", 64).blocks.size() == 2);
}

TEST_CASE("what is no prompt is none, and a large one is bounded") {
    CHECK(read_prompt("[", "m").blocks.empty());
    CHECK(read_prompt("{}", "m").tokens == 0);
    CHECK(
        read_prompt(R"({"messages":"no","prompt":{"x":null},"tools":3,"input":[[1]]})", "m").blocks.empty());
    CHECK(read_prompt(R"({"prompt":")" + std::string(2'000'000, 'x') + "\"}", "m").blocks.size() == 4'096);
    CHECK(read_prompt("{\"messages\":" + std::string(200, '[') + std::string(200, ']') + "}", "m").tokens ==
          0);
    CHECK(gateway::has_prompt("/v1/chat/completions?x=y"));
    CHECK_FALSE(gateway::has_prompt("/v1/embeddings"));
}
