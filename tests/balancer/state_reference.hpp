// A backend's state by the book: slow, plain, and written from docs/backend-states.md, not from the library.
//
// The model check compares the library with it step by step. It knows no atomics, no snapshots, no epochs as
// bits; it keeps every backend as a record and looks at all of them whenever it is asked anything.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/balancer/figures.hpp>
#include <fairlead/model/options.hpp>

namespace fairlead::test {

/// One backend as the reference sees it.
struct ReferenceBackend {
    enum class Word { serving, draining, disabled };
    enum class Trial { in_service, ejected, half_open };

    BackendConfig config{};
    Word word = Word::serving;
    bool probe_ok = true;
    Trial trial = Trial::in_service;
    std::uint32_t times = 0;        // ejections in a row
    std::uint32_t trials_good = 0;  // since it is half open
    Time out_until{};
    Time in_since{};
    Time rest_until{};
    std::optional<Time> returned{};  // when it last came into service; none: it is one of the first
    std::uint32_t failures_in_a_row = 0;
    std::uint32_t in_flight = 0;
    std::uint32_t decoding = 0;        // past their first byte
    std::uint64_t waiting_tokens = 0;  // of prompts without a first byte
    std::uint64_t answer_tokens = 0;   // of begun answers
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    std::uint64_t changes = 0;  // of state: outcomes of requests from before do not decide
    std::uint64_t life = 0;     // another one for the same name added again
    bool trial_under_way = false;
    bool refused = false;
    std::uint64_t ejections = 0;
    std::uint64_t refusals = 0;
    std::uint64_t drained = 0;
    bool drain_told = false;

    bool findings_ok() const { return probe_ok && trial != Trial::ejected; }
    bool serving() const { return word == Word::serving && !config.mirror; }
};

/// What a request asks for; empty: nothing in particular.
struct Wanted {
    std::string_view model{};
    std::string_view tag{};
};

/// A request that the reference knows to be under way.
struct ReferenceRequest {
    std::string backend;
    std::uint64_t life = 0;
    std::uint64_t changes = 0;
    bool half_open = false;
    bool trial = false;
    bool own_key = false;
    std::uint64_t tokens = 0;  // of the prompt; once begun, of the answer
    std::uint64_t expected = 0;
    bool begun = false;
};

class StateReference {
  public:
    explicit StateReference(const Options& options)
        : options_{options}, failure_threshold_{options.failure_threshold} {}

    void set_failure_threshold(std::uint32_t failures) { failure_threshold_ = failures; }

    /// How often anything of the picture changed: membership, config, the operator's word, findings.
    std::uint64_t changes() const { return changes_; }

    const Options& options() const { return options_; }

    std::vector<ReferenceBackend>& backends() { return backends_; }
    ReferenceBackend* find(std::string_view name) {
        for (auto& each : backends_) {
            if (each.config.name == name) return &each;
        }
        return nullptr;
    }

    /// `first`: one of the set that the balancer was made with.
    void add(BackendConfig config, bool first = false) {
        ReferenceBackend backend;
        backend.config = std::move(config);
        backend.life = ++lives_;
        if (!first) backend.returned = now_;
        backends_.push_back(std::move(backend));
        ++changes_;
    }
    void remove(std::string_view name) {
        std::erase_if(backends_, [&](const auto& each) { return each.config.name == name; });
        ++changes_;
    }

    BackendState state(const ReferenceBackend& b) const {
        if (b.word == ReferenceBackend::Word::disabled) return BackendState::disabled;
        if (b.word == ReferenceBackend::Word::draining) return BackendState::draining;
        if (!b.findings_ok()) return BackendState::unhealthy;
        if (b.trial == ReferenceBackend::Trial::half_open) return BackendState::half_open;
        return b.rest_until > now_ ? BackendState::resting : BackendState::healthy;
    }

    /// Whether `b` is one that a request may go to at all, be it full or resting at this moment.
    bool is_candidate(const ReferenceBackend& b, const Wanted& wanted) const {
        if (!matches(b, wanted) || !b.serving()) return false;
        return b.findings_ok() || panics(wanted, b.config.priority);
    }

    /// Whether a request may go to `b` at this moment.
    bool may_serve(const ReferenceBackend& b, const Wanted& wanted) const {
        if (!is_candidate(b, wanted)) return false;
        if (b.rest_until > now_ || b.in_flight >= limit(b, wanted)) return false;
        return panics(wanted, b.config.priority) || b.trial != ReferenceBackend::Trial::half_open ||
               !b.trial_under_way;
    }

    /// Whether `b` is within its slow start.
    bool warms(const ReferenceBackend& b) const {
        return b.returned && now_ < *b.returned + options_.slow_start;
    }

    /// Whether anybody of that priority is past it, healthy, and not on trial: else all serve as if they
    /// were.
    bool somebody_is_warm(const Wanted& wanted, int priority) const {
        return std::any_of(backends_.begin(), backends_.end(), [&](const auto& each) {
            return each.config.priority == priority && matches(each, wanted) && each.serving() &&
                   each.findings_ok() && each.trial != ReferenceBackend::Trial::half_open && !warms(each);
        });
    }

