// What a settings' error says, and the words that help to mend it.
#include "problems.hpp"

#include <algorithm>
#include <numeric>

namespace fairlead {

std::string SettingsProblem::text() const {
    std::string text = where + ": " + message;
    if (!source.empty()) text += " (" + source + ")";
    return text;
}

namespace detail {
namespace {

std::string lines_of(const std::vector<SettingsProblem>& problems) {
    std::string lines;
    for (const SettingsProblem& problem : problems) {
        if (!lines.empty()) lines += '\n';
        lines += problem.text();
    }
    return lines;
}

char lower_letter(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
char upper_letter(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

/// Optimal string alignment: what Damerau counted as a typist's slips.
std::size_t slips_between(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        next[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t other = a[i - 1] == b[j - 1] ? 0 : 1;
            next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + other});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                next[j] = std::min(next[j], before[j - 2] + 1);
        }
        before.swap(row);
        row.swap(next);
    }
    return row[b.size()];
}

}  // namespace

void Problems::add_json(const std::string& where, const JsonProblem& problem) {
    if (!problem.has_place) {
        list_.push_back({where + problem.path, problem.message, source_});
        return;
    }
    std::string source = source_;
    if (!text_file_.empty()) {
        const std::size_t line = text_begin_.line + problem.at.line - 1;
        const std::size_t column = problem.at.column + (problem.at.line == 1 ? text_begin_.column - 1 : 0);
        source = say(text::from_file_place, {text_file_, std::to_string(line), std::to_string(column)});
    }
    list_.push_back({where,
                     say(text::bad_json, {std::to_string(problem.at.line), std::to_string(problem.at.column),
                                          problem.message}),
                     std::move(source)});
}

std::string shown(std::string_view text) {
    constexpr std::size_t most = 40;  // because a message stays on one line of a terminal with it
    std::string out;
    std::size_t characters = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool continues = (byte & 0xC0) == 0x80;
        if (!continues && ++characters > most) return out + "...";
        if (byte < 0x20 || byte == 0x7F)
            out += '?';
        else
            out += text[i];
    }
    return out;
}

std::string in_quotes(std::string_view text) { return '"' + shown(text) + '"'; }

std::string_view nearest(std::string_view name, std::span<const std::string_view> known) {
    constexpr std::size_t most = 128;  // because no known name is longer, and the cost is a product
    const std::string wanted = lower(name.substr(0, most));
    std::string_view best = known.front();
    std::size_t least = most * 2;
    for (const std::string_view candidate : known) {
        std::size_t slips = slips_between(wanted, lower(candidate));
        // A part of the name is no worse than two slips: "strategy" means load_balance_strategy. Four letters
        // at least, because shorter ones are part of too many.
        if (wanted.size() >= 4 && candidate.find(wanted) != std::string_view::npos)
            slips = std::min(slips, std::size_t{2});
        if (slips < least) {
            least = slips;
            best = candidate;
        }
    }
    return best;
}

std::string lower(std::string_view text) {
    std::string out{text};
    std::transform(out.begin(), out.end(), out.begin(), lower_letter);
    return out;
}

std::string upper(std::string_view text) {
    std::string out{text};
    std::transform(out.begin(), out.end(), out.begin(), upper_letter);
    return out;
}

std::string_view trimmed(std::string_view text) noexcept {
    constexpr std::string_view blanks = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string joined(std::span<const std::string_view> names) {
    std::string list;
    for (const std::string_view name : names) {
        if (!list.empty()) list += ", ";
        list += name;
    }
    return list;
}

}  // namespace detail

SettingsError::SettingsError(std::vector<SettingsProblem> problems)
    : std::runtime_error(detail::lines_of(problems)), problems_(std::move(problems)) {}

}  // namespace fairlead
