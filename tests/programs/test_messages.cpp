// What the gateway says to its operator, in both languages.
#include <sstream>
#include <streambuf>
#include <string>
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

}  // namespace

TEST_CASE("a reload is told in the operator's language, names as they are") {
    fairlead::ReloadReport report;
    report.added = {"a", "b"};
    report.draining = {"c"};
    report.settings = {"max_retries"};
    report.at_next_start = {"queue_limit"};
    const fairlead::Settings settings;
    CHECK(gateway::reloaded(report, settings, settings, Language::english) ==
          std::vector<std::string>{"settings reloaded: added a, b; draining c; in force max_retries",
                                   "at the next start: queue_limit"});
    CHECK(gateway::reloaded(report, settings, settings, Language::chinese) ==
          std::vector<std::string>{"配置已重新加载：新增 a, b; 排空 c; 生效 max_retries",
                                   "下次启动时生效： queue_limit"});
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
    gateway::Log log{out, gateway::Log::Format::text};
    log.message("lost");
    log.message("kept");
    CHECK(buffer.str() == "kept\n");
}
