// Reads Prometheus' text format in place, strictly: it comes from outside.
#pragma once

#include <charconv>
#include <cstddef>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>

namespace fairlead::detail {

/// One series of a metrics text. Views into the text.
struct MetricSample {
    std::string_view name{};
    std::string_view labels{};  ///< between the braces, as written; checked
    double value = 0.0;
};

/// Goes over the samples of a text in the format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
///
///     MetricsText metrics{text};
///     while (const auto sample = metrics.next()) ...
///     if (metrics.broken_line() != 0) ...  // nothing of it counts
///
/// The first line that is not as the format says ends it, and so does a last line without its line feed: of
/// a text that broke off in the middle some series would be missing, and a sum over what is left would look
/// like less load. Comments are passed over unread. O(size), no allocation, no recursion.
class MetricsText {
  public:
    explicit MetricsText(std::string_view text) noexcept : rest_{text} {}

    /// The next sample; none at the end, and at the first broken line.
    std::optional<MetricSample> next() noexcept {
        while (!rest_.empty() && broken_ == 0) {
            ++line_;
            const std::size_t end = rest_.find('\n');
            if (end == std::string_view::npos) break;
            at_ = rest_.substr(0, end);
            rest_.remove_prefix(end + 1);
            blanks();
            if (at_.empty() || at_.front() == '#') continue;
            MetricSample sample;
            if (read(sample)) return sample;
            broken_ = line_;
        }
        if (!rest_.empty() && broken_ == 0) broken_ = line_;
        return std::nullopt;
    }

    /// The number of the line that could not be read, from 1; 0 while there is none.
    std::size_t broken_line() const noexcept { return broken_; }

    /// What a label of a sample says, escapes as written; none when it has no such label.
    static std::optional<std::string_view> label(std::string_view labels, std::string_view name) noexcept {
        MetricsText reader{{}};
        reader.at_ = labels;
        std::string_view key;
        std::string_view value;
        while (reader.one_label(key, value)) {
            if (key == name) return value;
            reader.blanks();
            if (!reader.take(',')) break;
        }
        return std::nullopt;
    }

    /// A number as the format writes it: decimal, or NaN, +Inf, -Inf. What is too large for a double is
    /// infinite, as it is for Prometheus.
    static std::optional<double> metric_value(std::string_view text) noexcept {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
        if (text == "+Inf" || text == "Inf") return infinity;
        if (text == "-Inf") return -infinity;
        const bool is_signed = text.starts_with('-') || text.starts_with('+');
        // Else it would be one of the words that `from_chars` knows beside digits, or a second sign.
        const char first = text.size() > std::size_t{is_signed} ? text[is_signed ? 1 : 0] : 'x';
        if ((first < '0' || first > '9') && first != '.') return std::nullopt;
        if (text.front() == '+') text.remove_prefix(1);
        double value = 0.0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (end != text.data() + text.size()) return std::nullopt;
        if (error == std::errc::result_out_of_range) {
            // 1e-400 is out of range as well, but no load has so many zeros: both count as unknown.
            return text.starts_with('-') ? -infinity : infinity;
        }
        if (error != std::errc{}) return std::nullopt;
        return value;
    }

  private:
    void blanks() noexcept {
        while (!at_.empty() && (at_.front() == ' ' || at_.front() == '\t')) at_.remove_prefix(1);
    }

    bool take(char c) noexcept {
        if (at_.empty() || at_.front() != c) return false;
        at_.remove_prefix(1);
        return true;
    }

    static bool may_begin_name(char c) noexcept {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    }

    /// Empty when there is none. Only the names of metrics have colons.
    std::string_view name(bool colons) noexcept {
        std::size_t size = 0;
        while (size < at_.size()) {
            const char c = at_[size];
            const bool fits = may_begin_name(c) || (colons && c == ':') || (size > 0 && c >= '0' && c <= '9');
            if (!fits) break;
            ++size;
        }
        const auto found = at_.substr(0, size);
        at_.remove_prefix(size);
        return found;
    }

    bool one_label(std::string_view& key, std::string_view& value) noexcept {
        blanks();
        key = name(false);
        blanks();
        if (key.empty() || !take('=')) return false;
        blanks();
        if (!take('"')) return false;
        for (std::size_t i = 0; i < at_.size(); ++i) {
            if (at_[i] == '"') {
                value = at_.substr(0, i);
                at_.remove_prefix(i + 1);
                return true;
            }
            if (at_[i] != '\\') continue;
            ++i;  // the format knows three escapes
            if (i == at_.size() || (at_[i] != '\\' && at_[i] != '"' && at_[i] != 'n')) return false;
        }
        return false;
    }

    bool label_list(std::string_view& labels) noexcept {
        const auto begin = at_;
        for (;;) {
            blanks();
            const std::size_t size = begin.size() - at_.size();
            if (take('}')) {  // also after a comma
                labels = begin.substr(0, size);
                return true;
            }
            std::string_view key;
            std::string_view value;
            if (!one_label(key, value)) return false;
            blanks();
            if (!take(',') && (at_.empty() || at_.front() != '}')) return false;
        }
    }

    std::string_view word() noexcept {
        std::size_t size = 0;
        while (size < at_.size() && at_[size] != ' ' && at_[size] != '\t') ++size;
        const auto found = at_.substr(0, size);
        at_.remove_prefix(size);
        return found;
    }

    bool read(MetricSample& sample) noexcept {
        sample.name = name(true);
        if (sample.name.empty()) return false;
        const std::size_t before = at_.size();
        blanks();
        if (take('{')) {
            if (!label_list(sample.labels)) return false;
        } else if (at_.size() == before) {
            return false;  // something else than a blank ended the name
        }
        blanks();
        const auto value = metric_value(word());
        if (!value) return false;
        sample.value = *value;
        blanks();
        const auto timestamp = word();
        blanks();
        return at_.empty() && (timestamp.empty() || is_whole(timestamp));
    }

    static bool is_whole(std::string_view text) noexcept {
        long long ignored = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ignored);
        return error == std::errc{} && end == text.data() + text.size();
    }

    std::string_view rest_;
    std::string_view at_{};  // of the line
    std::size_t line_ = 0;
    std::size_t broken_ = 0;
};

}  // namespace fairlead::detail
