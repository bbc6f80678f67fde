// Pads cells by the columns they take, not by their bytes.
#include "table.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "width.hpp"

namespace fairlead::ctl {
namespace {

constexpr std::string_view between = "  ";

}  // namespace

Table::Table(std::vector<Column> columns) : columns_{std::move(columns)} {
    for (const Column& column : columns_) widths_.push_back(display_width(column.title));
}

void Table::add(std::vector<std::string> cells) {
    if (cells.size() > columns_.size())
        throw std::invalid_argument{"a row has more cells than the table columns"};
    cells.resize(columns_.size());
    for (std::size_t i = 0; i < cells.size(); ++i) {
        cells[i] = printable(cells[i]);
        widths_[i] = std::max(widths_[i], display_width(cells[i]));
    }
    rows_.push_back(std::move(cells));
}

std::vector<std::string> Table::lines() const {
    std::vector<std::string> result;
    std::vector<std::string> titles;
    for (const Column& column : columns_) titles.push_back(column.title);
    const auto is_empty = [](const std::string& title) { return title.empty(); };
    if (!std::all_of(titles.begin(), titles.end(), is_empty)) result.push_back(line(titles));
    for (const auto& row : rows_) result.push_back(line(row));
    return result;
}

std::string Table::line(const std::vector<std::string>& cells) const {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) text += between;
        const std::string padding(widths_[i] - display_width(cells[i]), ' ');
        text += columns_[i].align == Align::right ? padding + cells[i] : cells[i] + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

}  // namespace fairlead::ctl
