// The model check of a backend's states: random sequences of whatever can happen, compared after every step
// with the slow reference of state_reference.hpp.
#include "balancer/state_reference.hpp"
#include "support/catch.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

#include <fairlead/strategies/random.hpp>

#include <map>
#include <memory>

namespace {

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;

/// One balancer and its reference, driven together. Every mistake is a thrown sentence: the check has too
/// many steps for a Catch assertion each.
class Pair {
  public:
    Pair(std::uint64_t seed, double panic_threshold)
        : rng_{Rng::mix(seed)}, options_{options(panic_threshold)} {
        const std::uint32_t n = 1 + rng_.below(6);
        std::vector<BackendConfig> configs;
        for (std::uint32_t i = 0; i < n; ++i) configs.push_back(config("b" + std::to_string(i)));
        for (const auto& each : configs) reference_.add(each);
        balancer_ = std::make_unique<Tested>(configs, options_, NoTransport{}, Random{}, clock_);
        balancer_->on_event([this](const Event& event) { hear(event); });
        reference_.clock(clock_.now());
    }

    void step() {
        switch (rng_.below(20)) {
            case 0:
                clock_.advance(std::chrono::milliseconds{rng_.below(3000)});
                break;
            case 1:
                clock_.advance(std::chrono::seconds{rng_.below(rng_.below(8) == 0 ? 400 : 25)});
                break;
            case 2:
                probe();
                break;
            case 3:
                operate();
                break;
            case 4:
                change();
                break;
            case 5:
            case 6:
                head();
                break;
            case 7:
            case 8:
            case 9:
            case 10:
            case 11:
            case 12:
                begin();
                break;
            default:
                end();
        }
        compare();
    }

    /// Everybody is enabled, probes pass, nothing fails any more: all must be healthy again, by themselves.
    void recover() {
        while (!open_.empty()) end();
        for (const auto& b : names()) {
            balancer_->enable(b);
            balancer_->probed(b, true);
            reference_.say(*reference_.find(b), ReferenceBackend::Word::serving);
            reference_.probed(*reference_.find(b), true);
        }
        clock_.advance(6min);  // above the longest ejection, 5 min, and the longest rest, 1 min
        compare();
        for (int round = 0; round < 3; ++round) {
            for (const auto& name : names()) {
                Lease lease = only(name, {});
                if (!lease) throw std::logic_error{name + " is not offered again"};
                auto request = reference_.begin(name, {});
                balancer_->report(std::move(lease), Outcome::success);
                reference_.end(request, Outcome::success);
            }
        }
        compare();
        for (const auto& each : balancer_->snapshot()) {
            if (each.state != BackendState::healthy)
                throw std::logic_error{each.config.name + " is not back"};
            if (each.in_flight != 0) throw std::logic_error{each.config.name + " has something in flight"};
        }
    }

    std::uint64_t count(Event::Kind kind) const {
        std::uint64_t sum = 0;
        for (const auto& [key, n] : heard_) sum += key.second == kind ? n : 0;
        return sum;
    }

  private:
    using Tested = Balancer<Random, NoTransport, ManualClock>;
    struct Open {
        Lease lease;
        ReferenceRequest request;
    };

    static Options options(double panic_threshold) {
        Options o;
        o.seed = 1;
        o.ejection_jitter = 0;
        // Of its own test (tests/resilience): the reference would have to count in the same buckets.
        o.failure_ratio = 1;
        o.panic_threshold = panic_threshold;
        return o;
    }

    BackendConfig config(std::string name) {
        BackendConfig c;
        c.name = std::move(name);
        c.url = "http://h:" + std::to_string(1 + rng_.below(3));
        c.model_name = rng_.below(3) == 0 ? "x" : "";
        c.priority = rng_.below(4) == 0 ? 1 : 0;
        c.max_connections = 1 + rng_.below(4);
        c.weight = 1 + rng_.below(5);
        if (rng_.below(4) == 0) c.api_key = "k";
        return c;
    }

    std::vector<std::string> names() {
        std::vector<std::string> all;
        for (const auto& each : reference_.backends()) all.push_back(each.config.name);
        return all;
    }
    ReferenceBackend* somebody() {
        auto& all = reference_.backends();
        if (all.empty()) return nullptr;
        return &all[rng_.below(static_cast<std::uint32_t>(all.size()))];
    }
    std::string_view model() { return rng_.below(4) == 0 ? "x" : ""; }

    // --- what happens ------------------------------------------------------------------------------------

