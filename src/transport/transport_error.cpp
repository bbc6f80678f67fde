// The sentences of `TransportErrc`.
#include <fairlead/transport/transport_error.hpp>

#include <string>

#include <fairlead/model/error.hpp>

namespace fairlead {
namespace {

const char* sentence(TransportErrc e) noexcept {
    switch (e) {
        case TransportErrc::bad_url:
            return "the backend's url is not http:// or https:// with a host";
        case TransportErrc::name_not_found:
            return "the backend's host name could not be resolved";
        case TransportErrc::connection_refused:
            return "the backend refused the connection: nothing listens there";
        case TransportErrc::unreachable:
            return "no connection to the backend: its host or network is unreachable";
        case TransportErrc::connect_timeout:
            return "no connection to the backend within connect_timeout";
        case TransportErrc::tls_failed:
            return "the TLS handshake with the backend failed";
        case TransportErrc::certificate_refused:
            return "the backend's certificate is not trusted or names another host (ca_file gives more "
                   "authorities)";
        case TransportErrc::write_failed:
            return "the backend closed the connection while the request was being sent";
        case TransportErrc::write_timeout:
            return "the backend did not take the request within timeout";
        case TransportErrc::closed:
            return "the peer closed the connection between two messages";
        case TransportErrc::closed_before_response:
            return "the backend closed the connection before it answered";
        case TransportErrc::closed_in_head:
            return "the connection was closed in the middle of a message's head";
        case TransportErrc::connection_reset:
            return "the backend reset the connection";
        case TransportErrc::response_timeout:
            return "the backend sent no response head within timeout";
        case TransportErrc::first_byte_timeout:
            return "the backend sent a head and then no body within first_byte_timeout";
        case TransportErrc::idle_timeout:
            return "the backend fell silent in the middle of the body for longer than idle_timeout";
        case TransportErrc::total_timeout:
            return "the exchange took longer than total_timeout";
        case TransportErrc::truncated_length:
            return "the connection was closed before Content-Length bytes of body had come";
        case TransportErrc::truncated_chunks:
            return "the connection was closed before the last chunk of the body";
        case TransportErrc::truncated_tls:
            return "the TLS connection was cut before the end of the body";
        case TransportErrc::response_too_large:
            return "the response's body is larger than max_response_bytes";
        case TransportErrc::bad_method:
            return "the request's method is not a token; nothing was sent";
        case TransportErrc::bad_target_to_send:
            return "the request's target must begin with '/' and hold visible ASCII only; nothing was sent";
        case TransportErrc::bad_header_to_send:
            return "a header of the request has a name that is no token or a control byte in its value; "
                   "nothing "
                   "was sent";
        case TransportErrc::not_http:
            return "what came is not HTTP";
        case TransportErrc::bad_start_line:
            return "the message's first line is malformed";
        case TransportErrc::unknown_method:
            return "the request's method is not known";
        case TransportErrc::unsupported_version:
            return "the HTTP version is neither 1.0 nor 1.1";
        case TransportErrc::bad_target:
            return "the request's target holds bytes that must be percent-encoded, or is malformed";
        case TransportErrc::bad_status:
            return "the response's status is not a number from 100 to 599";
        case TransportErrc::bad_header:
            return "a header line has no colon or is malformed";
        case TransportErrc::bad_header_name:
            return "a header's name is empty or holds a character that no name may have";
        case TransportErrc::space_before_colon:
            return "a header has a blank before its colon";
        case TransportErrc::folded_header:
            return "a header is continued on the next line, which is obsolete";
        case TransportErrc::lone_line_feed:
            return "a line ends with LF alone instead of CRLF";
        case TransportErrc::lone_carriage_return:
            return "a CR stands alone, without LF";
        case TransportErrc::control_byte:
            return "the head holds NUL or another control byte";
        case TransportErrc::missing_host:
            return "an HTTP/1.1 request must have a Host header";
        case TransportErrc::duplicate_host:
            return "the request has more than one Host header";
        case TransportErrc::bad_host:
            return "the Host header is not a host with an optional port";
        case TransportErrc::bad_content_length:
            return "Content-Length is not a decimal number below 2^63";
        case TransportErrc::duplicate_content_length:
            return "the message has more than one Content-Length";
        case TransportErrc::length_with_transfer_encoding:
            return "the message has both Content-Length and Transfer-Encoding";
        case TransportErrc::bad_transfer_encoding:
            return "the only transfer coding understood is chunked, given once";
        case TransportErrc::transfer_encoding_in_http_1_0:
            return "HTTP/1.0 has no Transfer-Encoding";
        case TransportErrc::bad_chunk_size:
            return "a chunk's size is not a hexadecimal number of at most 15 digits";
        case TransportErrc::bad_chunk_extension:
            return "a chunk's extension is malformed or too long";
        case TransportErrc::bad_chunk_end:
            return "a chunk's data is not followed by CRLF";
        case TransportErrc::connect_refused:
            return "CONNECT is not supported: this is not a tunnel";
        case TransportErrc::unexpected_upgrade:
            return "the backend switched protocols without being asked";
        case TransportErrc::head_too_large:
            return "the message's head is too large (max_head_bytes)";
        case TransportErrc::too_many_headers:
            return "the message has too many headers (max_headers)";
        case TransportErrc::too_many_interim_responses:
            return "more than 16 interim responses (100 Continue, 103 Early Hints) came, and no answer";
        case TransportErrc::body_too_large:
            return "the message's body is too large (max_body_bytes)";
    }
    return nullptr;
}

class TransportCategory final : public std::error_category {
  public:
    const char* name() const noexcept override { return "fairlead.transport"; }

    std::string message(int value) const override {
        if (const char* text = sentence(static_cast<TransportErrc>(value))) return text;
        return "unknown transport error " + std::to_string(value);
    }
};

}  // namespace

const std::error_category& transport_category() noexcept {
    static const TransportCategory category;
    return category;
}

bool is_timeout(std::error_code error) noexcept {
    if (error == make_error_code(Errc::deadline_passed)) return true;
    if (error.category() != transport_category()) return false;
    switch (static_cast<TransportErrc>(error.value())) {
        case TransportErrc::connect_timeout:
        case TransportErrc::write_timeout:
        case TransportErrc::response_timeout:
        case TransportErrc::first_byte_timeout:
        case TransportErrc::idle_timeout:
        case TransportErrc::total_timeout:
            return true;
        default:
            return false;
    }
}

}  // namespace fairlead
