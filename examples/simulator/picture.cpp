// The figures as a picture: a panel for each figure, in it a group for each strategy, a bar for each setting.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/report.hpp"

namespace simulator {

namespace {

// Colours of the project's other pictures. Bars of one group go from light to dark, or the other way round.
constexpr std::string_view style = R"(
    svg { font: 13px system-ui, sans-serif; }
    text { fill: #1f2328; }
    .small { font-size: 11px; fill: #424a53; }
    .head { font-weight: 600; }
    .end { text-anchor: end; }
    .rule { stroke: #d0d7de; }
    .bar0 { fill: #54aeff; } .bar1 { fill: #0969da; } .bar2 { fill: #0a3069; } .bar3 { fill: #8250df; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .small { fill: #b1bac4; }
      .rule { stroke: #30363d; }
      .bar0 { fill: #a5d6ff; } .bar1 { fill: #58a6ff; } .bar2 { fill: #1f6feb; } .bar3 { fill: #bc8cff; }
    }
  )";

struct Panel {
    const char* title;
    const char* format;
    double (*value)(const Summary&);
};
constexpr std::array panels{
    Panel{"First token, mean (s)", "%.2f", [](const Summary& s) { return s.mean; }},
    Panel{"First token, p90 (s)", "%.1f", [](const Summary& s) { return s.p90; }},
    Panel{"First token, p99 (s)", "%.1f", [](const Summary& s) { return s.p99; }},
    Panel{"Hit rate (%)", "%.1f", [](const Summary& s) { return s.hit_rate * 100; }},
    Panel{"Largest share / mean", "%.2f", [](const Summary& s) { return s.imbalance; }},
};

constexpr int margin = 16;
constexpr int label_width = 190;
constexpr int panel_width = 200;
constexpr int bar_room = 140;  // the rest of a panel is for the figure behind the bar
constexpr int bar_height = 11;
constexpr int bar_step = 13;
constexpr int group_gap = 9;
constexpr int head_height = 76;

std::string formatted(const char* format, double value) {
    char text[48];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

std::string escaped(std::string_view text) {
    std::string safe;
    for (const char c : text) {
        if (c == '<') {
            safe += "&lt;";
        } else if (c == '&') {
            safe += "&amp;";
        } else {
            safe += c;
        }
    }
    return safe;
}

void add_text(std::string& svg, int x, int y, std::string_view kind, std::string_view text) {
    svg += "  <text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" class=\"" +
           std::string{kind} + "\">" + escaped(text) + "</text>\n";
}

void add_bar(std::string& svg, int x, int y, double width, std::size_t setting) {
    svg += "  <rect x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" width=\"" +
           formatted("%.1f", std::max(width, 0.5)) + "\" height=\"" + std::to_string(bar_height) +
           "\" class=\"bar" + std::to_string(setting % 4) + "\"/>\n";
}

std::string name_of(const Row& row) {
    return std::to_string(row.backends) + " backends, " + std::to_string(row.gateways) +
           (row.gateways == 1 ? " gateway" : " gateways") + ", load " + formatted("%g", row.load);
}

template <class T>
std::size_t place_of(std::vector<T>& list, T value) {
    const auto found = std::find(list.begin(), list.end(), value);
    if (found != list.end()) return static_cast<std::size_t>(found - list.begin());
    list.push_back(std::move(value));
    return list.size() - 1;
}

}  // namespace

std::string svg_of(const TraceFigures& trace, std::span<const Row> rows) {
    std::vector<std::string> settings;
    std::vector<std::string> strategies;
    std::array<double, panels.size()> most{};
    for (const auto& row : rows) {
        place_of(settings, name_of(row));
        place_of(strategies, row.figures.strategy);
        for (std::size_t i = 0; i < panels.size(); ++i)
            most[i] = std::max(most[i], panels[i].value(row.figures));
    }
    const int group = static_cast<int>(settings.size()) * bar_step + group_gap;
    const int width = 2 * margin + label_width + static_cast<int>(panels.size()) * panel_width;
    const int height = head_height + static_cast<int>(strategies.size()) * group + margin;
    std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + std::to_string(width) +
                      " " + std::to_string(height) + "\" role=\"img\" aria-labelledby=\"title\">\n" +
                      "  <title id=\"title\">Strategies compared by simulation</title>\n  <style>" +
                      std::string{style} + "</style>\n";
    add_text(svg, margin, 22, "small",
             std::to_string(trace.requests) + " requests in " + formatted("%.0f", trace.seconds) + " s, " +
                 formatted("%.0f", trace.prompt_tokens) + " prompt and " +
                 formatted("%.0f", trace.output_tokens) + " answer tokens in the mean");
    int x = margin;
    for (std::size_t i = 0; i < settings.size(); ++i) {
        add_bar(svg, x, 31, 11, i);
        add_text(svg, x + 16, 41, "small", settings[i]);
        x += 30 + 6 * static_cast<int>(settings[i].size());
    }
    for (std::size_t i = 0; i < panels.size(); ++i)
        add_text(svg, margin + label_width + static_cast<int>(i) * panel_width, 66, "head", panels[i].title);
    for (std::size_t i = 0; i < strategies.size(); ++i) {
        const int top = head_height + static_cast<int>(i) * group;
        add_text(svg, margin, top + (group - group_gap) / 2 + 5, "", strategies[i]);
        svg += "  <path class=\"rule\" d=\"M " + std::to_string(margin) + " " +
               std::to_string(top - group_gap / 2 + 1) + " H " + std::to_string(width - margin) + "\"/>\n";
    }
    for (const auto& row : rows) {
        const auto setting = place_of(settings, name_of(row));
        const int y = head_height + static_cast<int>(place_of(strategies, row.figures.strategy)) * group +
                      static_cast<int>(setting) * bar_step;
        for (std::size_t i = 0; i < panels.size(); ++i) {
            const double value = panels[i].value(row.figures);
            const double length = most[i] > 0 ? bar_room * value / most[i] : 0;
            const int left = margin + label_width + static_cast<int>(i) * panel_width;
            add_bar(svg, left, y, length, setting);
            add_text(svg, left + static_cast<int>(length) + 5, y + 10, "small",
                     formatted(panels[i].format, value));
        }
    }
    return svg + "</svg>\n";
}

}  // namespace simulator
