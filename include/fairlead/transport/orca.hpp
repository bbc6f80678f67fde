// What an answer's header says of its backend's load: ORCA, the open request cost aggregation of Envoy.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include <fairlead/model/load_report.hpp>

namespace fairlead {

/// The request header that asks for it (`TEXT` or `JSON`), and the response header that brings it.
inline constexpr std::string_view orca_request_header = "endpoint-load-metrics-format";
inline constexpr std::string_view orca_response_header = "endpoint-load-metrics";

/// A header beyond this says nothing: vLLM's has less than a hundred bytes.
inline constexpr std::size_t max_orca_bytes = std::size_t{8} * 1024;

/// Reads the header's value as vLLM and Triton write it, with or without `TEXT ` or `JSON ` before it:
///
///     TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=3
///     JSON {"named_metrics": {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3}}
///
/// Of the named metrics it takes the use of the key-value cache, the requests running and waiting, and prompt
/// tokens waiting. What is absent or cannot be true is unknown; nothing at all when the value is broken
/// anywhere, too long, or has none of these. The time is the caller's to set. Any thread; O(size).
std::optional<LoadReport> read_orca(std::string_view value);

}  // namespace fairlead
