// What goes on until it is told to end: the live table, and waiting for a drain.
#include <csignal>
#include <optional>
#include <string>

#include "ctl/documents.hpp"
#include "ctl/fake_api.hpp"
#include "ctl/watch.hpp"
#include "support/catch.hpp"

using fairlead::Language;
using fairlead::ctl::picture;
using fairlead::ctl::TerminalSize;
using test::FakeApi;
using test::Ran;
using test::run_ctl;

namespace {

std::size_t times(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

std::string draining(int in_flight, const std::string& status = "disabled") {
    return R"({"status":"success","data":{"backends":{"a":{"metrics":{"active_connections":)" +
           std::to_string(in_flight) + R"(,"status":")" + status + "\"}}}}}";
}

}  // namespace

TEST_CASE("watch prints a table for each look and ends after --count of them") {
    FakeApi api;
    api.on("GET /backends", test::backends_document);
    const Ran ran = run_ctl(api, {"watch", "--interval", "0.1", "--count", "3"});
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    CHECK(times(ran.out, "least_connections: 2 of 3 healthy\n") == 3);
    CHECK(times(ran.out, "\x1b") == 0);  // no terminal: nothing to redraw
    CHECK(api.asked().size() == 3);
    CHECK(times(ran.out, "primary  healthy                     3       7/50       120           -") == 1);
    CHECK(times(ran.out, "primary  healthy                     3       7/50       120         0.0") == 2);
}

TEST_CASE("on a terminal each table is drawn over the last, within its size") {
    FakeApi api;
    api.on("GET /backends", test::backends_document);
    test::Manner manner;
    manner.terminal = [] { return TerminalSize{20, 24}; };
    const Ran ran = run_ctl(api, {"watch", "--interval", "0.1", "--count", "2"}, manner);
    CHECK(times(ran.out, "\x1b[H") == 2);
    CHECK(ran.out.starts_with("\x1b[Hleast_connections: …\x1b[K\n"));
    CHECK(ran.out.ends_with("\x1b[J"));
}

TEST_CASE("lines beyond the terminal's height are counted, and the cursor's row stays free") {
    const fairlead::ctl::Lines lines{"1", "2", "3", "4"};
    const auto drawn = [&lines](std::size_t rows) {
        std::string text = picture(lines, {80, rows}, Language::english);
        for (const std::string escape : {"\x1b[H", "\x1b[K", "\x1b[J"})
            for (auto at = text.find(escape); at != std::string::npos; at = text.find(escape))
                text.erase(at, 3);
        return text;
    };
    CHECK(drawn(5) == "1\n2\n3\n4\n");
    CHECK(drawn(4) == "1\n2\n... 2 more\n");
    CHECK(drawn(2) == "... 4 more\n");
    CHECK(drawn(0) == "... 4 more\n");
}

TEST_CASE("a signal ends watch at once and cleanly, while it waits and while it asks") {
    FakeApi api;
    api.on("GET /backends", test::backends_document);
    test::Manner manner;
    SECTION("while it waits for the next look, which is far off") {
        // Asked for when the table is drawn, right before the wait.
        manner.terminal = []() -> std::optional<TerminalSize> {
            std::raise(SIGINT);
            return std::nullopt;
        };
    }
    SECTION("while an answer does not come") {
        api.hang([] { std::raise(SIGTERM); });
    }
    const Ran ran = run_ctl(api, {"watch", "--interval", "1000000"}, manner);
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
}

TEST_CASE("a server that is lost while it is watched is said to be, and the table stays") {
    FakeApi api;
    api.on("GET /backends", test::backends_document).on("GET /backends", "<html>starting</html>", 503);
    const Ran ran = run_ctl(api, {"watch", "--interval", "0.1", "--count", "2"});
    CHECK(ran.status == 3);
    CHECK(times(ran.out, "no answer since ") == 1);
    CHECK(times(ran.out, "least_connections: 2 of 3 healthy\n") == 2);
    CHECK(times(ran.err, "is no fairlead admin API") == 1);
}

TEST_CASE("a first look that fails ends watch with its status") {
    FakeApi api;
    CHECK(run_ctl(api, {"watch"}).status == 1);
    api.on("GET /backends", "no API");
    CHECK(run_ctl(api, {"watch"}).status == 3);
}

TEST_CASE("watch --json prints each answer as it came") {
    FakeApi api;
    api.on("GET /backends", R"({"status":"success","data":{}})");
    CHECK(run_ctl(api, {"watch", "--json", "--interval", "0.1", "--count", "2"}).out ==
          "{\"status\":\"success\",\"data\":{}}\n{\"status\":\"success\",\"data\":{}}\n");
}

TEST_CASE("drain --wait returns when nothing is in flight any more") {
    FakeApi api;
    api.on("POST /backends/a/drain", test::done_document)
        .on("GET /backends", draining(2))
        .on("GET /backends", draining(1))
        .on("GET /backends", draining(0));
    const Ran ran = run_ctl(api, {"drain", "a", "--wait"});
    CHECK(ran.status == 0);
    CHECK(ran.out == "it was done\na: nothing is in flight any more\n");
    CHECK(api.asked().size() == 4);
}

TEST_CASE("drain --wait ends when another operator removes or enables the backend") {
    FakeApi api;
    api.on("POST /backends/a/drain", test::done_document).on("GET /backends", draining(2));
    SECTION("removed") {
        api.on("GET /backends", R"({"status":"success","data":{"backends":{}}})");
        const Ran ran = run_ctl(api, {"drain", "a", "--wait"});
        CHECK(ran.status == 0);
        CHECK(ran.out == "it was done\na: is gone\n");
    }
    SECTION("enabled") {
        api.on("GET /backends", draining(2, "healthy"));
        const Ran ran = run_ctl(api, {"drain", "a", "--wait"});
        CHECK(ran.status == 1);
        CHECK(ran.err == "fairlead-ctl: a: was enabled again before it was empty\n");
    }
    SECTION("the server says no more") {
        api.on("GET /backends", "gone");
        CHECK(run_ctl(api, {"drain", "a", "--wait"}).status == 3);
    }
    SECTION("the server says something else") {
        api.on("GET /backends", R"({"status":"success","data":{"backends":[]}})");
        const Ran ran = run_ctl(api, {"drain", "a", "--wait"});
        CHECK(ran.status == 3);
        CHECK(ran.err == "fairlead-ctl: what answers there (status 200) is no fairlead admin API\n");
    }
}

TEST_CASE("drain without --wait, or refused, does not wait") {
    FakeApi api;
    api.on("POST /backends/a/drain", test::done_document);
    CHECK(run_ctl(api, {"drain", "a"}).status == 0);
    CHECK(run_ctl(api, {"drain", "b", "--wait"}).status == 1);
    CHECK(api.asked().size() == 2);
}
