// What is accepted: the checks of one backend and of the options, and the one list of the options' ranges.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/options.hpp>

namespace fairlead {

/// Checks one backend as `Balancer::add` does. Empty when all of it is accepted, else the first of
///
/// - `Errc::bad_name`: not 1..128 bytes of valid UTF-8, or with a control character (U+0000..1F, U+007F..9F),
///   a '/', or a blank at either end
/// - `Errc::bad_url`: see `is_backend_url`
/// - `Errc::bad_weight`: not 1..65,535
/// - `Errc::bad_max_connections`: not 1..1,048,575
/// - `Errc::bad_timeout`: a time-out that is set and not > 0
/// - `Errc::bad_option`: `api_key` with a control character (it goes into a header), a health path that does
///   not begin with '/' or holds blanks, a health interval not > 0, a status outside 100..599
///
/// Thread safe; allocates nothing; linear in the length of the strings.
std::error_code validate(const BackendConfig& config) noexcept;

/// Checks the options. One sentence for each field out of range, such as
/// `health_check_interval: must be > 0 (seconds), got 0`; none when all are accepted. Thread safe.
std::vector<std::string> validate(const Options& options);

/// Whether `name` can be a backend's: see `Errc::bad_name` above.
bool is_backend_name(std::string_view name) noexcept;

/// Whether `url` can be a backend's: `http://` or `https://` (in any case), a host (a name of letters,
/// digits,
/// '-', '_' and '.', an IPv4 address, or an IPv6 address in brackets), optionally a port 1..65535 and a path
/// of visible ASCII. No user info, blanks, backslash, query or fragment.
bool is_backend_url(std::string_view url) noexcept;

/// The longest time that a setting can give: 10^9 seconds, about 31 years, because `Duration` ends at
/// 9.2 * 10^9 seconds and sums of a few of them must not overflow it.
inline constexpr double max_seconds = 1e9;

/// A range of accepted numbers. Times are in seconds; that none is beyond `max_seconds` goes without saying.
struct Range {
    double low = 0;
    double high = std::numeric_limits<double>::infinity();
    bool above_low = false;   ///< `low` itself is not accepted
    bool below_high = false;  ///< `high` itself is not accepted
    bool or_zero = false;     ///< 0 is accepted as well: it turns the thing off

    /// NaN is in no range.
    constexpr bool contains(double value) const noexcept {
        if (or_zero && value == 0) return true;
        return (above_low ? value > low : value >= low) && (below_high ? value < high : value <= high);
    }