    void begin() {
        const auto wanted = model();
        Lease lease = balancer_->select({.model = wanted});
        if (!lease) {
            if (reference_.somebody_may_serve(wanted))
                throw std::logic_error{"refused, though one may serve"};
            return;
        }
        const auto* b = reference_.find(lease->name);
        if (b == nullptr) throw std::logic_error{"a removed backend serves"};
        if (b->word != ReferenceBackend::Word::serving) throw std::logic_error{"a disabled backend serves"};
        if (!reference_.may_be_chosen(*b, wanted)) throw std::logic_error{lease->name + " must not serve"};
        auto request = reference_.begin(lease->name, wanted);
        open_.push_back({std::move(lease), std::move(request)});
    }

    void head() {
        if (open_.empty()) return;
        auto& open = open_[rng_.below(static_cast<std::uint32_t>(open_.size()))];
        balancer_->first_byte(open.lease);
        reference_.head(open.request);
    }

    void end() {
        if (open_.empty()) return;
        const auto at = rng_.below(static_cast<std::uint32_t>(open_.size()));
        std::swap(open_[at], open_.back());
        Open open = std::move(open_.back());
        open_.pop_back();
        Outcome outcome = Outcome::success;
        switch (rng_.below(12)) {
            case 0:
            case 1:
                outcome = Outcome::connect_error;
                break;
            case 2:
                outcome = Outcome::timeout;
                break;
            case 3:
            case 4:
                outcome = Outcome::from_status(500);
                break;
            case 5:
                outcome = Outcome::from_status(503);
                if (rng_.below(2) == 0) outcome.retry_after = std::chrono::seconds{rng_.below(100)};
                break;
            case 6:
                outcome = Outcome::from_status(rng_.below(2) == 0 ? 401 : 404);
                break;
            case 7:
                outcome = Outcome::from_status(429);
                if (rng_.below(2) == 0) outcome.retry_after = std::chrono::seconds{rng_.below(20)};
                break;
            case 8:
                reference_.end(open.request, Outcome::cancelled);
                return;  // dropped
            default:
                break;
        }
        balancer_->report(std::move(open.lease), outcome);
        reference_.end(open.request, outcome);
    }

    void probe() {
        if (auto* b = somebody()) {
            const bool ok = rng_.below(3) != 0;
            balancer_->probed(b->config.name, ok);
            reference_.probed(*b, ok);
        }
    }

    void operate() {
        auto* b = somebody();
        if (b == nullptr) return;
        switch (rng_.below(4)) {
            case 0:
                balancer_->disable(b->config.name);
                return reference_.say(*b, ReferenceBackend::Word::disabled);
            case 1:
                balancer_->drain(b->config.name);
                return reference_.say(*b, ReferenceBackend::Word::draining);
            default:
                balancer_->enable(b->config.name);
                return reference_.say(*b, ReferenceBackend::Word::serving);
        }
    }

    void change() {
        auto* b = somebody();
        if (b == nullptr || rng_.below(4) == 0) {
            if (reference_.backends().size() >= 8) return;
            // Names come again: the one added later is another one.
            const std::string name = "b" + std::to_string(rng_.below(9));
            const auto added = config(name);
            const bool known = reference_.find(name) != nullptr;
            const auto error = balancer_->add(added);
            if (known != (error == Errc::duplicate_name)) throw std::logic_error{"add: " + error.message()};
            if (!known) reference_.add(added);
            return;
        }
        const std::string name = b->config.name;
        if (rng_.below(4) == 0) {
            balancer_->remove(name);
            reference_.remove(name);
            told_[name] = BackendState::healthy;
            for (auto& [key, n] : heard_) {
                if (key.first == name) past_[key.second] += std::exchange(n, 0);
            }
            return;
        }
        BackendConfig other = b->config;
        switch (rng_.below(4)) {
            case 0:
                other.url = "http://h:" + std::to_string(1 + rng_.below(3));
                break;
            case 1:
                other.weight = 1 + rng_.below(9);
                break;
            case 2:
                other.max_connections = 1 + rng_.below(4);
                break;
            default:
                other.api_key = rng_.below(2) == 0 ? "" : "k";
        }
        if (const auto error = balancer_->update(other)) throw std::logic_error{error.message()};
        reference_.update(*b, other);
    }

    // --- what must hold ----------------------------------------------------------------------------------

    void hear(const Event& event) {
        ++heard_[{event.backend, event.kind}];
        if (event.kind == Event::Kind::state_changed) {
            auto& last = told_[event.backend];
            if (event.from != last || event.to == last) throw_later_ = "a change told twice, or not at all";
            last = event.to;
        }
        if (event.kind == Event::Kind::ejected && event.reason != "failed trial") {
            // At that moment the reference has not been told yet, so it still says whether one more may go.
            if (const auto* b = reference_.find(event.backend); b != nullptr && reference_.too_many_out(*b)) {
                throw_later_ = "more than max_ejected are out";
            }
        }
    }

