// Reads HTTP/1.x messages as they come from a socket, strictly: what is ambiguous is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include <fairlead/transport/http_message.hpp>

namespace fairlead {

/// What a message may measure at most. The defaults are what common servers take.
struct HttpLimits {
    std::size_t max_head_bytes = std::size_t{64} * 1024;  ///< start line and headers, also of each trailer
    std::size_t max_headers = 200;                        ///< header fields; trailers are thrown away
    std::uint64_t max_body_bytes = std::numeric_limits<std::uint64_t>::max();
};

/// Reads requests (in a server) or responses (in a client), one message after the other.
///
///     fairlead::HttpParser parser{fairlead::HttpParser::Kind::request};
///     while (!data.empty() && !done) {
///         const auto step = parser.feed(data);                  // at most one piece of body each time
///         if (step.error) return refuse(fairlead::refusal_status(step.error), step.error.message());
///         data = data.subspan(step.consumed);
///         body.append(step.body);                               // a view into `data`: no copy was made
///         done = step.message_complete;
///     }
///     fairlead::HttpRequest request = parser.take_request();     // headers; set the body yourself
///     parser.next();                                             // what is left of `data` is the next
///     message
///
/// Bytes may come in any pieces. `feed` stops at the end of the head, after each piece of the body and at the
/// message's end, so that whoever feeds it sees these in order; it copies nothing of a body.
///
/// What it refuses, each with an error of its own (`TransportErrc`): lone LF and CR, NUL and other control
/// bytes, folded headers, blanks before the colon, a missing, second or malformed `Host`, more than one
/// `Content-Length`, one beside `Transfer-Encoding`, every transfer coding but plain `chunked`, any in
/// HTTP/1.0, versions other than 1.0 and 1.1, bytes over 0x7f in a target, chunks not ended by CRLF, CONNECT,
/// 101, and what is over a limit. `Upgrade` in a request is ignored, as RFC 9110 (7.8) allows.
///
/// Interim responses (1xx) are skipped. After an error the parser stays in error.
///
/// Threads: one at a time. Cost: one allocation when made; headers allocate as strings do.
class HttpParser {
  public:
    enum class Kind : std::uint8_t { request, response };

    /// What one call of `feed` or `finish` did.
    struct Step {
        std::size_t consumed = 0;       ///< bytes of the input that were used
        std::error_code error{};        ///< why the message is refused
        bool head_complete = false;     ///< the head is whole: in this step or before
        bool message_complete = false;  ///< the message is whole; `next()` begins another
        bool paused = false;            ///< stopped before the input's end, for the caller to look
        std::string_view body{};        ///< a piece of the body: a view into the input
    };

    explicit HttpParser(Kind kind, HttpLimits limits = {});
    ~HttpParser();
    HttpParser(HttpParser&&) noexcept;
    HttpParser& operator=(HttpParser&&) noexcept;

    /// Reads on. Uses at least one byte of an input that is not empty, unless the message is complete or
    /// refused.
    Step feed(std::span<const char> input);

    /// The peer will send no more. Completes a response whose body runs to the connection's end; a message
    /// begun and not complete is an error; `TransportErrc::closed` when nothing of it had come.
    Step finish();

    /// Begins the next message: forgets the one before, keeps kind and limits.
    void next();

    /// For responses, before the first byte: the method that is answered. A response to HEAD has no body.
    void answer_to(std::string_view method) noexcept;

    /// Whether any byte of the present message has come.
    bool began() const noexcept;
    bool head_complete() const noexcept;
    bool message_complete() const noexcept;

    // Of the head, once it is complete:

    std::string_view method() const noexcept;
    std::string_view target() const noexcept;
    int status() const noexcept;
    std::string_view reason() const noexcept;
    const HttpHeaders& headers() const noexcept;
    int minor_version() const noexcept;  ///< 0 or 1, of HTTP/1.x

    bool chunked() const noexcept;
    /// The body's length where the head tells it (0 where there is no body); none when chunked or to the
    /// connection's end.
    std::optional<std::uint64_t> content_length() const noexcept;

    /// Whether the connection can carry another message after this one.
    bool keep_alive() const noexcept;

    /// The head moved out, without body. Does not disturb the reading of the body.
    HttpRequest take_request();
    HttpResponse take_response();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// What a server answers to a request that was refused with `error`: 431 head too large, 413 body too large,
/// 505 version, 501 unknown method and CONNECT, else 400; also for a transfer coding that is not plain
/// `chunked`: where its body ends would be each server's guess.
int refusal_status(std::error_code error) noexcept;

}  // namespace fairlead
