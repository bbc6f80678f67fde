// The table that is printed.
#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>

#include "simulator/report.hpp"

namespace simulator {

namespace {

struct Column {
    const char* title;
    int digits;  // behind the point
    int best;    // -1: the least is best, 1: the most, 0: neither
    double (*value)(const Summary&);
};

constexpr std::array columns{
    Column{"mean s", 2, -1, [](const Summary& s) { return s.mean; }},
    Column{"p50 s", 2, -1, [](const Summary& s) { return s.p50; }},
    Column{"p90 s", 2, -1, [](const Summary& s) { return s.p90; }},
    Column{"p99 s", 2, -1, [](const Summary& s) { return s.p99; }},
    Column{"token ms", 1, -1, [](const Summary& s) { return s.per_token * 1'000; }},
    Column{"hit %", 1, 1, [](const Summary& s) { return s.hit_rate * 100; }},
    Column{"largest x", 2, 0, [](const Summary& s) { return s.imbalance; }},
    Column{"shed", 0, 0, [](const Summary& s) { return static_cast<double>(s.shed); }},
    Column{"failed", 0, 0, [](const Summary& s) { return static_cast<double>(s.failed); }},
    Column{"retries", 0, 0, [](const Summary& s) { return static_cast<double>(s.retries); }},
    Column{"pick ns", 0, 0, [](const Summary& s) { return s.pick_ns; }},
};

std::string number(double value, int digits) {
    char text[64];
    const int length = std::snprintf(text, sizeof text, "%.*f", digits, value);
    return {text, static_cast<std::size_t>(std::max(length, 0))};
}

std::string padded(std::string_view text, std::size_t width, bool right) {
    const std::string blanks(width > text.size() ? width - text.size() : 0, ' ');
    return right ? blanks + std::string{text} : std::string{text} + blanks;
}

bool is_same_setting(const Row& a, const Row& b) {
    return a.backends == b.backends && a.gateways == b.gateways && a.load == b.load;
}

/// As it is printed: what differs only behind the last digit is equally good.
std::string best_of(std::span<const Row> rows, const Column& column) {
    double best = column.best < 0 ? std::numeric_limits<double>::infinity() : -1;
    for (const auto& row : rows) {
        const double value = column.value(row.figures);
        if (row.figures.requests > 0 && (column.best < 0 ? value < best : value > best)) best = value;
    }
    return number(best, column.digits);
}

void add_setting(std::string& text, std::span<const Row> rows, std::size_t name_width) {
    const auto& first = rows.front();
    text += std::to_string(first.backends) + " backends, " + std::to_string(first.gateways) +
            (first.gateways == 1 ? " gateway" : " gateways") + ", load " + number(first.load, 2) +
            "; time to the first token in seconds; * is the best\n";
    text += padded("", name_width, false);
    for (const auto& column : columns) text += padded(column.title, 11, true);
    text += '\n';
    std::array<std::string, columns.size()> best;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (columns[i].best != 0 && rows.size() > 1) best[i] = best_of(rows, columns[i]);
    }
    for (const auto& row : rows) {
        text += padded(row.figures.strategy, name_width, false);
        for (std::size_t i = 0; i < columns.size(); ++i) {
            std::string value = number(columns[i].value(row.figures), columns[i].digits);
            if (value == best[i]) value.insert(0, "*");
            text += padded(value, 11, true);
        }
        text += '\n';
    }
}

}  // namespace

std::string table_of(std::span<const Row> rows) {
    std::size_t name_width = 0;
    for (const auto& row : rows) name_width = std::max(name_width, row.figures.strategy.size());
    std::string text;
    while (!rows.empty()) {
        const auto end = std::find_if(rows.begin(), rows.end(),
                                      [&](const Row& row) { return !is_same_setting(row, rows.front()); });
        const auto count = static_cast<std::size_t>(end - rows.begin());
        if (!text.empty()) text += '\n';
        add_setting(text, rows.first(count), name_width);
        rows = rows.subspan(count);
    }
    return text;
}

}  // namespace simulator