    /// A place on exactly this backend, if it can give one.
    Lease only(const std::string& name, std::string_view wanted) {
        std::vector<std::string_view> others;
        for (const auto& each : reference_.backends()) {
            if (each.config.name != name) others.push_back(each.config.name);
        }
        return balancer_->select({.model = wanted, .exclude = others});
    }

    void compare() {
        reference_.clock(clock_.now());
        static_cast<void>(only("nobody", {}));  // a pick that takes nothing does what has fallen due
        if (!throw_later_.empty()) throw std::logic_error{throw_later_};
        const auto shown = balancer_->snapshot();
        if (shown.size() != reference_.backends().size())
            throw std::logic_error{"another number of backends"};
        for (const auto& each : shown) {
            const auto& name = each.config.name;
            const auto* b = reference_.find(name);
            if (b == nullptr) throw std::logic_error{name + " is shown and is not there"};
            const auto wanted = reference_.state(*b);
            if (each.state != wanted) {
                throw std::logic_error{name + " is " + to_string(each.state) + ", should be " +
                                       to_string(wanted)};
            }
            if (told_[name] != wanted) throw std::logic_error{name + ": the event told another state"};
            if (each.in_flight != b->in_flight) throw std::logic_error{name + ": in flight differs"};
            if (each.completed != b->completed) throw std::logic_error{name + ": completed differs"};
            if (each.failed != b->failed) throw std::logic_error{name + ": failed differs"};
            if (each.consecutive_failures != b->failures_in_a_row) {
                throw std::logic_error{name + ": failures in a row differ"};
            }
            if (heard_[{name, Event::Kind::drained}] != b->drained) {
                throw std::logic_error{name + ": drained told another number of times"};
            }
            if (heard_[{name, Event::Kind::ejected}] != b->ejections) {
                throw std::logic_error{name + ": ejected told another number of times"};
            }
            if (heard_[{name, Event::Kind::ejection_refused}] != b->refusals) {
                throw std::logic_error{name + ": a refused ejection told another number of times"};
            }
        }
        offered();
    }

    /// One of them, asked for by excluding all others: offered exactly when the reference says so.
    void offered() {
        auto* b = somebody();
        if (b == nullptr) return;
        const auto wanted = model();
        Lease lease = only(b->config.name, wanted);
        if (static_cast<bool>(lease) != reference_.may_serve(*b, wanted)) {
            throw std::logic_error{b->config.name + (lease ? " is offered" : " is not offered") + ", shown " +
                                   to_string(reference_.state(*b))};
        }
        if (!lease) return;
        if (lease->name != b->config.name) throw std::logic_error{"an excluded backend serves"};
        auto request = reference_.begin(b->config.name, wanted);
        lease = Lease{};
        reference_.end(request, Outcome::cancelled);
    }

    Rng rng_;
    const Options options_;
    ManualClock clock_;
    StateReference reference_{options_};
    std::unique_ptr<Tested> balancer_;
    std::vector<Open> open_;
    std::map<std::pair<std::string, Event::Kind>, std::uint64_t> heard_;
    std::map<Event::Kind, std::uint64_t> past_;
    std::map<std::string, BackendState> told_;
    std::string throw_later_;
};

void check(std::uint64_t first_seed, double panic_threshold) {
    constexpr int runs = 200;
    constexpr int steps = 300;
    std::map<Event::Kind, std::uint64_t> seen;
    for (int run = 0; run < runs; ++run) {
        const std::uint64_t seed = first_seed + static_cast<std::uint64_t>(run);
        Pair pair{seed, panic_threshold};
        int at = 0;
        try {
            for (; at < steps; ++at) pair.step();
            pair.recover();
        } catch (const std::logic_error& mistake) {
            FAIL("seed " << seed << ", step " << at << ": " << mistake.what());
        }
        for (const auto kind : {Event::Kind::ejected, Event::Kind::ejection_refused, Event::Kind::drained,
                                Event::Kind::panic_entered, Event::Kind::panic_left}) {
            seen[kind] += pair.count(kind);
        }
    }
    // The sequences go where it is interesting: of each kind, one in every run at least, on average.
    for (const auto& [kind, n] : seen) {
        INFO(to_string(kind));
        CHECK(n >= runs / 2);
    }
}

TEST_CASE("60,000 random steps: every backend's state is the reference's, and so is who may serve") {
    check(1000, 0.0);
}

TEST_CASE("60,000 more with a panic threshold of one half") { check(5000, 0.5); }

}  // namespace
