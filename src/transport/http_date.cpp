// Dates and waits as HTTP writes them.
#include "http_date.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "header_list.hpp"

namespace fairlead::detail {
namespace {

std::optional<int> digits(std::string_view text) noexcept {
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    return value;
}

constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";

// A wait is cut to a year, so that whatever is computed with it cannot overflow.
constexpr std::int64_t longest_wait = 365 * 24 * 60 * 60;

}  // namespace

std::optional<WallTime> parse_http_date(std::string_view text) noexcept {
    //  0         1         2
    //  01234567890123456789012345678
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    if (text.size() != 29 || text.substr(3, 2) != ", " || text[7] != ' ' || text[11] != ' ' ||
        text[16] != ' ' || text[19] != ':' || text[22] != ':' || text.substr(25) != " GMT") {
        return std::nullopt;
    }
    const auto day = digits(text.substr(5, 2));
    const auto month = months.find(text.substr(8, 3));
    const auto year = digits(text.substr(12, 4));
    const auto hour = digits(text.substr(17, 2));
    const auto minute = digits(text.substr(20, 2));
    const auto second = digits(text.substr(23, 2));
    if (!day || month == std::string_view::npos || month % 3 != 0 || !year || !hour || !minute || !second) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(month / 3 + 1)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;  // 60: a leap second
    return std::chrono::sys_days{date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
           std::chrono::seconds{*second};
}

std::optional<Duration> retry_after(const HttpHeaders& headers, WallTime now) noexcept {
    const auto text = headers.get("Retry-After");
    if (!text || text->empty()) return std::nullopt;
    std::int64_t wait = 0;
    if (text->front() >= '0' && text->front() <= '9') {
        const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), wait);
        if (end != text->data() + text->size()) return std::nullopt;
        if (failed != std::errc{}) wait = longest_wait;
    } else {
        const auto until = parse_http_date(*text);
        if (!until) return std::nullopt;
        const auto date = headers.get("Date");
        const auto from = date ? parse_http_date(*date).value_or(now) : now;
        wait = (*until - from).count();
    }
    return std::chrono::seconds{std::min(std::max<std::int64_t>(wait, 0), longest_wait)};
}

}  // namespace fairlead::detail
