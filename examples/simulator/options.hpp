// What the program is asked to do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "simulator/generator.hpp"
#include "simulator/scenario.hpp"

namespace simulator {

struct Options {
    std::string trace{};  ///< file to read; empty: generate
    Traffic traffic{};
    std::string write_trace{};  ///< file to which the trace is written, which is then not simulated
    std::vector<std::string> strategies{};
    std::vector<double> loads{1.0};
    std::vector<std::size_t> backends{8};
    std::vector<std::size_t> gateways{1};
    Scenario scenario{};  ///< what all simulations have in common
    double interval = 0;  ///< seconds of the timeline in JSON; 0: none
    std::string json{};   ///< file to write, "-" for the standard output instead of the table
    std::string svg{};    ///< file to write
};

/// Reads the command line. The status with which to leave, when there is no more to do.
std::optional<int> read_options(int argc, const char* const* argv, Options& options);

/// `restart:BACKEND@SECONDS[+DOWN]`, `add@SECONDS`, `prompt@SECONDS`, `estimates:FACTOR@SECONDS`, separated
/// by commas. What is wrong with the text, or nothing.
std::string read_happenings(const std::string& text, std::vector<Happening>& happenings);

}  // namespace simulator
