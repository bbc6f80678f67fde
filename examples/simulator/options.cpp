// The program's options, and the small languages of some of them.
#include "simulator/options.hpp"

#include <charconv>
#include <chrono>
#include <string_view>
#include <utility>

#include <fairlead/version.hpp>

#include "command_line.hpp"
#include "simulator/contestants.hpp"

namespace simulator {

namespace {

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (true) {
        const auto comma = text.find(',');
        parts.emplace_back(text.substr(0, comma));
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    return result.ec == std::errc{} && result.ptr == text.data() + text.size();
}

/// Several numbers, separated by commas.
template <class Number>
CommandLine::Take numbers(std::vector<Number>& target, Number least, Number most, std::string range) {
    return [&target, least, most, range = std::move(range)](const std::string& value) {
        std::vector<Number> list;
        for (const auto& part : split(value)) {
            Number number{};
            if (!read_number(part, number) || !(number >= least && number <= most))
                return "must be numbers from " + range + ", separated by commas, got \"" + part + "\"";
            list.push_back(number);
        }
        target = std::move(list);
        return std::string{};
    };
}

CommandLine::Take strategies(std::vector<std::string>& target) {
    return [&target](const std::string& value) {
        std::vector<std::string> list;
        for (auto& part : split(value)) {
            if (find_contestant(part) == nullptr) {
                std::string known;
                for (const auto& one : contestants()) known += (known.empty() ? "" : ", ") + one.name;
                return "unknown strategy \"" + part + "\"; known are " + known;
            }
            list.push_back(std::move(part));
        }
        target = std::move(list);
        return std::string{};
    };
}

std::string known_strategies() {
    std::string text = "Strategies:\n";
    for (const auto& one : contestants())
        text += "  " + one.name + (one.note.empty() ? "" : " (" + one.note + ")") + "\n";
    return text +
           "\nEvents, separated by commas, at seconds since the trace's beginning:\n"
           "  restart:BACKEND@SECONDS[+DOWN]  it breaks what it works on, loses its cache, is away for DOWN "
           "seconds\n"
           "  add@SECONDS                     one more backend, with an empty cache\n"
           "  prompt@SECONDS                  another system prompt: nothing cached is of use any more\n"
           "  estimates:FACTOR@SECONDS        prompts are estimated that many times too long\n";
}

Duration seconds(double count) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(count));
}

}  // namespace