    /// How many requests `b` may have at this moment.
    std::uint32_t limit(const ReferenceBackend& b, const Wanted& wanted) const {
        if (!warms(b) || !somebody_is_warm(wanted, b.config.priority)) return b.config.max_connections;
        const double done = static_cast<double>((now_ - *b.returned).count()) /
                            static_cast<double>(options_.slow_start.count());
        const double share = options_.slow_start_floor + (1.0 - options_.slow_start_floor) * done;
        return std::max(1U, static_cast<std::uint32_t>(b.config.max_connections * share));
    }

    /// Whether a request may go to `b` now although others can take it too: only the lowest priority number,
    /// and beyond it where with overprovisioning those before it are not whole.
    bool may_be_chosen(const ReferenceBackend& b, const Wanted& wanted) const {
        if (!may_serve(b, wanted)) return false;
        return std::none_of(backends_.begin(), backends_.end(), [&](const auto& other) {
            return other.config.priority < b.config.priority && may_serve(other, wanted) &&
                   takes_all(wanted, other.config.priority);
        });
    }
    bool somebody_may_serve(const Wanted& wanted) const {
        return std::any_of(backends_.begin(), backends_.end(),
                           [&](const auto& each) { return may_serve(each, wanted); });
    }

    static bool matches(const ReferenceBackend& b, const Wanted& wanted) {
        const auto& [model, tag] = wanted;
        if (!model.empty() && !b.config.model_name.empty() && b.config.model_name != model) return false;
        const auto& tags = b.config.tags;
        return tag.empty() || std::find(tags.begin(), tags.end(), tag) != tags.end();
    }

    // --- what happens ------------------------------------------------------------------------------------

    void clock(Time now) {
        now_ = now;
        for (auto& b : backends_) {
            if (b.trial != ReferenceBackend::Trial::ejected || now < b.out_until) continue;
            b.trial = ReferenceBackend::Trial::half_open;
            b.trials_good = 0;
            changed(b);
        }
    }

    ReferenceRequest begin(std::string_view name, const Wanted& wanted, std::uint64_t tokens = 0,
                           std::uint64_t expected = 0) {
        auto& b = *find(name);
        const bool half_open = b.trial == ReferenceBackend::Trial::half_open;
        ReferenceRequest request{
            b.config.name, b.life, b.changes, half_open, false, !b.config.api_key.empty(), tokens, expected};
        request.trial = half_open && !panics(wanted, b.config.priority);
        if (request.trial) b.trial_under_way = true;
        ++b.in_flight;
        b.waiting_tokens += tokens;
        return request;
    }

    /// The answer's head came.
    void head(ReferenceRequest& request) {
        auto* b = find(request.backend);
        if (b != nullptr && b->life == request.life && !std::exchange(request.begun, true)) {
            ++b->decoding;
            b->waiting_tokens -= request.tokens;
            b->answer_tokens += request.expected;
            request.tokens = request.expected;
        }
        if (b == nullptr || b->life != request.life || b->changes != request.changes) {
            request.half_open = false;
            return;
        }
        if (!std::exchange(request.half_open, false)) return;
        trial_went_well(*b);
        if (b->changes == request.changes && std::exchange(request.trial, false)) b->trial_under_way = false;
    }

    /// So many tokens of the answer have come.
    void came(ReferenceRequest& request, std::uint64_t tokens) {
        auto* b = find(request.backend);
        if (b == nullptr || b->life != request.life || !request.begun || tokens <= request.tokens) return;
        b->answer_tokens += tokens - request.tokens;
        request.tokens = tokens;
    }

    void end(ReferenceRequest& request, const Outcome& outcome) {
        auto* b = find(request.backend);
        if (b == nullptr || b->life != request.life) return;
        const bool current = b->changes == request.changes;
        const bool key = request.own_key && (outcome.status == 401 || outcome.status == 403);
        const bool pressed = outcome.kind == Outcome::rate_limited ||
                             (outcome.status == 503 && outcome.retry_after.has_value());
        const bool failure =
            !pressed && (outcome.kind == Outcome::connect_error || outcome.kind == Outcome::timeout ||
                         outcome.kind == Outcome::server_error || key);
        const bool good = outcome.kind == Outcome::success || (outcome.kind == Outcome::client_error && !key);
        if (failure) ++b->failed;
        if (current) {
            if (pressed) {
                const auto rest =
                    std::min(outcome.retry_after.value_or(options_.rest_default), options_.rest_max);
                b->rest_until = std::max(b->rest_until, now_ + rest);
            }
            if (request.half_open) {
                if (good) trial_went_well(*b);
                if (good && b->changes == request.changes) b->failures_in_a_row = 0;
                if (failure || pressed) eject(*b);
            } else if (failure) {
                if (++b->failures_in_a_row >= failure_threshold_) eject(*b);
            } else if (good) {
                b->failures_in_a_row = 0;
            }
        }
        if (request.trial && b->changes == request.changes) b->trial_under_way = false;
        --b->in_flight;
        (request.begun ? b->answer_tokens : b->waiting_tokens) -= request.tokens;
        if (request.begun) --b->decoding;
        ++b->completed;
        tell_drained(*b);
    }

