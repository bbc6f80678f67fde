// X-Fairlead-Tags: which backends a request may go to, in the client's words.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "gateway/headers.hpp"
#include "programs/recorder.hpp"
#include "programs/world.hpp"
#include "support/catch.hpp"

using test::body_of;
using test::chat;
using test::get;
using test::hello;
using test::post;
using test::Recorder;
using test::status_of;
using test::World;

namespace {

using Tags = std::vector<std::string>;

std::string tags_field(const std::string& tags) { return "X-Fairlead-Tags: " + tags + "\r\n"; }

std::string server_of(const std::string& response) {
    const auto at = response.find("X-Fairlead-Backend: ");
    return at == std::string::npos ? "" : response.substr(at + 20, response.find('\r', at) - at - 20);
}

/// Those who answer a dozen requests with these fields: in turn, so everybody who may.
std::string servers(const World& world, const std::string& fields) {
    std::string names;
    for (int i = 0; i < 12; ++i) {
        const auto response = world.ask(post(chat, hello, fields));
        CHECK(status_of(response) == 200);
        names += server_of(response);
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

/// `b` and `c` share a tag, `a` has none.
struct TaggedWorld : World {
    TaggedWorld() {
        backend("a");
        backend("b");
        settings.backends.back().tags = {"gpu", "eu"};
        backend("c");
        settings.backends.back().tags = {"gpu", "us"};
    }
};

nlohmann::json error_of(const std::string& response) {
    return nlohmann::json::parse(body_of(response)).at("error");
}

}  // namespace

TEST_CASE("a request goes to a backend that has all the tags it names, in one field or in several") {
    TaggedWorld world;
    world.start();
    CHECK(servers(world, "") == "abc");
    CHECK(servers(world, tags_field("")) == "abc");
    CHECK(servers(world, tags_field("gpu")) == "bc");
    CHECK(servers(world, tags_field("gpu, eu")) == "b");
    CHECK(servers(world, tags_field(" us ,, gpu,us")) == "c");
    CHECK(servers(world, tags_field("gpu") + "x-fairlead-tags: us\r\n") == "c");
}

TEST_CASE("tags that no backend has, or none has together, are refused as a fleet without room is") {
    TaggedWorld world;
    world.start();
    for (const std::string tags : {"tpu", "eu, us", "GPU"}) {
        INFO(tags);
        const auto response = world.ask(post(chat, hello, tags_field(tags)));
        CHECK(status_of(response) == 503);
        CHECK(response.find("Retry-After: 1\r\n") != std::string::npos);
        CHECK(error_of(response)["code"] == "service_unavailable");
        CHECK(error_of(response)["message"] == "no backend carries all of these tags");
    }
    for (const auto& backend : world.backends()) CHECK(backend->requests() == 0);
}

TEST_CASE("a request that failed is tried again only where its tags are") {
    TaggedWorld world;
    world.settings.options.ejection = false;
    world.settings.options.back_off_base = {};
    world.start();
    world.backends()[1]->set_failure(mock_llm::Failure::server_error);
    CHECK(servers(world, tags_field("gpu")) == "c");
    CHECK(world.backends()[1]->requests() > 0);
    CHECK(status_of(world.ask(post(chat, hello, tags_field("eu")))) == 500);
    CHECK(world.backends()[0]->requests() == 0);
}

TEST_CASE("the tags are not passed on to a backend, and the other fields are") {
    Recorder one;
    Recorder other;
    World world;
    world.settings.options.health_check = false;  // probes would be the last that came
    world.backend_at("a", one.url(), "m").tags = {"gpu"};
    world.start();
    const std::string fields = "X-Before: 1\r\n" + tags_field("gpu") + "X-Behind: 2\r\n";
    CHECK(status_of(world.ask(post(chat, hello, fields))) == 200);
    CHECK(one.last().find("Fairlead") == std::string::npos);
    CHECK(one.last().find("X-Before: 1\r\n") != std::string::npos);
    CHECK(one.last().find("X-Behind: 2\r\n") != std::string::npos);

    // The union of several models is the gateway's own question.
    World several;
    several.settings.options.health_check = false;
    several.backend_at("a", one.url(), "m");
    several.backend_at("b", other.url(), "n");
    several.start();
    auto list = get("/v1/models");
    list.insert(list.size() - 2, tags_field("gpu"));
    CHECK(status_of(several.ask(list)) == 200);
    for (auto* each : {&one, &other}) {
        CHECK(each->last().starts_with("GET /v1/models "));
        CHECK(each->last().find("Fairlead") == std::string::npos);
    }
}

TEST_CASE("more than 16 tags are refused, and 16 are not") {
    TaggedWorld world;
    for (int i = 0; i < 16; ++i) world.settings.backends[0].tags.push_back("t" + std::to_string(i));
    world.start();
    std::string tags = "t0";
    for (int i = 1; i < 16; ++i) tags += ",t" + std::to_string(i);
    CHECK(servers(world, tags_field(tags)) == "a");
    CHECK(servers(world, tags_field(tags + ",t0")) == "a");  // each counts once
    const auto response = world.ask(post(chat, hello, tags_field(tags + ",t16")));
    CHECK(status_of(response) == 400);
    CHECK(error_of(response)["message"] == "X-Fairlead-Tags names more than 16 tags");
}

TEST_CASE("the order in which tags are named makes no other subset") {
    fairlead::HttpHeaders headers{
        {"Accept", "*/*"}, {"x-fairlead-tags", "b, a"}, {"X-Fairlead-Tags", "c,a ,"}};
    CHECK(gateway::take_tags(headers) == Tags{"a", "b", "c"});
    CHECK(headers.size() == 1);
    CHECK(gateway::take_tags(headers) == Tags{});
}