std::string read_happenings(const std::string& text, std::vector<Happening>& happenings) {
    std::vector<Happening> list;
    for (const auto& part : split(text)) {
        const auto bad = [&](const std::string& what) { return "\"" + part + "\": " + what; };
        const auto at = part.find('@');
        if (at == std::string::npos) return bad("needs a time, as in restart:2@600");
        std::string_view what{part};
        std::string_view when = what.substr(at + 1);
        what = what.substr(0, at);
        std::string_view argument;
        if (const auto colon = what.find(':'); colon != std::string_view::npos) {
            argument = what.substr(colon + 1);
            what = what.substr(0, colon);
        }
        Happening happening;
        if (what == "restart") {
            happening.kind = Happening::Kind::restart;
            if (!read_number(argument, happening.backend))
                return bad("restart needs a backend's number, from 0");
            if (const auto plus = when.find('+'); plus != std::string_view::npos) {
                double down = 0;
                if (!read_number(when.substr(plus + 1), down) || !(down >= 0 && down < 1e6))
                    return bad("the time away must be a number of seconds");
                happening.down = seconds(down);
                when = when.substr(0, plus);
            }
        } else if (what == "estimates") {
            happening.kind = Happening::Kind::estimates;
            if (!read_number(argument, happening.factor) ||
                !(happening.factor > 0 && happening.factor <= 1'000))
                return bad("estimates needs a factor, above 0 and at most 1000");
        } else if (what == "add" || what == "prompt") {
            happening.kind = what == "add" ? Happening::Kind::add : Happening::Kind::prompt;
            if (!argument.empty()) return bad(std::string{what} + " takes only a time");
        } else {
            return bad("unknown event; known are restart, add, prompt, estimates");
        }
        double time = 0;
        if (!read_number(when, time) || !(time >= 0 && time < 1e9))
            return bad("the time must be a number of seconds");
        happening.at = seconds(time);
        list.push_back(happening);
    }
    happenings = std::move(list);
    return {};
}

std::optional<int> read_options(int argc, const char* const* argv, Options& options) {
    CommandLine line{
        "fairlead-simulator",
        "which strategy would have served this traffic best? Runs fairlead's own balancers in virtual "
        "time, before a\nmodel of inference engines with continuous batching and block caches.",
        FAIRLEAD_VERSION};
    auto& scenario = options.scenario;
    auto& engine = scenario.engine;
    auto& traffic = options.traffic;
    line.add("--trace", "FILE", "requests as JSON lines in Mooncake's format; without it they are generated",
             options.trace);
    line.add("--strategies", "LIST", "names, separated by commas [all but the baselines]",
             strategies(options.strategies));
    line.add("--load", "LIST", "how fast the trace is played, relative to its own times [1]",
             numbers(options.loads, 0.001, 1'000.0, "0.001 to 1000"));
    line.add("--backends", "LIST", "how many engines [8]",
             numbers(options.backends, std::size_t{1}, std::size_t{1'000}, "1 to 1000"));
    line.add("--speeds", "LIST",
             "of the backends in order, relative to the engine described; of others 1 [1]",
             numbers(scenario.speeds, 0.001, 1'000.0, "0.001 to 1000"));
    line.add(
        "--weights", "LIST", "of the backends in order, as the gateways are told; of others 1 [1]",
        numbers(scenario.weights, 1U, fairlead::max_weight, "1 to " + std::to_string(fairlead::max_weight)));
    line.add("--gateways", "LIST", "how many gateways share them, each seeing its own requests only [1]",
             numbers(options.gateways, std::size_t{1}, std::size_t{1'000}, "1 to 1000"));
    line.add("--owner", "whether gateways know that they are several", scenario.owner,
             {{"on", true}, {"off", false}});
    line.add("--signals", "what gateways read from the engines' metrics; tokens: waiting prompt tokens, too",
             scenario.signals, {{"off", Signals::off}, {"on", Signals::on}, {"tokens", Signals::tokens}});
    line.add("--events", "LIST", "what happens meanwhile; see below",
             [&](const std::string& value) { return read_happenings(value, scenario.happenings); });
    line.add("--estimate", "how long prompts are believed to be, relative to what they are",
             scenario.estimate, 0.001, 1'000.0);
    line.add("--believed-blocks", "a backend's cache as the balancer believes; 0: as it is",
             scenario.believed_blocks, std::size_t{0}, std::size_t{100'000'000});
    line.add("--max-connections", "of each backend, in each gateway", scenario.max_connections, 1U,
             fairlead::max_connections_limit);
    line.add("--retries", "of a request whose backend failed, elsewhere", scenario.retries, 0U, 100U);
    line.add("--seed", "of chance: another one is another run of the same", scenario.seed, std::uint64_t{0},
             ~std::uint64_t{0} / 2'000);

    line.add("--prefill-rate", "prompt tokens an engine computes in a second", engine.prefill_rate, 1.0, 1e9);
    line.add("--step-tokens", "tokens of one step of an engine at most", engine.step_tokens, 1U, 10'000'000U);
    line.add("--batch", "requests that an engine runs together at most", engine.max_batch, 1U, 100'000U);
    line.add("--step-ms", "N", "milliseconds of a step at least [20]", [&](const std::string& value) {
        double milliseconds = 0;
        if (!read_number(value, milliseconds) || !(milliseconds >= 0.001 && milliseconds <= 60'000))
            return std::string{"must be a number from 0.001 to 60000, got \""} + value + "\"";
        engine.step = seconds(milliseconds / 1'000);
        return std::string{};
    });
    line.add("--step-us-per-request", "N", "microseconds more for each request that decodes [300]",
             [&](const std::string& value) {
                 double microseconds = 0;
                 if (!read_number(value, microseconds) || !(microseconds >= 0 && microseconds <= 1e6))
                     return std::string{"must be a number from 0 to 1000000, got \""} + value + "\"";
                 engine.step_per_decoding = seconds(microseconds / 1e6);
                 return std::string{};
             });
    line.add("--room", "tokens of all requests that an engine runs, prompts and answers", engine.room,
             std::uint64_t{1'000}, std::uint64_t{10'000'000'000});
    line.add("--cache-blocks", "blocks of past prompts that an engine keeps", engine.cache_blocks,
             std::size_t{0}, std::size_t{100'000'000});
    line.add("--block-tokens", "tokens of a block, in the trace and in the engines", engine.block_tokens, 1U,
             1'000'000U);

    line.add("--generate", "requests to generate, when there is no trace", traffic.requests, std::size_t{1},
             std::size_t{10'000'000});
    line.add("--rate", "of these a second", traffic.rate, 0.001, 1e6);
    line.add("--turns", "of a conversation, in the mean", traffic.turns, 1.0, 1'000.0);
    line.add("--common-tokens", "with which every prompt begins", traffic.common_tokens, 0U, 100'000U);
    line.add("--system-tokens", "of an application's system prompt behind that, in the median",
             traffic.system_tokens, 1U, 100'000U);
    line.add("--applications", "each with a system prompt of its own", traffic.applications, 1U, 100'000U);
    line.add("--write-trace", "FILE", "write the trace instead of simulating it", options.write_trace);

    line.add("--svg", "FILE", "draw the figures", options.svg);
    line.add("--json", "FILE", "write the figures; - instead of the table", options.json);
    line.add("--interval", "with --json: the figures of every so many seconds, too; 0: not", options.interval,
             0.0, 1e6);
    line.footer(known_strategies);
    if (const auto status = line.read(argc, argv)) return status;
    traffic.block_tokens = engine.block_tokens;
    traffic.seed = scenario.seed;
    if (options.strategies.empty()) {
        for (const auto& one : contestants()) {
            if (one.is_usual) options.strategies.push_back(one.name);
        }
    }
    return std::nullopt;
}

}  // namespace simulator