    void probed(ReferenceBackend& b, bool ok) {
        const bool returns =
            ok && options_.probe_ends_ejection && b.trial == ReferenceBackend::Trial::ejected;
        if (b.probe_ok == ok && !returns) return;
        if (returns) {
            b.trial = ReferenceBackend::Trial::in_service;
            b.in_since = now_;
        }
        if (ok) b.returned = now_;
        b.probe_ok = ok;
        changed(b);
    }

    void say(ReferenceBackend& b, ReferenceBackend::Word word) {
        if (b.word == word) return;
        b.word = word;
        b.drain_told = false;
        if (word == ReferenceBackend::Word::serving) b.returned = now_;
        ++changes_;
        tell_drained(b);
    }

    void update(ReferenceBackend& b, const BackendConfig& config) {
        const bool another = b.config.url != config.url || b.config.api_key != config.api_key;
        b.config = config;
        ++changes_;
        if (!another) return;
        b.probe_ok = true;
        b.trial = ReferenceBackend::Trial::in_service;
        b.times = 0;
        b.rest_until = Time{};
        changed(b);
    }

    /// The rule for one more: how many of its kind may be out, and how many would be.
    bool too_many_out(const ReferenceBackend& b) const {
        std::size_t kind = 0;
        std::size_t out = 1;
        for (const auto& other : backends_) {
            if (!other.serving()) continue;
            if (other.config.priority != b.config.priority || other.config.model_name != b.config.model_name)
                continue;
            ++kind;
            const bool well = other.probe_ok && other.trial == ReferenceBackend::Trial::in_service;
            if (&other != &b && !well) ++out;
        }
        if (kind < 2 || options_.max_ejected <= 0) return true;
        const auto share = static_cast<std::size_t>(options_.max_ejected * static_cast<double>(kind));
        return out > std::max<std::size_t>(1, share);
    }

  private:
    /// Whether all that comes as far as that priority number is meant for it.
    bool takes_all(const Wanted& wanted, int priority) const {
        if (options_.overprovisioning <= 0) return true;
        double serving = 0;
        double healthy = 0;
        for (const auto& b : backends_) {
            if (b.config.priority != priority || !matches(b, wanted) || !b.serving()) continue;
            ++serving;
            if (b.probe_ok && b.trial == ReferenceBackend::Trial::in_service) ++healthy;
        }
        return options_.overprovisioning * healthy / serving >= 1.0;
    }

    /// Whether the unhealthy of that priority number serve too.
    bool panics(const Wanted& wanted, int priority) const {
        double serving = 0;
        double healthy = 0;
        std::optional<int> lowest;
        for (const auto& b : backends_) {
            if (!matches(b, wanted) || !b.serving()) continue;
            ++serving;
            lowest = std::min(lowest.value_or(b.config.priority), b.config.priority);
            if (b.probe_ok && b.trial == ReferenceBackend::Trial::in_service) ++healthy;
        }
        if (!lowest || priority != *lowest) return false;
        return options_.panic_threshold > 0 ? healthy < options_.panic_threshold * serving : healthy == 0;
    }

    void changed(ReferenceBackend& b) {
        ++b.changes;
        ++changes_;
        b.failures_in_a_row = 0;
        b.trial_under_way = false;
        b.refused = false;
    }

    void trial_went_well(ReferenceBackend& b) {
        if (b.trial != ReferenceBackend::Trial::half_open) return;
        if (++b.trials_good < options_.success_threshold) return;
        b.trial = ReferenceBackend::Trial::in_service;
        b.in_since = now_;
        b.returned = now_;
        changed(b);
    }

    void eject(ReferenceBackend& b) {
        if (b.config.mirror || b.trial == ReferenceBackend::Trial::ejected) return;
        if (b.trial == ReferenceBackend::Trial::in_service && too_many_out(b)) {
            if (!std::exchange(b.refused, true)) ++b.refusals;
            return;
        }
        if (b.trial == ReferenceBackend::Trial::in_service) {
            // One less for every full `base_ejection` in service.
            for (Time t = b.in_since + options_.base_ejection; t <= now_ && b.times > 0;
                 t += options_.base_ejection) {
                --b.times;
            }
        }
        ++b.times;
        ++b.ejections;
        b.trial = ReferenceBackend::Trial::ejected;
        b.out_until = now_ + std::min(options_.max_ejection, options_.base_ejection * b.times);
        changed(b);
    }

    void tell_drained(ReferenceBackend& b) {
        if (b.word != ReferenceBackend::Word::draining || b.in_flight != 0) return;
        if (!std::exchange(b.drain_told, true)) ++b.drained;
    }

    const Options options_;
    std::uint32_t failure_threshold_;
    std::vector<ReferenceBackend> backends_;
    Time now_{};
    std::uint64_t lives_ = 0;
    std::uint64_t changes_ = 0;
};

}  // namespace fairlead::test
