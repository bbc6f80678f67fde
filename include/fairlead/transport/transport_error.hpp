// Every way in which an exchange over HTTP can fail, in one list, as sentences.
#pragma once

#include <system_error>

namespace fairlead {

/// What went wrong between us and a peer. Cancelling is `Errc::cancelled`, the caller's deadline
/// `Errc::deadline_passed`: they say nothing about the peer.
enum class TransportErrc {
    // no connection
    bad_url = 1,
    name_not_found,
    connection_refused,
    unreachable,
    connect_timeout,
    tls_failed,
    certificate_refused,
    // the exchange
    write_failed,
    write_timeout,
    closed,
    closed_before_response,
    closed_in_head,
    connection_reset,
    response_timeout,
    first_byte_timeout,
    idle_timeout,
    total_timeout,
    // the body
    truncated_length,
    truncated_chunks,
    truncated_tls,
    response_too_large,
    // our own request
    bad_method,
    bad_target_to_send,
    bad_header_to_send,
    // what a parser refuses
    not_http,
    bad_start_line,
    unknown_method,
    unsupported_version,
    bad_target,
    bad_status,
    bad_header,
    bad_header_name,
    space_before_colon,
    folded_header,
    lone_line_feed,
    lone_carriage_return,
    control_byte,
    missing_host,
    duplicate_host,
    bad_host,
    bad_content_length,
    duplicate_content_length,
    length_with_transfer_encoding,
    bad_transfer_encoding,
    transfer_encoding_in_http_1_0,
    bad_chunk_size,
    bad_chunk_extension,
    bad_chunk_end,
    connect_refused,
    unexpected_upgrade,
    head_too_large,
    too_many_headers,
    too_many_interim_responses,
    body_too_large
};

/// The category of `TransportErrc`. Thread safe.
const std::error_category& transport_category() noexcept;

inline std::error_code make_error_code(TransportErrc e) noexcept {
    return {static_cast<int>(e), transport_category()};
}

/// Whether this error is one of time: connect, write, response, first byte, idle, total, or the deadline.
bool is_timeout(std::error_code error) noexcept;

}  // namespace fairlead

template <>
struct std::is_error_code_enum<fairlead::TransportErrc> : std::true_type {};
