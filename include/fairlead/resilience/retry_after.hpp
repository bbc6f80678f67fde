// What a `Retry-After` header says: seconds, or one of the three forms of an HTTP date.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fairlead/model/time.hpp>

namespace fairlead {

namespace detail {

/// Reads a text from the front; once something does not match, `good` stays false. No locale.
class DateReader {
  public:
    constexpr explicit DateReader(std::string_view text) noexcept : rest_{text} {}

    constexpr void expect(std::string_view text) noexcept {
        good_ = good_ && rest_.starts_with(text);
        if (good_) rest_.remove_prefix(text.size());
    }

    /// Exactly `digits` digits.
    constexpr int number(std::size_t digits) noexcept {
        int value = 0;
        good_ = good_ && rest_.size() >= digits;
        for (std::size_t i = 0; good_ && i < digits; ++i) {
            good_ = rest_[i] >= '0' && rest_[i] <= '9';
            value = value * 10 + (rest_[i] - '0');
        }
        if (good_) rest_.remove_prefix(digits);
        return value;
    }

    /// A day of the month as asctime has it: two places, a blank before one digit.
    constexpr int padded_day() noexcept {
        if (!rest_.starts_with(' ')) return number(2);
        rest_.remove_prefix(1);
        return number(1);
    }

    /// Which of `names` stands here, counted from 1; `length` takes only so many characters of each.
    template <std::size_t N>
    constexpr int one_of(const std::array<std::string_view, N>& names,
                         std::size_t length = std::string_view::npos) noexcept {
        for (std::size_t i = 0; good_ && i < N; ++i) {
            const std::string_view name = names[i].substr(0, length);
            if (!rest_.starts_with(name)) continue;
            rest_.remove_prefix(name.size());
            return static_cast<int>(i) + 1;
        }
        good_ = false;
        return 0;
    }

    constexpr bool at_end() const noexcept { return good_ && rest_.empty(); }

  private:
    std::string_view rest_;
    bool good_ = true;
};

inline constexpr std::array<std::string_view, 7> day_names{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                           "Thursday", "Friday", "Saturday"};
inline constexpr std::array<std::string_view, 12> month_names{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/// RFC 9110, section 5.6.7. A weekday must be one, but need not be that date's. Two digits of a year that
/// would lie more than 50 years ahead of `now` are of the century before.
constexpr std::optional<std::chrono::sys_seconds> http_date(std::string_view text,
                                                            std::chrono::sys_seconds now) noexcept {
    using namespace std::chrono;
    int year_number = 0;
    int month_number = 0;
    int day_number = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    const auto time_of_day = [&](DateReader& in) {
        hour = in.number(2);
        in.expect(":");
        minute = in.number(2);
        in.expect(":");
        second = in.number(2);
    };
    DateReader in{text};
    const std::size_t comma = text.find(',');
    if (comma == 3) {  // Sun, 06 Nov 1994 08:49:37 GMT
        in.one_of(day_names, 3);
        in.expect(", ");
        day_number = in.number(2);
        in.expect(" ");
        month_number = in.one_of(month_names);
        in.expect(" ");
        year_number = in.number(4);
        in.expect(" ");
        time_of_day(in);
        in.expect(" GMT");
    } else if (comma != std::string_view::npos) {  // Sunday, 06-Nov-94 08:49:37 GMT
        in.one_of(day_names);
        in.expect(", ");
        day_number = in.number(2);
        in.expect("-");
        month_number = in.one_of(month_names);
        in.expect("-");
        const int this_year = static_cast<int>(year_month_day{floor<days>(now)}.year());
        year_number = this_year - this_year % 100 + in.number(2);
        if (year_number > this_year + 50) year_number -= 100;
        if (year_number <= this_year - 50) year_number += 100;
        in.expect(" ");
        time_of_day(in);
        in.expect(" GMT");
    } else {  // Sun Nov  6 08:49:37 1994
        in.one_of(day_names, 3);
        in.expect(" ");
        month_number = in.one_of(month_names);
        in.expect(" ");
        day_number = in.padded_day();
        in.expect(" ");
        time_of_day(in);
        in.expect(" ");
        year_number = in.number(4);
    }
    if (!in.at_end() || hour > 23 || minute > 59 || second > 60) return std::nullopt;  // 60: a leap second
    const year_month_day date{year{year_number}, month{static_cast<unsigned>(month_number)},
                              day{static_cast<unsigned>(day_number)}};
    if (!date.ok()) return std::nullopt;
    return sys_days{date} + hours{hour} + minutes{minute} + seconds{second};
}

}  // namespace detail

/// How long to wait, as a `Retry-After` of this `value` says: `120`, or a date relative to `now` (the wall
/// clock's). A date that is past is 0; more than 10^9 seconds (31 years) are 10^9, so that sums of it fit
/// into `Duration`. Nothing where the value is neither, to the letter (blanks around it aside).
///
/// Thread safe; no state; allocates nothing; linear in the length.
constexpr std::optional<Duration> parse_retry_after(std::string_view value,
                                                    std::chrono::sys_seconds now) noexcept {
    constexpr std::int64_t most = 1'000'000'000;
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!value.empty() && is_blank(value.front())) value.remove_prefix(1);
    while (!value.empty() && is_blank(value.back())) value.remove_suffix(1);
    if (value.empty()) return std::nullopt;
    if (value.front() < '0' || value.front() > '9') {
        const auto date = detail::http_date(value, now);
        if (!date) return std::nullopt;
        const std::int64_t left = (*date - now).count();
        return std::chrono::seconds{std::clamp<std::int64_t>(left, 0, most)};
    }
    std::int64_t seconds = 0;
    for (const char c : value) {
        if (c < '0' || c > '9') return std::nullopt;
        seconds = std::min(most, seconds * 10 + (c - '0'));
    }
    return std::chrono::seconds{seconds};
}

}  // namespace fairlead
