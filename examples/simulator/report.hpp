// What is shown of simulations: a table, JSON, a picture.
#pragma once

#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "simulator/result.hpp"
#include "simulator/trace.hpp"

namespace simulator {

/// One simulation's figures, and in what it differed from the others.
struct Row {
    std::size_t backends = 0;
    std::size_t gateways = 1;
    double load = 1;
    Summary figures{};
    std::vector<Interval> timeline{};  ///< empty: not asked for
};

/// Rows of one setting stand together; in each setting the best of a column carries a star.
std::string table_of(std::span<const Row> rows);

/// An object: `trace` and `rows`. Seconds, shares from 0 to 1, counts, nanoseconds, as the names say.
std::string json_of(const TraceFigures& trace, std::span<const Row> rows);

/// A bar for each strategy and setting: time to the first token (mean, p90, p99), hit rate, largest share.
/// Follows the reader's light or dark mode.
std::string svg_of(const TraceFigures& trace, std::span<const Row> rows);

}  // namespace simulator
