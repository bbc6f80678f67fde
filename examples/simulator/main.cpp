// fairlead-simulator: which strategy would have served this traffic best?
//
//     fairlead-simulator --trace my.jsonl --backends 8 --load 0.7,1,1.25 --svg figures.svg
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "simulator/contestants.hpp"
#include "simulator/generator.hpp"
#include "simulator/options.hpp"
#include "simulator/report.hpp"

namespace {

using namespace simulator;

void write(const std::string& file, const std::string& text) {
    std::ofstream to{file, std::ios::binary};
    to << text;
    to.close();
    if (!to) throw std::runtime_error{file + ": cannot be written"};
}

std::vector<Row> simulate_all(const Options& options, const Trace& trace) {
    std::vector<Row> rows;
    for (const std::size_t backends : options.backends) {
        for (const std::size_t gateways : options.gateways) {
            for (const double load : options.loads) {
                for (const auto& strategy : options.strategies) {
                    Scenario scenario = options.scenario;
                    scenario.trace = &trace;
                    scenario.backends = backends;
                    scenario.gateways = gateways;
                    scenario.load = load;
                    const auto result = simulate(scenario, *find_contestant(strategy));
                    rows.push_back({backends, gateways, load, summary_of(result), {}});
                    if (options.interval > 0) rows.back().timeline = timeline_of(result, options.interval);
                }
            }
        }
    }
    return rows;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        Options options;
        if (const auto status = read_options(argc, argv, options)) return *status;
        const auto block_tokens = options.scenario.engine.block_tokens;
        const Trace trace =
            options.trace.empty() ? generate(options.traffic) : read_trace(options.trace, block_tokens);
        if (!options.write_trace.empty()) {
            std::ofstream to{options.write_trace, std::ios::binary};
            write_trace(to, trace);
            to.close();
            if (!to) throw std::runtime_error{options.write_trace + ": cannot be written"};
            return EXIT_SUCCESS;
        }
        const auto figures = figures_of(trace, block_tokens);
        const auto rows = simulate_all(options, trace);
        if (options.json == "-") {
            std::cout << json_of(figures, rows);
        } else {
            std::cout << figures.requests << " requests in " << static_cast<long>(figures.seconds) << " s, "
                      << static_cast<long>(figures.prompt_tokens) << " prompt and "
                      << static_cast<long>(figures.output_tokens) << " answer tokens in the mean, "
                      << static_cast<long>(figures.shared * 100 + 0.5)
                      << " % of the prompt tokens seen before\n\n"
                      << table_of(rows);
            if (!options.json.empty()) write(options.json, json_of(figures, rows));
        }
        if (!options.svg.empty()) write(options.svg, svg_of(figures, rows));
    } catch (const std::exception& error) {
        std::cerr << "fairlead-simulator: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
