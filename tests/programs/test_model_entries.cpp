// The list of models that is made of engines' answers.
#include <string>

#include <nlohmann/json.hpp>

#include "gateway/model_entries.hpp"
#include "support/catch.hpp"

TEST_CASE("an engine's list that nests a hundred thousand levels deep is borne, and its names are listed") {
    const std::string body = R"({"data":[{"id":"m","owned_by":"vllm","x":)" + std::string(100'000, '[') +
                             std::string(100'000, ']') + "}]}";
    gateway::ModelEntries entries{{"m", "n"}};
    entries.note("m", body);
    const auto entry = nlohmann::json::parse(entries.find("m").value());
    CHECK(entry["owned_by"] == "vllm");
    CHECK(entry["x"].is_array());
    CHECK(nlohmann::json::parse(entries.list())["data"].size() == 2);
}

TEST_CASE("what is no list of models changes nothing") {
    gateway::ModelEntries entries{{"m", "n"}};
    const auto before = entries.list();
    for (const char* body : {"", "no", "[]", "{}", R"({"data":{}})",
                             R"({"data":[1,{},{"id":2},{"id":"other"}]})", R"({"data":[{"id":"m"})"}) {
        entries.note("m", body);
        CHECK(entries.list() == before);
    }
}

TEST_CASE("an alias is listed where somebody serves its model, and only there") {
    gateway::ModelEntries named{{"m", "n"}};
    named.add_alias("also", "m");
    named.add_alias("lost", "gone");
    named.add_alias("again", "also");  // aliases are looked up once
    CHECK(named.find("also").has_value());
    CHECK_FALSE(named.find("lost").has_value());
    CHECK_FALSE(named.find("again").has_value());
    CHECK(nlohmann::json::parse(named.list())["data"].size() == 3);

    gateway::ModelEntries open{{"", "m"}};  // a backend without a name takes whatever it is asked for
    open.add_alias("lost", "gone");
    CHECK(open.find("lost").has_value());
}