    /// As an operator reads it: `> 0`, `>= 1`, `0..1`, `0 or 100..599`.
    std::string text() const;
};

// What a user of the library needs ends here.

namespace detail {

/// Calls `visit(name, field, range)` for every number and time among the options, in the order in which
/// `Options` declares them. `O` is `Options` or `const Options`. Fields without a range (switches, texts, the
/// seed, the enumeration) are not among them.
template <class O, class Visitor>
requires std::same_as<std::remove_const_t<O>, Options>
constexpr void visit_ranges(O& o, Visitor&& visit) {
    constexpr Range any{};
    constexpr Range time{};
    constexpr Range positive_time{.above_low = true};
    constexpr Range count{.low = 1};
    constexpr Range share{.high = 1};

    visit("max_retries", o.max_retries, any);
    visit("retry_budget_ratio", o.retry_budget_ratio, any);
    visit("retry_budget_min", o.retry_budget_min, any);
    visit("retry_budget_window", o.retry_budget_window, positive_time);
    visit("back_off_base", o.back_off_base, time);
    visit("back_off_max", o.back_off_max, time);
    visit("hedge_quantile", o.hedge_quantile, Range{.high = 1, .below_high = true});
    visit("mirror_share", o.mirror_share, share);

    visit("failure_threshold", o.failure_threshold, count);
    visit("success_threshold", o.success_threshold, count);
    visit("failure_ratio", o.failure_ratio, share);
    visit("failure_ratio_requests", o.failure_ratio_requests, count);
    visit("failure_ratio_window", o.failure_ratio_window, positive_time);
    visit("base_ejection", o.base_ejection, positive_time);
    visit("max_ejection", o.max_ejection, positive_time);
    visit("ejection_jitter", o.ejection_jitter, share);
    visit("max_ejected", o.max_ejected, share);
    visit("rest_default", o.rest_default, time);
    visit("rest_max", o.rest_max, time);
    visit("slow_start", o.slow_start, time);
    visit("slow_start_floor", o.slow_start_floor, share);

    visit("health_check_interval", o.health_check_interval, positive_time);
    visit("health_check_unhealthy_interval", o.health_check_unhealthy_interval, positive_time);
    visit("health_check_timeout", o.health_check_timeout, positive_time);
    visit("health_check_jitter", o.health_check_jitter, share);
    visit("health_check_concurrency", o.health_check_concurrency, count);
    visit("health_check_status", o.health_check_status, Range{.low = 100, .high = 599, .or_zero = true});

    visit("load_interval", o.load_interval, Range{.low = 0.25, .high = 10});

    visit("prefix_block_tokens", o.prefix_block_tokens, Range{.low = 1, .high = 65'536, .or_zero = true});
    visit("prefix_cache_blocks", o.prefix_cache_blocks, Range{.low = 1, .high = 1e9});
    visit("prefix_memory", o.prefix_memory, count);

    visit("panic_threshold", o.panic_threshold, share);
    visit("hash_bounded_load", o.hash_bounded_load, Range{.low = 1, .or_zero = true});
    visit("overprovisioning", o.overprovisioning, Range{.low = 1, .or_zero = true});
    visit("subset_limit", o.subset_limit, Range{.low = 1, .high = max_subset_limit});
    visit("subset_memory", o.subset_memory, count);

    visit("queue_limit", o.queue_limit, any);
    visit("queue_timeout", o.queue_timeout, positive_time);

    visit("latency_tau", o.latency_tau, positive_time);
    visit("latency_tau_max", o.latency_tau_max, positive_time);
    visit("gateways", o.gateways, count);
}

/// A number as an operator would write it: whole ones in full, others as short as they go without loss.
inline std::string number_text(double value) {
    char text[32];  // because the longest shortest form of a double has 24 characters
    const bool whole =
        std::abs(value) < 1e15 && value == std::trunc(value);  // 1e15: exact, and 16 characters
    const auto end = whole ? std::to_chars(text, text + sizeof text, value, std::chars_format::fixed)
                           : std::to_chars(text, text + sizeof text, value);
    return {text, end.ptr};
}

/// Whether every byte is visible ASCII, so that it can stand in a request's target.
constexpr bool is_visible(std::string_view text) noexcept {
    for (const char c : text) {
        if (c <= ' ' || c > '~') return false;
    }
    return true;
}

/// Whether `text` holds no ASCII control character, so that it can stand in a header's value.
constexpr bool is_header_text(std::string_view text) noexcept {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
    }
    return true;
}

/// Whether `text` can be a probe's path.
constexpr bool is_probe_path(std::string_view text) noexcept {
    return !text.empty() && text.front() == '/' && is_visible(text) &&
           text.find('#') == std::string_view::npos;
}

/// The code point that begins at `at`, which steps behind it; nothing when the bytes are no UTF-8 (too long a
/// form, a surrogate, beyond U+10FFFF, cut off).
constexpr std::optional<char32_t> next_code_point(std::string_view text, std::size_t& at) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(at);
    const std::size_t length = first < 0x80             ? 1
                               : (first & 0xE0) == 0xC0 ? 2
                               : (first & 0xF0) == 0xE0 ? 3
                               : (first & 0xF8) == 0xF0 ? 4
                                                        : 0;
    if (length == 0 || text.size() - at < length) return std::nullopt;
    char32_t point = length == 1 ? first : first & (0x7Fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(at + i) & 0xC0) != 0x80) return std::nullopt;
        point = (point << 6) | (byte(at + i) & 0x3Fu);
    }
    constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[length] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
        return std::nullopt;
    at += length;
    return point;
}

constexpr bool is_control(char32_t c) noexcept { return c < 0x20 || (c >= 0x7F && c <= 0x9F); }

/// Spaces as Unicode has them, U+3000 of Chinese keyboards included.
constexpr bool is_blank(char32_t c) noexcept {
    return c == ' ' || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

constexpr bool is_ascii_alnum(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Groups of hex digits and colons, with dots for an embedded IPv4 address. Whether the groups add up is the
/// resolver's to say; this keeps everything out that could change the meaning of the URL.
constexpr bool is_ipv6_shape(std::string_view host) noexcept {
    if (host.find(':') == std::string_view::npos) return false;
    for (const char c : host) {
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!hex && c != ':' && c != '.') return false;
    }
    return true;
}

/// Letters, digits, '-', '_' (names of containers have it) and '.', with something between two dots.
constexpr bool is_host_name(std::string_view host) noexcept {
    if (host.empty() || host.size() > 253 || host.front() == '.') return false;  // 253: the limit of DNS
    char before = 0;
    for (const char c : host) {
        if (!is_ascii_alnum(c) && c != '-' && c != '_' && c != '.') return false;
        if (c == '.' && before == '.') return false;
        before = c;
    }
    return true;
}

constexpr bool is_port(std::string_view digits) noexcept {
    if (digits.empty() || digits.size() > 5) return false;
    std::uint32_t port = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') return false;
        port = port * 10 + static_cast<std::uint32_t>(c - '0');
    }
    return port >= 1 && port <= 65'535;
}

/// The length of `http://` or `https://` at the beginning, 0 when there is neither.
constexpr std::size_t scheme_length(std::string_view url) noexcept {
    for (const std::string_view scheme : {std::string_view{"http://"}, std::string_view{"https://"}}) {
        if (url.size() < scheme.size()) continue;
        bool same = true;
        for (std::size_t i = 0; i < scheme.size(); ++i) {
            const char c = url[i] >= 'A' && url[i] <= 'Z' ? static_cast<char>(url[i] - 'A' + 'a') : url[i];
            same = same && c == scheme[i];
        }
        if (same) return scheme.size();
    }
    return 0;
}

