// Which header fields pass through a proxy, and what a path may look like.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <fairlead/transport/http_message.hpp>

namespace gateway {

/// Takes out what concerns one connection only (RFC 9110, 7.6.1): `Connection` and the fields it names,
/// `Transfer-Encoding`, `Keep-Alive`, `TE`, `Trailer`, `Upgrade`, the `Proxy-` ones; and `Expect`, which the
/// gateway has met already.
void remove_hop_by_hop(fairlead::HttpHeaders& headers);

/// The body's length as the head says it; empty when it says none.
std::optional<std::uint64_t> content_length(const fairlead::HttpHeaders& headers);

/// A backend's name as it goes into a header: every byte but letters, digits and -._~ percent-encoded.
std::string percent_encoded(std::string_view name);

/// Whether a path has a segment "." or "..", also percent-encoded: what it means would be each backend's
/// guess, and could lie outside /v1/.
bool has_dot_segment(std::string_view path);

/// Whether the request makes the backend keep something, so that sending it twice would make two: uploads,
/// batches, fine-tuning, assistants, threads, vector stores, and every DELETE.
bool stores_something(std::string_view method, std::string_view path);

}  // namespace gateway
