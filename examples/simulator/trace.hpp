// Requests of a fleet in the order in which they came: from a file of one's own, or from a generator.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <fairlead/model/time.hpp>

namespace simulator {

/// One request as a trace tells of it.
struct Request {
    fairlead::Duration at{};  ///< since the trace's beginning
    std::uint32_t prompt_tokens = 1;
    std::uint32_t output_tokens = 1;
    std::vector<std::uint64_t> ids{};  ///< a number a block of the prompt; equal ones are equal up to there
    std::uint64_t conversation = 0;    ///< block that tells its conversation from others; 0: none does

    bool operator==(const Request&) const = default;
};

using Trace = std::vector<Request>;

/// What is wrong with a trace: a sentence that begins with the file's name and the line.
struct TraceError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Reads JSON lines as published with Mooncake (FAST 2025): `timestamp` (ms), `input_length`, `output_length`
/// (tokens) and `hash_ids`, one for each block of `block_tokens` prompt tokens (the last one may be short,
/// and its number left out). Other fields are ignored, and so are empty lines. Lines need not be in order of
/// time. `name` is for errors. Throws `TraceError`.
Trace read_trace(std::istream& from, const std::string& name, std::uint32_t block_tokens);

/// The file of that name. Throws `TraceError`, too, when it cannot be read.
Trace read_trace(const std::string& file, std::uint32_t block_tokens);

/// Writes what `read_trace` reads.
void write_trace(std::ostream& to, const Trace& trace);

/// Fills in `Request::conversation`: the first block behind what prompts have in common. A block that at
/// least this many different ones follow belongs to a system prompt; a conversation's own blocks are followed
/// by its next turn, and a few others where somebody asked again.
///
/// A trace does not say where a system prompt ends; a gateway sees it in the request.
void find_conversations(std::span<Request> trace, std::size_t followers = 8);

/// What a trace is like, for a reader who compares it with their own traffic.
struct TraceFigures {
    std::size_t requests = 0;
    double seconds = 0;
    double prompt_tokens = 0;  ///< mean
    double output_tokens = 0;  ///< mean
    double shared = 0;         ///< share of prompt tokens that one unbounded cache for all would hold
};
TraceFigures figures_of(std::span<const Request> trace, std::uint32_t block_tokens);

}  // namespace simulator
