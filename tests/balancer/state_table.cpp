// The table of docs/backend-states.md, read from there and tried cell by cell: what the document says is what
// the library does.
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fstream>
#include <functional>
#include <map>
#include <memory>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// The cells of one line of a Markdown table.
std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells;
    std::size_t from = line.find('|');
    for (std::size_t to = 0; (to = line.find('|', from + 1)) != std::string::npos; from = to) {
        const auto first = line.find_first_not_of(' ', from + 1);
        const auto last = line.find_last_not_of(' ', to - 1);
        cells.push_back(line.substr(first, last + 1 - first));
    }
    return cells;
}

/// The table whose first column is called "event": heading, then rows.
std::vector<std::vector<std::string>> documented() {
    std::ifstream file{FAIRLEAD_TEST_DATA "/../docs/backend-states.md"};
    std::vector<std::vector<std::string>> table;
    for (std::string line; std::getline(file, line);) {
        if (table.empty() ? !line.starts_with("| event ") : !line.starts_with("|")) {
            if (!table.empty()) break;
            continue;
        }
        if (!line.starts_with("|---")) table.push_back(cells_of(line));
    }
    return table;
}

/// `subject` beside another backend that is well, and requests that were begun on it.
class World {
  public:
    World() {
        balancer_.on_event([this](const Event& event) { events_.push_back(event); });
    }

    Lease lease() {
        const std::string_view other[] = {"other"};
        return balancer_.select({.exclude = other});
    }

    /// Ends `n` requests, each begun in the present state where it gives them out, else before it.
    void requests(int n, const Outcome& outcome) {
        for (int i = 0; i < n; ++i) balancer_.report(request(), outcome);
    }
    void answers(int n) {
        std::vector<Lease> begun;
        for (int i = 0; i < n; ++i) {
            begun.push_back(request());
            balancer_.first_byte(begun.back());
        }
    }
    void pass(Duration time) {
        clock_.advance(time);
        static_cast<void>(lease());
    }
    void update(const std::function<void(BackendConfig&)>& edit) {
        REQUIRE_FALSE(balancer_.update("subject", edit));
    }

    void bring_to(const std::string& state) {
        for (auto& each : held_) each = lease();
        if (state == "resting") requests_now(1, Outcome::rate_limited);
        if (state == "half open" || state == "ejected" || state == "both") {
            requests_now(3, Outcome::connect_error);
        }
        if (state == "half open") pass(10s);
        if (state == "probe failed" || state == "both") balancer_.probed("subject", false);
        if (state == "draining") balancer_.drain("subject");
        if (state == "disabled") balancer_.disable("subject");
    }

    BackendState shown() const { return figures(balancer_, "subject").state; }
    bool is_gone() const { return balancer_.snapshot().size() == 1; }
    void end_all() {
        for (auto& each : held_) each = Lease{};
    }
    std::size_t drained() const { return count(events_, Event::Kind::drained); }

    Balancer<RoundRobin, NoTransport, ManualClock>& balancer() { return balancer_; }

  private:
    Lease request() {
        Lease now = lease();
        return now ? std::move(now) : std::move(held_.at(next_held_++));
    }
    void requests_now(int n, const Outcome& outcome) {
        for (int i = 0; i < n; ++i) balancer_.report(lease(), outcome);
    }

    static std::vector<BackendConfig> two() {
        auto two = fleet(2);
        two[0].name = "other";
        two[1].name = "subject";
        return two;
    }
    static Options options() {
        Options o;
        o.seed = 1;
        o.ejection_jitter = 0;
        return o;
    }

    ManualClock clock_;
    Balancer<RoundRobin, NoTransport, ManualClock> balancer_{two(), options(), {}, {}, clock_};
    std::vector<Event> events_;
    std::array<Lease, 3> held_;
    std::size_t next_held_ = 0;
};

