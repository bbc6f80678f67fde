// A reload changes what the file changed, and nothing else.
#include <fairlead/control/reload.hpp>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/control/load_settings.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

namespace {

/// Settings of backends "b0", "b1", ..., a balancer made from them, and its next settings.
struct Running {
    explicit Running(std::size_t n) {
        before.mode = Mode::multi_backend;
        before.backends = fleet(n);
        before.options.seed = 1;
        after = before;
        balancer = std::make_unique<Balancer<AnyStrategy>>(before);
        balancer->on_event([this](const Event& event) { events.push_back(event); });
    }

    ReloadReport go() {
        auto report = reload(*balancer, before, after);
        if (report.applied) before = after;
        return report;
    }

    Settings before;
    Settings after;
    std::vector<Event> events;
    std::unique_ptr<Balancer<AnyStrategy>> balancer;
};

}  // namespace

TEST_CASE("the same settings again change nothing, also where the run time says otherwise") {
    Running running{3};
    REQUIRE_FALSE(running.balancer->disable("b0"));
    REQUIRE_FALSE(running.balancer->update("b1", [](BackendConfig& config) { config.weight = 9; }));
    REQUIRE_FALSE(running.balancer->remove("b2"));
    REQUIRE_FALSE(running.balancer->add({.name = "api", .url = "http://h"}));
    running.balancer->set_strategy(Random{});
    running.balancer->set_max_retries(7);
    CHECK(running.go() == ReloadReport{});
    CHECK(figures(*running.balancer, "b0").state == BackendState::disabled);
    CHECK(figures(*running.balancer, "b1").config.weight == 9);
    CHECK(running.balancer->snapshot().size() == 3);  // b0, b1 and the API's
    CHECK(running.balancer->strategy_name() == "random");
    CHECK(running.balancer->max_retries() == 7);
}

TEST_CASE("what the file says otherwise is taken over, field by field, and counters and findings are kept") {
    Running running{2};
    for (int i = 0; i < 10; ++i) one(*running.balancer);
    REQUIRE_FALSE(running.balancer->update("b0", [](BackendConfig& config) { config.weight = 9; }));
    REQUIRE_FALSE(running.balancer->disable("b0"));
    running.after.backends[0].max_connections = 7;
    running.after.backends[1].weight = 3;
    const auto report = running.go();
    CHECK(report.changed == std::vector<std::string>{"b0", "b1"});
    const auto b0 = figures(*running.balancer, "b0");
    CHECK(b0.config.max_connections == 7);
    CHECK(b0.config.weight == 9);  // the run time's: the file's own did not change
    CHECK(b0.state == BackendState::disabled);
    CHECK(b0.completed == 5);
    CHECK(figures(*running.balancer, "b1").config.weight == 3);
    // And when the file's own weight does change, it counts.
    running.after.backends[0].weight = 2;
    running.go();
    CHECK(figures(*running.balancer, "b0").config.weight == 2);
}

TEST_CASE("a backend that cannot be changed is told, and the others are") {
    Running running{2};
    REQUIRE_FALSE(running.balancer->disable("b1"));
    std::vector<Lease> leases;
    std::error_code error;
    while (!error) {  // each keeps the config that it was given
        leases.push_back(running.balancer->select());
        REQUIRE(leases.back());
        error = running.balancer->update("b0", [](BackendConfig& config) {
            config.max_connections = 2000;
            config.tags = {std::to_string(config.tags.empty() ? 1 : std::stoi(config.tags[0]) + 1)};
        });
    }
    REQUIRE(error == Errc::too_many_changes);
    for (auto& backend : running.after.backends) backend.weight = 3;
    const auto report = running.go();
    CHECK(report.refused == std::vector<ReloadReport::Refused>{{"b0", Errc::too_many_changes}});
    CHECK(report.changed == std::vector<std::string>{"b1"});
    CHECK(figures(*running.balancer, "b0").config.weight == 1);
}

