// What engines' answers say of themselves, on their way through the gateway: the tokens that they cost, in
// any pieces, and the lists of models, of which one is made.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "../../examples/gateway/model_entries.hpp"
#include "../../examples/gateway/usage_reader.hpp"
#include "fuzz.hpp"

namespace {

using fairlead::test::must;
using nlohmann::json;

/// A count as the reader takes one: a whole number up to a billion, else 0.
std::uint64_t count_in(const json& usage, const char* one, const char* other) {
    for (const char* name : {one, other}) {
        const auto member = usage.find(name);
        if (member == usage.end() || !member->is_number_unsigned()) continue;
        const auto count = member->get<std::uint64_t>();
        if (count != 0 && count <= 1'000'000'000) return count;
    }
    return 0;
}

/// As a reader of the whole document finds it, where there is no doubt: an object "usage" of plain numbers at
/// the top level, and the word nowhere else.
std::optional<gateway::Usage> plain_usage(std::string_view answer) {
    if (answer.find('\0') != std::string_view::npos || answer.find('\\') != std::string_view::npos) return {};
    const auto at = answer.find("\"usage\"");
    if (at == std::string_view::npos || answer.find("\"usage\"", at + 1) != std::string_view::npos) return {};
    const auto document = json::parse(answer, nullptr, false);
    if (!document.is_object()) return {};
    const auto usage = document.find("usage");
    if (usage == document.end() || !usage->is_object() || usage->size() == 0) return {};
    std::size_t quotes = 0;
    for (const auto& [name, value] : usage->items()) {
        if (!value.is_number_unsigned() || name.find_first_of("{}") != std::string::npos) return {};
        quotes += 2;
    }
    // A name that comes twice: the document shows the last one only.
    const auto text = answer.substr(at + 7, answer.find('}', at) - at - 7);
    std::size_t seen = 0;
    for (const char c : text) seen += c == '"' ? 1U : 0U;
    if (seen != quotes || text.size() > 1000) return {};
    return gateway::Usage{count_in(*usage, "prompt_tokens", "input_tokens"),
                          count_in(*usage, "completion_tokens", "output_tokens"),
                          count_in(*usage, "cached_tokens", "cached_tokens")};
}

void check_usage(std::string_view answer) {
    gateway::UsageReader whole;
    whole.feed(answer);
    const auto told = whole.usage();
    if (told) {
        constexpr std::uint64_t most = 1'000'000'000;
        must(told->prompt <= most && told->completion <= most && told->cached <= most, "no count is absurd");
    }
    for (std::uint64_t way = 0; way < 3; ++way) {
        gateway::UsageReader parts;
        bool came = false;
        const auto feed = [&](std::string_view piece) { came = parts.feed(piece) || came; };
        if (way == 0) {
            for (std::size_t i = 0; i < answer.size(); ++i) feed(answer.substr(i, 1));
        } else {
            fairlead::test::in_pieces(answer, way, feed);
        }
        must(parts.usage() == told, "the tokens are the same in any pieces");
        must(came == told.has_value(), "when they came, that was said");
    }
    if (const auto wanted = plain_usage(answer)) must(told == wanted, "the tokens are what the answer says");
}

void check_models(std::string_view body) {
    const auto is_list = [](const std::string& text, std::size_t least) {
        const auto list = json::parse(text, nullptr, false);
        must(list.is_object() && list.value("object", "") == "list" && list["data"].is_array() &&
                 list["data"].size() >= least,
             "the list is one, with every model in it");
        for (const auto& entry : list["data"]) must(entry["id"].is_string(), "every entry has its name");
        return list["data"].size();
    };
    gateway::ModelEntries two{{"m", "org/other"}};
    two.note("m", body);
    must(is_list(two.list(), 2) == 2, "of several models, each is listed once and no other");
    gateway::ModelEntries sole{{"m"}};
    sole.note("m", body);
    sole.add_alias("alias", "m");
    is_list(sole.list(), 2);
    must(sole.find("alias").has_value() && sole.find("%61lia%73").has_value(), "an alias is found");
    must(!two.find("org%2Fnobody").has_value(), "who is not there is not found");
    must(two.find("org%2Fother") == two.find("org/other"), "encoded or not");
    sole.find(body);
}

void fuzz_answers(std::string_view input) {
    check_usage(input);
    check_models(input);
}

const fairlead::test::FuzzRegistration answers_body{"answers", fuzz_answers};

}  // namespace
