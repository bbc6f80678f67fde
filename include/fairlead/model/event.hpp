// What a balancer tells its host: the things that an operator would want in a log.
#pragma once

#include <cstdint>
#include <string>

#include <fairlead/model/time.hpp>

namespace fairlead {

/// A backend's condition as one word. The operator's word (disabled, draining) wins over what was found out.
enum class BackendState : std::uint8_t {
    healthy,    ///< serves
    resting,    ///< asked to be left alone for a while (429); counts as full, not as unhealthy
    half_open,  ///< back from ejection on trial: one request at a time
    unhealthy,  ///< probes failed, or ejected for failing requests
    draining,   ///< no new requests; what is in flight ends
    disabled    ///< no new requests, by the operator's word
};

constexpr const char* to_string(BackendState state) noexcept {
    switch (state) {
        case BackendState::healthy:
            return "healthy";
        case BackendState::resting:
            return "resting";
        case BackendState::half_open:
            return "half_open";
        case BackendState::unhealthy:
            return "unhealthy";
        case BackendState::draining:
            return "draining";
        case BackendState::disabled:
            return "disabled";
    }
    return "unknown";
}

/// One thing that happened. Events carry a number because threads may deliver them out of order.
struct Event {
    enum class Kind : std::uint8_t {
        backend_added,
        backend_updated,
        backend_removed,
        state_changed,     ///< `from` and `to` say which
        ejected,           ///< `reason` says why: "consecutive failures", "failure ratio", "failed trial"
        ejection_refused,  ///< by `max_ejected`, or because it is the only backend of its model
        drained,           ///< nothing is in flight any more on a draining backend
        panic_entered,     ///< too few healthy: unhealthy backends serve (`backend` names the model)
        panic_left,
        retry,  ///< a request goes elsewhere; `backend` is the one that failed it
        retry_budget_exhausted,
        queue_overflow,
        strategy_changed,  ///< `reason` is the new strategy's name
        options_changed
    };

    Kind kind{};
    std::string backend{};  ///< its name; empty where the event is of the whole balancer
    BackendState from = BackendState::healthy;
    BackendState to = BackendState::healthy;
    std::string reason{};
    Time at{};
    std::uint64_t number = 0;  ///< rises by one for every event of one balancer
};

constexpr const char* to_string(Event::Kind kind) noexcept {
    switch (kind) {
        case Event::Kind::backend_added:
            return "backend_added";
        case Event::Kind::backend_updated:
            return "backend_updated";
        case Event::Kind::backend_removed:
            return "backend_removed";
        case Event::Kind::state_changed:
            return "state_changed";
        case Event::Kind::ejected:
            return "ejected";
        case Event::Kind::ejection_refused:
            return "ejection_refused";
        case Event::Kind::drained:
            return "drained";
        case Event::Kind::panic_entered:
            return "panic_entered";
        case Event::Kind::panic_left:
            return "panic_left";
        case Event::Kind::retry:
            return "retry";
        case Event::Kind::retry_budget_exhausted:
            return "retry_budget_exhausted";
        case Event::Kind::queue_overflow:
            return "queue_overflow";
        case Event::Kind::strategy_changed:
            return "strategy_changed";
        case Event::Kind::options_changed:
            return "options_changed";
    }
    return "unknown";
}

}  // namespace fairlead