TEST_CASE("a backend gone from the file drains and goes; one that the file brings comes; the API's stays") {
    Running running{2};
    REQUIRE_FALSE(running.balancer->add({.name = "api", .url = "http://h", .weight = 2}));
    REQUIRE_FALSE(running.balancer->disable("b0"));
    REQUIRE_FALSE(running.balancer->disable("api"));
    Lease lease = running.balancer->select();
    REQUIRE(lease->name == "b1");
    running.after.backends.erase(running.after.backends.begin() + 1);
    running.after.backends.push_back({.name = "new", .url = "http://n"});
    const auto report = running.go();
    CHECK(report.draining == std::vector<std::string>{"b1"});
    CHECK(report.added == std::vector<std::string>{"new"});
    CHECK(figures(*running.balancer, "b1").state == BackendState::draining);
    CHECK(one(*running.balancer) == "new");
    running.balancer->report(std::move(lease), Outcome::success);
    CHECK(running.balancer->snapshot().size() == 3);  // api, b0, new

    // One that the file brings while the API has it is as the file says, in service.
    running.after.backends.push_back({.name = "api", .url = "http://h", .weight = 5});
    CHECK(running.go().changed == std::vector<std::string>{"api"});
    CHECK(figures(*running.balancer, "api").config.weight == 5);
    CHECK(figures(*running.balancer, "api").state == BackendState::healthy);
}

TEST_CASE("a backend that comes back into the file while it drains serves again, and is not removed") {
    Running running{1};
    REQUIRE_FALSE(running.balancer->add({.name = "api", .url = "http://h"}));
    REQUIRE_FALSE(running.balancer->disable("api"));
    Lease lease = running.balancer->select();
    const auto backends = running.after.backends;
    running.after.backends.clear();
    running.go();
    running.after.backends = backends;
    running.go();
    running.balancer->report(std::move(lease), Outcome::success);
    CHECK(figures(*running.balancer, "b0").state == BackendState::healthy);
    CHECK(figures(*running.balancer, "b0").completed == 1);
}

TEST_CASE("all changes of the fleet are one snapshot: no request sees half of them") {
    Running running{2};
    // The old ones go as the new ones come: at every moment exactly two serve.
    running.after.backends = fleet(4);
    running.after.backends.erase(running.after.backends.begin(), running.after.backends.begin() + 2);
    running.balancer->on_event([&](const Event&) {
        int serving = 0;
        for (const auto& each : running.balancer->snapshot()) serving += each.in_service ? 1 : 0;
        CHECK(serving == 2);
    });
    running.go();
}

TEST_CASE("settings that can change while it runs do; the host's, and those for a restart, are named") {
    Running running{1};
    running.after.strategy = "least_connections";
    running.after.options.max_retries = 5;
    running.after.options.failure_threshold = 9;
    running.after.options.health_check_interval = 7s;
    running.after.options.queue_limit = 3;
    running.after.options.timing = false;
    running.after.options.seed = 2;
    running.after.admin_key = "secret";
    running.after.model_aliases = {{"gpt", "m"}};
    const auto report = running.go();
    CHECK(report.applied);
    CHECK(report.settings == std::vector<std::string>{"load_balance_strategy", "max_retries",
                                                      "failure_threshold", "health_check_interval",
                                                      "queue_limit"});
    CHECK(report.of_host == std::vector<std::string>{"admin_key", "model_aliases"});
    CHECK(report.at_next_start == std::vector<std::string>{"timing", "seed"});
    CHECK(running.balancer->strategy_name() == "least_connections");
    CHECK(running.balancer->max_retries() == 5);
    CHECK(running.balancer->failure_threshold() == 9);
    CHECK(running.balancer->options().health_check_interval == Duration{7s});
    CHECK(running.balancer->options().queue_limit == 3);
    CHECK(running.balancer->options().timing);
    CHECK(running.balancer->options().seed == 1U);
}

TEST_CASE("every option that is a setting is taken over or named, and none is forgotten") {
    Options other;
    other.retry_on.timeout = false;
    other.ejection = false;
    other.probe_ends_ejection = true;
    other.health_check = false;
    other.health_check_path = "/alive";
    other.health_check_contains = "ok";
    other.timing = false;
    other.latency_to = LatencyTo::last_byte;
    other.load_monitor = true;
    other.load_path = "/load";
    other.load_headers = true;
    other.prefix_learned_speed = true;
    other.seed = 7;
    detail::visit_ranges(other, [](std::string_view, auto& field, const auto&) {
        using Field = std::remove_reference_t<decltype(field)>;
        if constexpr (std::is_same_v<Field, Duration>) {
            field = field == Duration::max() ? Duration{9s} : field + Duration{1s};
        } else if constexpr (std::is_same_v<Field, double>) {
            field = field == 0.5 ? 0.25 : 0.5;
        } else {
            field = field == 0 ? 200 : field / 2 + 1;
        }
    });
    Running running{1};
    running.after.options = other;
    // The odd ones: each with a range of its own.
    running.after.options.hash_bounded_load = 1.25;
    running.after.options.overprovisioning = 1.5;
    running.after.options.gateways = 2;
    running.after.options.failure_threshold = 4;
    running.after.options.max_retries = 3;
    running.after.options.success_threshold = 3;
    REQUIRE(validate(running.after.options).empty());
    const auto report = running.go();
    REQUIRE(report.applied);
    const auto names = setting_list();
    const auto options =
        static_cast<std::size_t>(names.end() - std::find_if(names.begin(), names.end(), [](const auto& info) {
                                     return info.json_name == "retry_on";
                                 }));
    // All of the list from `retry_on` on, and the guide's three before it.
    CHECK(report.settings.size() + report.at_next_start.size() == options + 3);
    CHECK(report.at_next_start == std::vector<std::string>{"prefix_memory", "timing", "seed"});
    Options expected = running.after.options;
    expected.prefix_memory = Options{}.prefix_memory;
    expected.timing = Options{}.timing;
    expected.seed = 1;
    CHECK(running.balancer->options() == expected);
}

