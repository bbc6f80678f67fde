// Every way in which a call of the library can fail, in one list, as sentences for whoever must act.
#pragma once

#include <string>
#include <system_error>

namespace fairlead {

enum class Errc {
    // choosing a backend
    no_backends = 1,
    unknown_model,
    unknown_tags,
    all_disabled,
    all_unhealthy,
    all_full,
    all_resting,
    all_excluded,
    out_of_memory,
    // waiting and sending
    queue_full,
    queue_timeout,
    deadline_passed,
    cancelled,
    retry_budget_exhausted,
    no_response,
    // membership
    unknown_backend,
    duplicate_name,
    bad_name,
    bad_url,
    bad_weight,
    bad_max_connections,
    bad_timeout,
    too_many_backends,
    too_many_changes,
    unknown_strategy,
    bad_option,
    fixed_option
};

namespace detail {

class ErrorCategory final : public std::error_category {
  public:
    const char* name() const noexcept override { return "fairlead"; }

    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::no_backends:
                return "no backend is configured";
            case Errc::unknown_model:
                return "no backend serves this model";
            case Errc::unknown_tags:
                return "no backend carries all of these tags";
            case Errc::all_disabled:
                return "every backend that matches is disabled or draining";
            case Errc::all_unhealthy:
                return "every backend that matches is unhealthy";
            case Errc::all_full:
                return "every backend that matches is at max_connections";
            case Errc::all_resting:
                return "every backend that matches asked to be left alone for a while";
            case Errc::all_excluded:
                return "every backend that matches was excluded or tried already";
            case Errc::out_of_memory:
                return "out of memory";
            case Errc::queue_full:
                return "too many requests are waiting for a backend (queue_limit)";
            case Errc::queue_timeout:
                return "no place came free within queue_timeout";
            case Errc::deadline_passed:
                return "the request's deadline has passed";
            case Errc::cancelled:
                return "the caller cancelled the request";
            case Errc::retry_budget_exhausted:
                return "the request failed and the retry budget (retry_budget_ratio) allows no further try "
                       "now";
            case Errc::no_response:
                return "the transport gave no response";
            case Errc::unknown_backend:
                return "there is no backend of this name";
            case Errc::duplicate_name:
                return "there is a backend of this name already";
            case Errc::bad_name:
                return "a backend's name must be 1 to 128 bytes of UTF-8 without control characters, '/' or "
                       "leading and trailing blanks";
            case Errc::bad_url:
                return "a backend's url must be http:// or https:// with a host, and optionally a port and a "
                       "path";
            case Errc::bad_weight:
                return "a backend's weight must be 1..65535";
            case Errc::bad_max_connections:
                return "a backend's max_connections must be 1..1048575";
            case Errc::bad_timeout:
                return "a backend's time-outs must be greater than 0";
            case Errc::too_many_backends:
                return "there can be at most 65,536 backends";
            case Errc::too_many_changes:
                return "1,000 configurations of this backend are still used by requests in flight; change it "
                       "again when some have finished";
            case Errc::unknown_strategy:
                return "there is no strategy of this name";
            case Errc::bad_option:
                return "an option is out of its range";
            case Errc::fixed_option:
                return "timing and seed cannot change while the balancer runs";
        }
        return "unknown fairlead error " + std::to_string(value);
    }
};

}  // namespace detail

/// The category of `Errc`. Thread safe.
inline const std::error_category& error_category() noexcept {
    static const detail::ErrorCategory category;
    return category;
}

inline std::error_code make_error_code(Errc e) noexcept { return {static_cast<int>(e), error_category()}; }

}  // namespace fairlead

template <>
struct std::is_error_code_enum<fairlead::Errc> : std::true_type {};
