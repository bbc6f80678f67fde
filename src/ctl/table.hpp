// Rows and columns that line up on a terminal, whatever script they are written in.
//
//     Table table{{{"NAME"}, {"WEIGHT", Align::right}}};
//     table.add({"主力", "3"});
//     for (const std::string& line : table.lines()) out << line << '\n';
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::ctl {

enum class Align : std::uint8_t { left, right };

struct Column {
    std::string title{};
    Align align = Align::left;
};

/// Keeps the rows and finds out how wide each column must be. Cells are made printable (see `printable`).
class Table {
  public:
    explicit Table(std::vector<Column> columns);

    /// A row; what is missing at its end is empty. Throws `std::invalid_argument` when it has more cells than
    /// there are columns.
    void add(std::vector<std::string> cells);

    /// The titles, unless all are empty, and the rows. Two blanks stand between columns, none at a line's
    /// end.
    std::vector<std::string> lines() const;

  private:
    std::string line(const std::vector<std::string>& cells) const;

    std::vector<Column> columns_;
    std::vector<std::size_t> widths_;
    std::vector<std::vector<std::string>> rows_{};
};

}  // namespace fairlead::ctl
