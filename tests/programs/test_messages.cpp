// What the gateway says to its operator, in both languages.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <future>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/log.hpp"
#include "gateway/messages.hpp"
#include "support/catch.hpp"

using fairlead::Language;
using namespace std::chrono_literals;

namespace {

/// Refuses what is written first, as a full disk does.
class RefusesOnce final : public std::stringbuf {
  protected:
    std::streamsize xsputn(const char* text, std::streamsize size) override {
        return std::exchange(refuses_, false) ? 0 : std::stringbuf::xsputn(text, size);
    }

  private:
    bool refuses_ = true;
};

/// Takes nothing until it is told to, as a pipe that is full.
class Stuck final : public std::stringbuf {
  public:
    void wait_for_write() { begun_.get_future().wait(); }
    void go_on() { may_go_on_.set_value(); }

  protected:
    std::streamsize xsputn(const char* text, std::streamsize size) override {
        if (!std::exchange(is_stuck_, false)) return std::stringbuf::xsputn(text, size);
        begun_.set_value();
        may_go_on_.get_future().wait();
        return std::stringbuf::xsputn(text, size);
    }

  private:
    bool is_stuck_ = true;
    std::promise<void> begun_{};
    std::promise<void> may_go_on_{};
};

}  // namespace

TEST_CASE("a reload is told in the operator's language, names as they are") {
    fairlead::ReloadReport report;
    report.added = {"a", "b"};
    report.draining = {"c"};
    report.settings = {"max_retries"};
    report.at_next_start = {"queue_limit"};
    report.refused = {{"d", fairlead::Errc::too_many_backends}};
    const fairlead::Settings settings;
    CHECK(gateway::reloaded(report, settings, settings, Language::english) ==
          std::vector<std::string>{"settings reloaded: added a, b; draining c; in force max_retries",
                                   "not changed: d: there can be at most 65,536 backends",
                                   "at the next start: queue_limit"});
    CHECK(gateway::reloaded(report, settings, settings, Language::chinese) ==
          std::vector<std::string>{"配置已重新加载：新增 a, b; 排空 c; 生效 max_retries",
                                   "未变更：d: 最多 65,536 个后端", "下次启动时生效： queue_limit"});
    report = {};
    report.applied = false;
    auto single = settings;
    auto multi = settings;
    multi.mode = fairlead::Mode::multi_backend;
    for (const auto language : {Language::english, Language::chinese}) {
        const auto said = gateway::reloaded(report, single, multi, language);
        REQUIRE(said.size() == 1);
        CHECK(said[0].find("single_backend") != std::string::npos);
        CHECK(said[0].find("multi_backend") != std::string::npos);
    }
    CHECK(gateway::stopping(3, Language::chinese) == "正在停止；还有 3 个连接");
}

TEST_CASE("an event is one line of key=value or of JSON, and nobody's name can forge a field or a line") {
    fairlead::Event event;
    event.kind = fairlead::Event::Kind::state_changed;
    event.backend = "a\" to=healthy\nevent=ejected";
    event.from = fairlead::BackendState::healthy;
    event.to = fairlead::BackendState::unhealthy;
    event.reason = "consecutive failures";
    std::ostringstream text;
    gateway::Log{text, gateway::Log::Format::text}.event(event);
    const std::string line = text.str();
    CHECK(line.starts_with("time="));
    CHECK(line.substr(line.find(' ')) ==
          " event=state_changed backend=\"a\\\" to=healthy\\nevent=ejected\" from=healthy to=unhealthy "
          "reason=\"consecutive failures\"\n");
    std::ostringstream json;
    gateway::Log{json, gateway::Log::Format::json}.event(event);
    CHECK(
        json.str().substr(json.str().find(",")) ==
        ",\"event\":\"state_changed\",\"backend\":\"a\\\" to=healthy\\nevent=ejected\",\"from\":\"healthy\","
        "\"to\":\"unhealthy\",\"reason\":\"consecutive failures\"}\n");
}

TEST_CASE("a request is one line of key=value or of JSON") {
    gateway::AccessEntry entry;
    entry.peer = "127.0.0.1";
    entry.method = "POST";
    entry.target = "/v1/chat/completions?a=b c";
    entry.status = 200;
    entry.backend = "a";
    entry.bytes = 12;
    entry.usage = {30, 20, 10};
    entry.took = 1500us;
    entry.end = "complete";
    std::ostringstream text;
    gateway::Log{text, gateway::Log::Format::text}.access(entry);
    CHECK(text.str().substr(text.str().find(' ')) ==
          " peer=127.0.0.1 method=POST target=\"/v1/chat/completions?a=b c\" status=200 backend=a bytes=12 "
          "prompt_tokens=30 cached_tokens=10 completion_tokens=20 milliseconds=1.500 end=complete\n");
    std::ostringstream json;
    gateway::Log{json, gateway::Log::Format::json}.access(entry);
    CHECK(json.str().find("\"status\":200,\"backend\":\"a\",\"bytes\":12,\"prompt_tokens\":30,"
                          "\"cached_tokens\":10,\"completion_tokens\":20,\"milliseconds\":1.500,") !=
          std::string::npos);
}

