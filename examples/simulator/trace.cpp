// Reading and writing traces, line by line.
#include "simulator/trace.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <istream>
#include <limits>
#include <ostream>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fairlead/model/rng.hpp>

#include <nlohmann/json.hpp>

namespace simulator {

namespace {

using nlohmann::json;

/// A line under examination: whatever is wrong names it.
class Line {
  public:
    Line(const std::string& text, const std::string& where) : where_{where} {
        // Depth: a line holds an object of numbers and one list; deeper ones are no trace.
        value_ = json::parse(
            text, [](int depth, json::parse_event_t, json&) { return depth <= 2; }, false);
        if (value_.is_discarded()) fail("is not JSON");
        if (!value_.is_object()) fail("must be an object, as {\"timestamp\": ...}");
    }

    std::uint64_t number(const char* field, std::uint64_t least, std::uint64_t most) const {
        const auto found = value_.find(field);
        if (found == value_.end()) fail(std::string{"has no "} + field);
        // Times come as 27482.0, too.
        const bool is_whole =
            found->is_number_float() && found->get<double>() >= 0 && found->get<double>() < 0x1p53;
        if (!found->is_number_unsigned() && !is_whole) fail(bad(field, *found, least, most));
        const auto value =
            is_whole ? static_cast<std::uint64_t>(found->get<double>()) : found->get<std::uint64_t>();
        if (value < least || value > most) fail(bad(field, *found, least, most));
        return value;
    }

    std::vector<std::uint64_t> ids(std::uint64_t prompt_tokens, std::uint32_t block_tokens) const {
        const auto found = value_.find("hash_ids");
        if (found == value_.end()) fail("has no hash_ids");
        if (!found->is_array()) fail("hash_ids must be a list of whole numbers");
        const std::uint64_t full = prompt_tokens / block_tokens;
        const std::uint64_t begun = (prompt_tokens + block_tokens - 1) / block_tokens;
        if (found->size() != full && found->size() != begun) {
            fail("hash_ids must hold a number for each " + std::to_string(block_tokens) +
                 " tokens of the prompt: " + std::to_string(begun) + " for " + std::to_string(prompt_tokens) +
                 ", got " + std::to_string(found->size()));
        }
        std::vector<std::uint64_t> ids;
        ids.reserve(found->size());
        for (const auto& each : *found) {
            if (!each.is_number_unsigned()) fail("hash_ids must be whole numbers, got " + each.dump());
            ids.push_back(each.get<std::uint64_t>());
        }
        return ids;
    }

  private:
    static std::string bad(const char* field, const json& got, std::uint64_t least, std::uint64_t most) {
        return std::string{field} + " must be a number from " + std::to_string(least) + " to " +
               std::to_string(most) + ", got " + got.dump().substr(0, 40);
    }
    [[noreturn]] void fail(const std::string& what) const { throw TraceError{where_ + ": " + what}; }

    const std::string& where_;
    json value_;
};

// Ten years of milliseconds: a trace that numbers its times from 1970 is told so, not simulated for ever.
constexpr std::uint64_t most_ms = std::uint64_t{10} * 366 * 86'400'000;
constexpr std::uint64_t most_tokens = 100'000'000;

}  // namespace

Trace read_trace(std::istream& from, const std::string& name, std::uint32_t block_tokens) {
    Trace trace;
    std::string text;
    for (std::size_t number = 1; std::getline(from, text); ++number) {
        if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
        const std::string where = name + ":" + std::to_string(number);
        const Line line{text, where};
        Request request;
        request.at = std::chrono::milliseconds{line.number("timestamp", 0, most_ms)};
        request.prompt_tokens = static_cast<std::uint32_t>(line.number("input_length", 1, most_tokens));
        request.output_tokens = static_cast<std::uint32_t>(line.number("output_length", 0, most_tokens));
        request.ids = line.ids(request.prompt_tokens, block_tokens);
        trace.push_back(std::move(request));
    }
    if (from.bad()) throw TraceError{name + ": cannot be read: " + std::strerror(errno)};
    if (trace.empty()) throw TraceError{name + ": holds no requests"};
    std::stable_sort(trace.begin(), trace.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    find_conversations(trace);
    return trace;
}

Trace read_trace(const std::string& file, std::uint32_t block_tokens) {
    std::ifstream from{file, std::ios::binary};
    if (!from) throw TraceError{file + ": cannot be opened: " + std::strerror(errno)};
    return read_trace(from, file, block_tokens);
}

void write_trace(std::ostream& to, const Trace& trace) {
    for (const auto& request : trace) {
        to << R"({"timestamp": )" << request.at / std::chrono::milliseconds{1} << R"(, "input_length": )"
           << request.prompt_tokens << R"(, "output_length": )" << request.output_tokens
           << R"(, "hash_ids": [)";
        for (std::size_t i = 0; i < request.ids.size(); ++i) to << (i == 0 ? "" : ", ") << request.ids[i];
        to << "]}\n";
    }
}

void find_conversations(std::span<Request> trace, std::size_t followers) {
    // A block's different followers, counted no further than needed.
    std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> next;
    for (const auto& request : trace) {
        for (std::size_t i = 0; i + 1 < request.ids.size(); ++i) {
            auto& known = next[request.ids[i]];
            if (known.size() >= followers) continue;
            if (std::find(known.begin(), known.end(), request.ids[i + 1]) == known.end())
                known.push_back(request.ids[i + 1]);
        }
    }
    for (auto& request : trace) {
        if (request.ids.empty()) continue;
        std::size_t own = 0;
        for (std::size_t i = 0; i + 1 < request.ids.size(); ++i) {
            const auto found = next.find(request.ids[i]);
            if (found != next.end() && found->second.size() >= followers) own = i + 1;
        }
        request.conversation = fairlead::Rng::mix(request.ids[own] + 1);
    }
}

TraceFigures figures_of(std::span<const Request> trace, std::uint32_t block_tokens) {
    TraceFigures figures;
    std::unordered_set<std::uint64_t> seen;
    double shared = 0;
    for (const auto& request : trace) {
        std::size_t held = 0;
        while (held < request.ids.size() && seen.contains(request.ids[held])) ++held;
        seen.insert(request.ids.begin(), request.ids.end());
        shared += std::min<double>(request.prompt_tokens, static_cast<double>(held) * block_tokens);
        figures.prompt_tokens += request.prompt_tokens;
        figures.output_tokens += request.output_tokens;
    }
    figures.requests = trace.size();
    if (trace.empty()) return figures;
    figures.seconds = std::chrono::duration<double>(trace.back().at - trace.front().at).count();
    figures.shared = shared / figures.prompt_tokens;
    figures.prompt_tokens /= static_cast<double>(trace.size());
    figures.output_tokens /= static_cast<double>(trace.size());
    return figures;
}

}  // namespace simulator