TEST_CASE("a setting changed at run time stands until the file's own value for it changes, one by one") {
    Running running{1};
    running.balancer->set_max_retries(7);
    REQUIRE_FALSE(running.balancer->set_failure_threshold(8));
    REQUIRE_FALSE(running.balancer->update_options([](Options& o) { o.queue_limit = 55; }));
    running.after.options.failure_threshold = 4;
    running.after.options.panic_threshold = 0.5;
    CHECK(running.go().settings == std::vector<std::string>{"failure_threshold", "panic_threshold"});
    CHECK(running.balancer->max_retries() == 7);
    CHECK(running.balancer->failure_threshold() == 4);
    CHECK(running.balancer->options().queue_limit == 55);
    running.after.options.max_retries = 1;
    running.after.options.queue_limit = 9;
    running.go();
    CHECK(running.balancer->max_retries() == 1);
    CHECK(running.balancer->options().queue_limit == 9);
}

TEST_CASE("settings that nobody checked and that are wrong change nothing at all") {
    const auto is_refused = [](std::error_code why, const auto& spoil) {
        Running running{2};
        const Options options = running.balancer->options();
        running.after.backends[0].weight = 9;
        running.after.backends.push_back({.name = "new", .url = "http://n"});
        running.after.options.queue_limit = 3;
        running.after.strategy = "random";
        spoil(running.after);
        const auto report = running.go();
        CHECK_FALSE(report.applied);
        CHECK(report.error == why);
        CHECK(running.balancer->options() == options);
        CHECK(running.balancer->snapshot().size() == 2);
        CHECK(figures(*running.balancer, "b0").config.weight == 1);
        CHECK(running.balancer->strategy_name() == "round_robin");
        CHECK(running.events.empty());
    };
    is_refused(Errc::bad_option, [](Settings& after) { after.options.failure_ratio = 2; });
    is_refused(Errc::bad_weight, [](Settings& after) { after.backends[2].weight = 0; });
    is_refused(Errc::duplicate_name, [](Settings& after) { after.backends[2].name = "b1"; });
    is_refused(Errc::unknown_strategy, [](Settings& after) { after.strategy = "best"; });
}

TEST_CASE("between one backend and several the mode follows") {
    Running running{2};
    running.after.backends.resize(1);
    running.after.mode = Mode::single_backend_balanced;
    CHECK(running.go().applied);
    CHECK(running.balancer->mode() == Mode::single_backend_balanced);
}

TEST_CASE("a change to or from the single backend is for a restart, and changes nothing") {
    Running running{2};
    running.after.mode = Mode::single_backend;
    running.after.backends.resize(1);
    const auto report = running.go();
    CHECK_FALSE(report.applied);
    CHECK(running.balancer->snapshot().size() == 2);
    CHECK(count(running.events, Event::Kind::state_changed) == 0);
}

TEST_CASE("a backend that was wanted back before its drain was told is not removed") {
    Running running{2};
    Lease lease = running.balancer->select();
    const std::string name = lease->name;
    std::erase_if(running.after.backends, [&](const auto& backend) { return backend.name == name; });
    running.go();
    // The host hears of the drain's end before the reload's own callback does.
    running.balancer->on_event([&](const Event& event) {
        if (event.kind == Event::Kind::drained) static_cast<void>(running.balancer->enable(name));
    });
    running.balancer->report(std::move(lease), Outcome::success);
    CHECK(running.balancer->snapshot().size() == 2);
    CHECK(figures(*running.balancer, name).state == BackendState::healthy);
}
