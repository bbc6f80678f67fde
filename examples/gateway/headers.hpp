// Which header fields pass through a proxy, and what a path may look like.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fairlead/transport/http_message.hpp>

namespace gateway {

/// Takes out what concerns one connection only (RFC 9110, 7.6.1): `Connection` and the fields it names,
/// `Transfer-Encoding`, `Keep-Alive`, `TE`, `Trailer`, `Upgrade`, the `Proxy-` ones; and `Expect`, which the
/// gateway has met already.
void remove_hop_by_hop(fairlead::HttpHeaders& headers);

/// The field in which a request names tags, `X-Fairlead-Tags: a, b`: the backend must have all of them.
inline constexpr std::string_view tags_header = "X-Fairlead-Tags";

/// More than anybody tells backends apart by; it bounds what a client's list costs each choice.
inline constexpr std::size_t most_tags = 16;

/// Takes `X-Fairlead-Tags` out, which is meant for the gateway alone. The tags of all such fields, sorted and
/// each once: the order in which a client names them must not make another subset of the backends. Nothing
/// when they are more than `most_tags`. Allocates nothing when there is no such field.
std::optional<std::vector<std::string>> take_tags(fairlead::HttpHeaders& headers);

/// A Content-Type without its parameters, in lower case.
std::string media_type(std::string_view content_type);

/// Whether an answer must end with `data: [DONE]`: a stream of events from /v1/chat/completions or
/// /v1/completions. Others (/v1/responses, /v1/messages) end with events of their own, which engines do not
/// agree on: there the framing of HTTP alone tells. So it does for what is compressed.
bool ends_with_done(std::string_view method, std::string_view path, const fairlead::HttpResponse& head);

/// Whether an answer is a good stream of events whose bytes can be read: its events are its tokens, or
/// nearly.
bool is_stream_of_events(const fairlead::HttpResponse& head);

/// Whether an answer is a good one in JSON that can be read. It and a stream of events may tell their tokens.
bool is_json(const fairlead::HttpResponse& head);

/// The body's length as the head says it; empty when it says none.
std::optional<std::uint64_t> content_length(const fairlead::HttpHeaders& headers);

/// A backend's name as it goes into a header: every byte but letters, digits and -._~ percent-encoded.
std::string percent_encoded(std::string_view name);

/// Whether a path has a segment "." or "..", also percent-encoded: what it means would be each backend's
/// guess, and could lie outside /v1/.
bool has_dot_segment(std::string_view path);

/// Whether the request makes the backend keep something, so that sending it twice would make two: files,
/// uploads, batches, fine-tuning, evaluations, assistants, threads, vector stores, containers, conversations,
/// responses (which are stored unless the request says otherwise), videos, and every DELETE.
bool stores_something(std::string_view method, std::string_view path);

}  // namespace gateway