const std::map<std::string, std::function<void(World&)>>& events() {
    static const std::map<std::string, std::function<void(World&)>> all{
        {"one request succeeds", [](World& w) { w.requests(1, Outcome::success); }},
        {"two requests succeed", [](World& w) { w.requests(2, Outcome::success); }},
        {"two answers begin", [](World& w) { w.answers(2); }},
        {"one request fails", [](World& w) { w.requests(1, Outcome::server_error); }},
        {"three requests in a row fail", [](World& w) { w.requests(3, Outcome::timeout); }},
        {"three fail, too many are out",
         [](World& w) {
             w.balancer().probed("other", false);
             w.requests(3, Outcome::connect_error);
         }},
        {"a 429", [](World& w) { w.requests(1, Outcome::rate_limited); }},
        {"a cancelled request", [](World& w) { w.requests(1, Outcome::cancelled); }},
        {"its time is up", [](World& w) { w.pass(10s); }},
        {"a probe passes", [](World& w) { w.balancer().probed("subject", true); }},
        {"a probe fails", [](World& w) { w.balancer().probed("subject", false); }},
        {"enable", [](World& w) { w.balancer().enable("subject"); }},
        {"disable", [](World& w) { w.balancer().disable("subject"); }},
        {"drain", [](World& w) { w.balancer().drain("subject"); }},
        {"the last request ends", [](World& w) { w.end_all(); }},
        {"another URL", [](World& w) { w.update([](BackendConfig& c) { c.url = "http://elsewhere"; }); }},
        {"another API key", [](World& w) { w.update([](BackendConfig& c) { c.api_key = "another"; }); }},
        {"another weight, limit or time-out",
         [](World& w) {
             w.update([](BackendConfig& c) {
                 c.weight = 7;
                 c.max_connections = 9;
                 c.timeout = 1s;
             });
         }},
        {"remove", [](World& w) { w.balancer().remove("subject"); }},
    };
    return all;
}

const std::map<std::string, BackendState>& shown_as() {
    static const std::map<std::string, BackendState> all{
        {"healthy", BackendState::healthy},        {"resting", BackendState::resting},
        {"half open", BackendState::half_open},    {"ejected", BackendState::unhealthy},
        {"probe failed", BackendState::unhealthy}, {"both", BackendState::unhealthy},
        {"draining", BackendState::draining},      {"disabled", BackendState::disabled},
    };
    return all;
}

/// Which of the three that are shown as unhealthy it is: what a passing probe and time alone would mend.
std::string which_unhealthy(World& probed, World& waited) {
    probed.balancer().probed("subject", true);
    waited.pass(5min);
    const bool ejected = probed.shown() == BackendState::unhealthy;
    const bool probe_failed = waited.shown() == BackendState::unhealthy;
    return ejected && probe_failed ? "both" : ejected ? "ejected" : "probe failed";
}

std::string after(const std::string& state, const std::string& event) {
    std::array<World, 2> worlds;  // the same twice, since to find out changes it
    for (auto& world : worlds) {
        world.bring_to(state);
        REQUIRE(world.shown() == shown_as().at(state));
        events().at(event)(world);
    }
    if (worlds[0].is_gone()) return "gone";
    const BackendState shown = worlds[0].shown();
    if (shown == BackendState::unhealthy) return which_unhealthy(worlds[0], worlds[1]);
    for (const auto& [name, as] : shown_as()) {
        if (as == shown) return name;
    }
    return "?";
}

TEST_CASE("every cell of the documented table of states and events is so") {
    const auto table = documented();
    REQUIRE(table.size() == events().size() + 1);            // every event that the test knows has its row
    REQUIRE(table.front().size() == shown_as().size() + 1);  // and every state its column
    for (std::size_t row = 1; row < table.size(); ++row) {
        REQUIRE(table[row].size() == table.front().size());
        for (std::size_t column = 1; column < table[row].size(); ++column) {
            const auto& state = table.front()[column];
            const auto& event = table[row].front();
            const auto& cell = table[row][column];
            INFO(state << ": " << event);
            CHECK(after(state, event) == (cell == "-" ? state : cell));
        }
    }
}

TEST_CASE("the last request's end is told of a draining backend alone, and once") {
    for (const auto& [state, as] : shown_as()) {
        World world;
        world.bring_to(state);
        world.end_all();
        INFO(state);
        CHECK(world.drained() == (as == BackendState::draining ? 1U : 0U));
    }
}

}  // namespace