TEST_CASE("a line of the log that cannot be written is lost, and the next ones are not") {
    RefusesOnce buffer;
    std::ostream out{&buffer};
    const auto takes = GENERATE(gateway::Log::Takes{}, gateway::Log::Takes{[] { return true; }});
    for (const auto* text : {"lost", "kept"})
        gateway::Log{out, gateway::Log::Format::text, takes}.message(text);
    CHECK(buffer.str() == "kept\n");
}

TEST_CASE(
    "a line that the stream takes at once is written by who has it, and from the first other one a thread "
    "writes") {
    std::ostringstream out;
    bool takes = true;
    gateway::Log log{out, gateway::Log::Format::text, [&takes] { return takes; }};
    log.message("at once");
    CHECK(out.str() == "at once\n");
    const std::string long_one(5000, 'x');
    SECTION("it would wait") {
        takes = false;
        log.message("waits");
        takes = true;
        log.message("last");
        REQUIRE(log.close(20s));
        CHECK(out.str() == "at once\nwaits\nlast\n");
    }
    SECTION("it is longer than what the stream was asked for") {
        log.message(long_one);
        log.message("last");
        REQUIRE(log.close(20s));
        CHECK(out.str() == "at once\n" + long_one + "\nlast\n");
    }
}

TEST_CASE("a pipe with room takes a line at once, and a full one does not") {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    REQUIRE(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    const auto takes = gateway::takes_at_once(ends[1]);
    CHECK(takes());
    const std::string text(4096, 'x');
    while (write(ends[1], text.data(), text.size()) > 0) {
    }
    CHECK_FALSE(takes());
    close(ends[0]);
    CHECK(takes());  // nobody reads any more: a write fails at once
    close(ends[1]);
}

TEST_CASE("who writes to a log that nobody reads does not wait, and what finds no room is counted") {
    Stuck buffer;
    std::ostream out{&buffer};
    const bool json = GENERATE(false, true);
    gateway::Log log{out, json ? gateway::Log::Format::json : gateway::Log::Format::text, {}, 300};
    log.message("first");
    buffer.wait_for_write();
    for (int i = 0; i < 9; ++i) log.message(std::string(60, static_cast<char>('0' + i)));
    log.message("short, and dropped as well: it would stand before those that were");
    buffer.go_on();
    REQUIRE(log.close(20s));
    log.message("too late");
    std::vector<std::string> lines;
    std::istringstream text{buffer.str()};
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    const std::size_t kept = lines.size() - 2;
    CHECK(kept == (json ? 3 : 4));
    CHECK(lines.front().find("first") != std::string::npos);
    for (std::size_t i = 0; i < kept; ++i) {
        CHECK(lines[i + 1].find(std::string(60, static_cast<char>('0' + i))) != std::string::npos);
    }
    const auto dropped = std::to_string(10 - kept);
    CHECK(lines.back().ends_with(json ? "\"dropped\":" + dropped + "}" : " dropped=" + dropped));
}

TEST_CASE("all that was told to a log is written in order, whoever told it") {
    std::ostringstream out;
    {
        gateway::Log log{out, gateway::Log::Format::text};
        std::vector<std::thread> threads;
        for (char name : {'a', 'b', 'c'}) {
            threads.emplace_back([&log, name] {
                for (int i = 1; i <= 500; ++i)
                    log.message(name + std::string(static_cast<std::size_t>(i), '.'));
            });
        }
        for (auto& thread : threads) thread.join();
    }
    std::map<char, std::size_t> sizes;
    std::istringstream text{out.str()};
    for (std::string line; std::getline(text, line);) CHECK(line.size() == ++sizes[line.front()] + 1);
    CHECK(sizes == std::map<char, std::size_t>{{'a', 500}, {'b', 500}, {'c', 500}});
}

TEST_CASE("a log that nobody reads can be given up, and is written to its end where somebody does") {
    Stuck buffer;
    std::ostream out{&buffer};
    gateway::Log log{out, gateway::Log::Format::text};
    log.message("text");
    CHECK_FALSE(log.close(1ms));
    buffer.go_on();
    CHECK(log.close(20s));
    CHECK(buffer.str() == "text\n");
}
