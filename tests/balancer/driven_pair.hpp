// One balancer and its reference, driven together by whatever gives numbers: a random generator in the model
// check (state_model.cpp), the bytes of an input in the fuzz target (fuzz/balancer_fuzz.cpp).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/balancer/balancer.hpp>
#include <fairlead/strategies/any_strategy.hpp>

#include "balancer/belief_reference.hpp"
#include "balancer/choice_reference.hpp"
#include "balancer/state_reference.hpp"
#include "support/fleet.hpp"
#include "support/manual_clock.hpp"

namespace fairlead::test {

/// What a pair is made with.
struct PairPlan {
    Options options{};
    std::vector<StrategyKind> strategies{StrategyKind::random};  ///< the first, and those it may change to
    bool wide = false;  ///< tags, mirrors, keys, tokens and other thresholds, too
};

/// The options that every pair has: what the reference does not follow is off. Of the others `slow_start`,
/// `overprovisioning` and `hash_bounded_load` may be set, too.
inline Options pair_options() {
    Options o = without_chance();
    // Of its own test (tests/resilience): the reference would have to count in the same buckets.
    o.failure_ratio = 1;
    return o;
}

/// One balancer and its reference. `Chance` has `below(n)`: a number in [0, n). Every mistake is a thrown
/// sentence (std::logic_error): there are too many steps for a Catch assertion each.
template <class Chance>
class DrivenPair {
  public:
    DrivenPair(Chance chance, PairPlan plan) : rng_{std::move(chance)}, plan_{std::move(plan)} {
        const std::uint32_t n = 1 + rng_.below(6);
        std::vector<BackendConfig> configs;
        for (std::uint32_t i = 0; i < n; ++i) configs.push_back(config("b" + std::to_string(i)));
        for (const auto& each : configs) reference_.add(each, true);
        balancer_ = std::make_unique<Tested>(configs, plan_.options, NoTransport{},
                                             AnyStrategy{plan_.strategies.front()}, clock_);
        balancer_->on_event([this](const Event& event) { hear(event); });
        reference_.clock(clock_.now());
    }

    Chance& chance() { return rng_; }

    /// One thing happens, and all that is shown must be as the reference says.
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

    /// One of them, asked for by excluding all others: offered exactly when the reference says so.
    void offered() {
        auto* b = somebody();
        if (b == nullptr) return;
        const Wanted wanted = this->wanted();
        Lease lease = only(b->config.name, wanted);
        if (static_cast<bool>(lease) != reference_.may_serve(*b, wanted)) {
            throw std::logic_error{b->config.name + (lease ? " is offered" : " is not offered") + ", shown " +
                                   to_string(reference_.state(*b))};
        }
        if (!lease) return;
        if (lease->name != b->config.name) throw std::logic_error{"an excluded backend serves"};
        auto request = begun(b->config.name, wanted, {});
        lease = Lease{};
        ended(request, Outcome::cancelled);
    }

