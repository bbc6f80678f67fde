// What the program shows, and what it is told.
#include "simulator/report.hpp"

#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "simulator/options.hpp"
#include "support/catch.hpp"

namespace {

using namespace simulator;
using namespace std::chrono_literals;

Row row(const std::string& strategy, double load, double mean, double hit_rate) {
    Row one;
    one.backends = 8;
    one.load = load;
    one.figures.strategy = strategy;
    one.figures.mean = mean;
    one.figures.p90 = 2 * mean;
    one.figures.hit_rate = hit_rate;
    one.figures.requests = 10;
    one.figures.imbalance = 1.25;
    one.figures.pick_ns = 40;
    return one;
}

TEST_CASE("report: the table's columns line up, and the best of each setting carries a star") {
    const std::vector rows{row("round_robin", 1, 2.5, 0.1), row("prefix_affinity", 1, 1.25, 0.3),
                           row("round_robin", 12, 123.456, 0.1), row("prefix_affinity", 12, 12, 0.1)};
    const auto table = table_of(rows);
    std::istringstream lines{table};
    std::string line;
    std::size_t width = 0;
    std::size_t stars = 0;
    std::size_t settings = 0;
    while (std::getline(lines, line)) {
        if (line.find("backends") != std::string::npos) {
            ++settings;
            continue;
        }
        if (line.empty()) continue;
        if (width == 0) width = line.size();
        CHECK(line.size() == width);
        if (line.find("*") != std::string::npos) ++stars;
    }
    CHECK(settings == 2);
    CHECK(stars >= 2);
    CHECK(table.find("*1.25") != std::string::npos);
    CHECK(table.find("*30.0") != std::string::npos);
    CHECK(table.find("*12.00") != std::string::npos);
    CHECK(table.find("*123.46") == std::string::npos);
}

TEST_CASE("report: JSON holds every figure under a name that says its unit") {
    auto with_timeline = row("prefix_affinity", 1, 1.25, 0.3);
    with_timeline.timeline = {{60, 1.5, 0.25, {3, 4}}};
    TraceFigures trace;
    trace.requests = 10;
    trace.shared = 0.4;
    const auto document = nlohmann::json::parse(json_of(trace, std::vector{with_timeline}));
    CHECK(document["trace"]["requests"] == 10);
    CHECK(document["trace"]["shared_prompt_tokens"] == 0.4);
    const auto& one = document["rows"][0];
    CHECK(one["strategy"] == "prefix_affinity");
    CHECK(one["first_token_seconds"]["mean"] == 1.25);
    CHECK(one["first_token_seconds"]["p90"] == 2.5);
    CHECK(one["hit_rate"] == 0.3);
    CHECK(one["largest_share"] == 1.25);
    CHECK(one["pick_nanoseconds"] == 40);
    CHECK(one["timeline"][0]["begin_seconds"] == 60);
    CHECK(one["timeline"][0]["served"] == nlohmann::json{3, 4});
}

TEST_CASE("report: the picture has a bar for each strategy, setting and figure, none outside of it") {
    const std::vector rows{row("round_robin", 1, 2.5, 0.1), row("a<b", 1, 1.25, 0.3),
                           row("round_robin", 1.25, 123.456, 0.1), row("a<b", 1.25, 12, 0.1)};
    const auto svg = svg_of(TraceFigures{}, rows);
    std::size_t bars = 0;
    for (auto at = svg.find("<rect"); at != std::string::npos; at = svg.find("<rect", at + 1)) {
        ++bars;
        const auto left = std::stod(svg.substr(svg.find("x=\"", at) + 3));
        const auto wide = std::stod(svg.substr(svg.find("width=\"", at) + 7));
        CHECK(left + wide < 1'222);
    }
    CHECK(bars == 2 + 4 * 5);
    CHECK(svg.find("a&lt;b") != std::string::npos);
    CHECK(svg.find("load 1.25") != std::string::npos);
    CHECK(svg.find("viewBox=\"0 0 1222 ") != std::string::npos);
}

TEST_CASE("options: events are read, and what is wrong with one is said") {
    std::vector<Happening> happenings;
    CHECK(read_happenings("restart:2@600+30.5,add@900,prompt@1200,estimates:0.5@1500", happenings).empty());
    REQUIRE(happenings.size() == 4);
    CHECK(happenings[0].kind == Happening::Kind::restart);
    CHECK(happenings[0].backend == 2);
    CHECK(happenings[0].at == 600s);
    CHECK(happenings[0].down == 30'500ms);
    CHECK(happenings[1].kind == Happening::Kind::add);
    CHECK(happenings[2].at == 1'200s);
    CHECK(happenings[3].factor == 0.5);
    const auto error = [&](const char* text) { return read_happenings(text, happenings); };
    CHECK(error("restart:2") == "\"restart:2\": needs a time, as in restart:2@600");
    CHECK(error("restart@5") == "\"restart@5\": restart needs a backend's number, from 0");
    CHECK(error("restart:1@5+x") == "\"restart:1@5+x\": the time away must be a number of seconds");
    CHECK(error("add:1@5") == "\"add:1@5\": add takes only a time");
    CHECK(error("add@-1") == "\"add@-1\": the time must be a number of seconds");
    CHECK(error("estimates:0@5") == "\"estimates:0@5\": estimates needs a factor, above 0 and at most 1000");
    CHECK(error("flood@5") == "\"flood@5\": unknown event; known are restart, add, prompt, estimates");
    CHECK(happenings.size() == 4);
}

TEST_CASE("options: lists are read, and an unknown strategy is answered with the known ones") {
    Options options;
    const char* const good[] = {
        "x",     "--load",    "0.7,1", "--backends=8,16", "--strategies", "random,least_tokens", "--speeds",
        "0.5,2", "--weights", "1,4"};
    CHECK_FALSE(read_options(10, good, options));
    CHECK(options.scenario.speeds == std::vector{0.5, 2.0});
    CHECK(options.scenario.weights == std::vector{1U, 4U});
    CHECK(options.loads == std::vector{0.7, 1.0});
    CHECK(options.backends == std::vector<std::size_t>{8, 16});
    CHECK(options.strategies == std::vector<std::string>{"random", "least_tokens"});
    const char* const unknown[] = {"x", "--strategies", "magic"};
    CHECK(read_options(3, unknown, options) == 2);
    const char* const load[] = {"x", "--load", "1,,2"};
    CHECK(read_options(3, load, options) == 2);
}

}  // namespace