inline bool is_time_out(const std::optional<Duration>& time) noexcept { return !time || time->count() > 0; }

inline bool is_health_override(const HealthOverride& health) noexcept {
    if (health.path && !is_probe_path(*health.path)) return false;
    return !health.expected_status || (*health.expected_status >= 100 && *health.expected_status <= 599);
}

}  // namespace detail

inline bool is_backend_name(std::string_view name) noexcept {
    if (name.empty() || name.size() > 128) return false;
    bool blank = false;
    for (std::size_t at = 0; at < name.size();) {
        const bool first = at == 0;
        const auto point = detail::next_code_point(name, at);
        if (!point || *point == '/' || detail::is_control(*point)) return false;
        blank = detail::is_blank(*point);
        if (first && blank) return false;
    }
    return !blank;
}

inline bool is_backend_url(std::string_view url) noexcept {
    const std::size_t scheme = detail::scheme_length(url);
    if (scheme == 0) return false;
    url.remove_prefix(scheme);
    const std::size_t slash = url.find('/');
    const std::string_view path = slash == std::string_view::npos ? std::string_view{} : url.substr(slash);
    if (!detail::is_visible(path) || path.find_first_of("?#\\") != std::string_view::npos) return false;

    const std::string_view authority = url.substr(0, slash);
    std::string_view rest = authority;
    if (!authority.empty() && authority.front() == '[') {
        const std::size_t close = authority.find(']');
        if (close == std::string_view::npos || !detail::is_ipv6_shape(authority.substr(1, close - 1)))
            return false;
        rest = authority.substr(close + 1);
    } else {
        const std::size_t colon = authority.find(':');
        if (!detail::is_host_name(authority.substr(0, colon))) return false;
        rest = colon == std::string_view::npos ? std::string_view{} : authority.substr(colon);
    }
    return rest.empty() || (rest.front() == ':' && detail::is_port(rest.substr(1)));
}

inline std::error_code validate(const BackendConfig& config) noexcept {
    if (!is_backend_name(config.name)) return Errc::bad_name;
    if (!is_backend_url(config.url)) return Errc::bad_url;
    if (config.weight < 1 || config.weight > max_weight) return Errc::bad_weight;
    if (config.max_connections < 1 || config.max_connections > max_connections_limit)
        return Errc::bad_max_connections;
    if (config.timeout.count() <= 0 || config.connect_timeout.count() <= 0 ||
        !detail::is_time_out(config.first_byte_timeout) || !detail::is_time_out(config.idle_timeout) ||
        !detail::is_time_out(config.total_timeout))
        return Errc::bad_timeout;
    if (!detail::is_header_text(config.api_key)) return Errc::bad_option;
    if (!detail::is_time_out(config.health.interval) || !detail::is_health_override(config.health))
        return Errc::bad_option;
    return {};
}

inline std::string Range::text() const {
    std::string text = or_zero ? "0 or " : "";
    if (high == std::numeric_limits<double>::infinity())
        return text + (above_low ? "> " : ">= ") + detail::number_text(low);
    if (!above_low && !below_high) return text + detail::number_text(low) + ".." + detail::number_text(high);
    return text + (above_low ? "> " : ">= ") + detail::number_text(low) +
           (below_high ? " and < " : " and <= ") + detail::number_text(high);
}

inline std::vector<std::string> validate(const Options& options) {
    std::vector<std::string> problems;
    detail::visit_ranges(options, [&](std::string_view name, const auto& field, const Range& range) {
        using Field = std::remove_cvref_t<decltype(field)>;
        constexpr bool is_time = std::same_as<Field, Duration>;
        double value = 0;
        if constexpr (is_time) {
            if (field == Duration::max() && name == "queue_timeout") return;  // the default: no limit
            value = std::chrono::duration<double>(field).count();
        } else {
            value = static_cast<double>(field);
            if (std::isinf(value)) value = std::numeric_limits<double>::quiet_NaN();  // in no range
        }
        const bool too_long = is_time && value > max_seconds;
        if (range.contains(value) && !too_long) return;
        problems.push_back(std::string{name} + ": must be " +
                           (too_long ? "<= " + detail::number_text(max_seconds) : range.text()) +
                           (is_time ? " (seconds), got " : ", got ") + detail::number_text(value));
    });
    if (!detail::is_probe_path(options.health_check_path))
        problems.emplace_back(
            "health_check_path: must begin with '/' and hold only visible ASCII without '#'");
    if (!detail::is_probe_path(options.load_path))
        problems.emplace_back("load_path: must begin with '/' and hold only visible ASCII without '#'");
    if (options.latency_to != LatencyTo::first_byte && options.latency_to != LatencyTo::last_byte)
        problems.emplace_back("latency_to: must be first_byte or last_byte");
    return problems;
}

}  // namespace fairlead