    /// Everybody is enabled, probes pass, nothing fails any more: all must be healthy again, by themselves.
    void recover() {
        while (!open_.empty()) end();
        if (plan_.wide) {
            set_failure_threshold(3);
            for (const auto& name : names()) {
                BackendConfig serving = reference_.find(name)->config;
                serving.mirror = false;
                update(serving);
            }
        }
        for (const auto& b : names()) {
            balancer_->enable(b);
            balancer_->probed(b, true);
            reference_.say(*reference_.find(b), ReferenceBackend::Word::serving);
            reference_.probed(*reference_.find(b), true);
        }
        clock_.advance(
            std::chrono::minutes{6});  // above the longest ejection, 5 min, and the longest rest, 1 min
        compare();
        for (std::uint32_t round = 0; round <= plan_.options.success_threshold; ++round) {
            for (const auto& name : names()) {
                Lease lease = only(name, {});
                if (!lease) throw std::logic_error{name + " is not offered again"};
                auto request = begun(name, {}, {});
                balancer_->report(std::move(lease), Outcome::success);
                ended(request, Outcome::success);
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
    using Tested = Balancer<AnyStrategy, NoTransport, ManualClock>;
    struct Open {
        Lease lease;
        ReferenceRequest request;
    };

    BackendConfig config(std::string name) {
        BackendConfig c;
        c.name = std::move(name);
        c.url = "http://h:" + std::to_string(1 + rng_.below(3));
        c.model_name = rng_.below(3) == 0 ? "x" : "";
        c.priority = rng_.below(4) == 0 ? 1 : 0;
        c.max_connections = 1 + rng_.below(4);
        c.weight = 1 + rng_.below(5);
        if (rng_.below(4) == 0) c.api_key = "k";
        if (plan_.wide) {
            const std::uint32_t more = rng_.below(16);
            if ((more & 3) == 1) c.tags = {"t", "u"};
            c.mirror = more == 15;
        }
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
    Wanted wanted() {
        const std::uint32_t what = rng_.below(plan_.wide ? 8 : 4);
        return {what % 4 == 0 ? "x" : "", what >= 6 ? "t" : ""};
    }
    StrategyKind strategy() const { return plan_.strategies[strategy_]; }

    /// `criteria` with what is wanted; `tag` must outlive it.
    static Criteria asking(const Wanted& wanted, std::string_view key = {}, std::uint64_t tokens = 0) {
        Criteria criteria{.key = key, .model = wanted.model, .tokens = tokens, .answer_tokens = tokens / 2};
        if (!wanted.tag.empty()) criteria.tags = {&wanted.tag, 1};
        return criteria;
    }

    ReferenceRequest begun(const std::string& name, const Wanted& wanted, const Criteria& criteria) {
        ++picks_[std::string{AnyStrategy{strategy()}.current_name()}];
        std::uint64_t tokens = criteria.tokens;
        if (strategy() == StrategyKind::prefix_affinity) {
            tokens = charged(name, criteria);
            beliefs_.noted(name, criteria.prefix);
        }
        return reference_.begin(name, wanted, tokens, criteria.answer_tokens);
    }

    /// What the request that just went there was accounted with: of its prompt, what is not cached.
    std::uint64_t charged(const std::string& name, const Criteria& criteria) {
        for (const auto& each : balancer_->snapshot()) {
            if (each.config.name != name) continue;
            const auto tokens = each.waiting_tokens - reference_.find(name)->waiting_tokens;
            if (tokens < beliefs_.least_uncached(name, criteria) || tokens > beliefs_.tokens_of(criteria))
                throw std::logic_error{name + ": accounted with " + std::to_string(tokens) + " tokens"};
            return tokens;
        }
        throw std::logic_error{name + " is not shown"};
    }

    void ended(ReferenceRequest& request, const Outcome& outcome) {
        ++outcomes_[outcome.kind];
        tokens_told_ += outcome.prompt_tokens + outcome.completion_tokens;
        // One that began before its backend was removed may leave a doubt with whoever has its place.
        if (outcome.kind == Outcome::connect_error || outcome.kind == Outcome::timeout ||
            outcome.kind == Outcome::server_error) {
            const auto* b = reference_.find(request.backend);
            b != nullptr && b->life == request.life ? beliefs_.doubted(request.backend)
                                                    : beliefs_.all_doubted();
        }
        reference_.end(request, outcome);
    }

    // --- what happens ------------------------------------------------------------------------------------

    void begin() {
        if (open_.size() >= 64) return end();
        const Wanted wanted = this->wanted();
        std::string key;
        std::uint64_t tokens = 0;
        if (plan_.wide) {
            const std::uint32_t more = rng_.below(64);
            if (more >= 8) key = "key " + std::to_string(more % 16);
            tokens = more < 32 ? more * 100 : 0;
        }
        if (std::exchange(changes_, reference_.changes()) != changes_) choices_.forget();
        Criteria criteria = asking(wanted, key, tokens);
        const bool affine = strategy() == StrategyKind::prefix_affinity;
        std::vector<std::uint64_t> prefix;
        std::vector<Explained> terms;
        if (affine) {
            prefix = this->prefix();
            criteria.prefix = prefix;
            terms = balancer_->explain(criteria);
        }
        ChoiceReference::Slowness slowness;
        if (strategy() == StrategyKind::response_time) {
            for (const auto& each : balancer_->snapshot()) slowness[each.config.name] = each.slowness;
        }
        Lease lease = balancer_->select(criteria);
        if (!lease) {
            choices_.forget(wanted);
            if (reference_.somebody_may_serve(wanted))
                throw std::logic_error{"refused, though one may serve: " + lease.error().message()};
            return;
        }
        const auto* b = reference_.find(lease->name);
        if (b == nullptr) throw std::logic_error{"a removed backend serves"};
        if (!b->serving()) throw std::logic_error{"a disabled backend serves"};
        if (!reference_.may_be_chosen(*b, wanted)) throw std::logic_error{lease->name + " must not serve"};
        const auto wrong = choices_.judge(strategy(), reference_, wanted, key, *b, slowness);
        if (!wrong.empty())
            throw std::logic_error{std::string{AnyStrategy{strategy()}.current_name()} + ": " + wrong};
        // In a panic somebody whose trial is under way may serve when nobody else is free.
        if (affine && !b->trial_under_way) {
            // Within a slow start chance decides.
            const bool any = ChoiceReference::somebody_warms(reference_, wanted, b->config.priority);
            const double share = any ? std::numeric_limits<double>::infinity() : near_;
            if (const auto wrong_terms = beliefs_.judge(terms, criteria, lease->name, share);
                !wrong_terms.empty()) {
                throw std::logic_error{"prefix_affinity: " + wrong_terms};
            }
        }
        auto request = begun(lease->name, wanted, criteria);
        open_.push_back({std::move(lease), std::move(request)});
    }

    /// The blocks of one of four conversations, of which two have a common beginning.
    std::vector<std::uint64_t> prefix() {
        const std::uint64_t talk = rng_.below(4);
        std::vector<std::uint64_t> blocks(rng_.below(40));
        for (std::size_t i = 0; i < blocks.size(); ++i)
            blocks[i] = (talk < 2 && i < 10 ? 0 : talk * 1000) + i + 1;  // poor hashes
        return blocks;
    }

    void head() {
        if (open_.empty()) return;
        auto& open = open_[rng_.below(static_cast<std::uint32_t>(open_.size()))];
        balancer_->first_byte(open.lease);
        reference_.head(open.request);
        if (!plan_.wide) return;
        const std::uint64_t tokens = rng_.below(200) * std::uint64_t{16};
        balancer_->came(open.lease, tokens);
        reference_.came(open.request, tokens);
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
                ended(open.request, Outcome::cancelled);
                return;  // dropped
            default:
                if (plan_.wide) outcome.completion_tokens = rng_.below(3);
                break;
        }
        balancer_->report(std::move(open.lease), outcome);
        ended(open.request, outcome);
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
        switch (rng_.below(plan_.wide ? 9 : 4)) {
            case 8:
                return told(b->config.name);
            case 7:
                if (const auto error = balancer_->restarted(b->config.name))
                    throw std::logic_error{error.message()};
                return beliefs_.gone(b->config.name);
            case 4:
                strategy_ = rng_.below(static_cast<std::uint32_t>(plan_.strategies.size()));
                balancer_->set_strategy(AnyStrategy{strategy()});
                return choices_.forget();
            case 5:
                return set_failure_threshold(1 + rng_.below(4));
            case 6:
                return several(*b);
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

    /// An engine tells its load, any figures of it. They count until they are old.
    void told(const std::string& name) {
        LoadReport report{.at = clock_.now()};
        const std::uint32_t what = rng_.below(128);
        if ((what & 1U) != 0) report.running = rng_.below(64);
        if ((what & 2U) != 0) report.waiting = rng_.below(64);
        if ((what & 4U) != 0) report.waiting_tokens = 100.0 * rng_.below(256);
        if ((what & 8U) != 0) report.cache_use = rng_.below(101) / 100.0;
        if ((what & 16U) != 0) report.cache_blocks = rng_.below(64);
        if ((what & 32U) != 0) report.block_tokens = rng_.below(64);
        if ((what & 64U) != 0) report.process_start = 1e9 + 0.75 * rng_.below(4);
        if (const auto error = balancer_->report_load(name, report)) throw std::logic_error{error.message()};
        // Within 5 % of the least then, all balancers of a fleet seeing the same; 2 % before.
        near_ = 0.05;
        if (report.process_start) beliefs_.started(name, *report.process_start);
        if (report.cache_blocks) beliefs_.doubted(name);  // room for fewer, perhaps
    }

    void set_failure_threshold(std::uint32_t failures) {
        if (const auto error = balancer_->set_failure_threshold(failures))
            throw std::logic_error{error.message()};
        reference_.set_failure_threshold(failures);
    }

    /// Two changes of one backend in one go, and one of nobody.
    void several(ReferenceBackend& b) {
        const std::string name = b.config.name;
        balancer_->change([&](FleetChange& fleet) {
            if (fleet.enable("nobody") != Errc::unknown_backend || fleet.disable(name) || fleet.drain(name))
                throw std::logic_error{"a change of several"};
        });
        reference_.say(b, ReferenceBackend::Word::disabled);
        reference_.say(b, ReferenceBackend::Word::draining);
    }

    void update(const BackendConfig& config) {
        const auto& before = reference_.find(config.name)->config;
        const bool another = before.url != config.url || before.api_key != config.api_key;
        if (const auto error = balancer_->update(config)) throw std::logic_error{error.message()};
        if (another) beliefs_.replaced(config.name);
        reference_.update(*reference_.find(config.name), config);
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
            beliefs_.removed(name);
            told_[name] = BackendState::healthy;
            for (auto& [key, n] : heard_) {
                if (key.first == name) past_[key.second] += std::exchange(n, 0);
            }
            return;
        }
        BackendConfig other = b->config;
        switch (rng_.below(plan_.wide ? 7 : 4)) {
            case 4:
                other.model_name = rng_.below(2) == 0 ? "x" : "";
                break;
            case 5:
                other.priority = static_cast<int>(rng_.below(3)) - 1;
                break;
            case 6:
                other.mirror = !other.mirror;
                break;
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
        update(other);
    }

    // --- what must hold ----------------------------------------------------------------------------------

    void hear(const Event& event) {
        ++heard_[{event.backend, event.kind}];
        if (event.kind == Event::Kind::state_changed) {
            auto& last = told_[event.backend];
            if (event.from != last || event.to == last) throw_later_ = "a change told twice, or not at all";
            last = event.to;
        }
        if (event.kind == Event::Kind::ejected) {
            // At that moment the reference has not been told yet, so it still says whether one more may go;
            // one on trial is out already, whatever ends its trial.
            const auto* b = reference_.find(event.backend);
            if (b != nullptr && b->trial == ReferenceBackend::Trial::in_service &&
                reference_.too_many_out(*b))
                throw_later_ = "more than max_ejected are out";
        }
    }

    /// A place on exactly this backend, if it can give one.
    Lease only(const std::string& name, const Wanted& wanted) {
        std::vector<std::string_view> others;
        for (const auto& each : reference_.backends()) {
            if (each.config.name != name) others.push_back(each.config.name);
        }
        choices_.forget(wanted);
        Criteria criteria = asking(wanted);
        criteria.exclude = others;
        return balancer_->select(criteria);
    }

    void compare() {
        reference_.clock(clock_.now());
        // A pick that can take nothing does what has fallen due.
        const std::string_view nobody = "no such tag";
        if (balancer_->select({.tags = {&nobody, 1}})) throw std::logic_error{"an unknown tag is served"};
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
            if (each.tokens_in_flight != b->waiting_tokens + b->answer_tokens ||
                each.waiting_tokens != b->waiting_tokens || each.decoding != b->decoding) {
                throw std::logic_error{name + ": tokens differ"};
            }
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
        compare_totals();
    }

    void compare_totals() const {
        const Totals totals = balancer_->totals();
        if (totals.outcomes != outcomes_) throw std::logic_error{"the outcomes in all differ"};
        if (totals.completion_tokens != tokens_told_) throw std::logic_error{"the tokens in all differ"};
        for (const auto& [name, picks] : totals.picks) {
            const auto it = picks_.find(name);
            if (picks != (it == picks_.end() ? 0 : it->second))
                throw std::logic_error{name + " chose another number of times"};
        }
    }

    Chance rng_;
    const PairPlan plan_;
    std::size_t strategy_ = 0;
    ManualClock clock_;
    StateReference reference_{plan_.options};
    ChoiceReference choices_;
    BeliefReference beliefs_{std::min<std::size_t>(plan_.options.prefix_cache_blocks, 4000),
                             block_tokens_of(plan_.options)};
    double near_ = 0.02;         // how much more than the least a choice of prefix_affinity may cost
    std::uint64_t changes_ = 0;  // when choices were last followed
    std::unique_ptr<Tested> balancer_;
    std::vector<Open> open_;
    std::map<std::pair<std::string, Event::Kind>, std::uint64_t> heard_;
    std::map<Event::Kind, std::uint64_t> past_;
    std::map<std::string, BackendState> told_;
    std::array<std::uint64_t, 7> outcomes_{};
    std::uint64_t tokens_told_ = 0;
    std::map<std::string, std::uint64_t, std::less<>> picks_;
    std::string throw_later_;
};

}  // namespace fairlead::test
