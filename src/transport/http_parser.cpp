// Start lines by llhttp, header fields by a scanner that refuses what llhttp lets pass; framing of bodies by
// our own rules.
#include <fairlead/transport/http_parser.hpp>

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include <llhttp.h>

#include <fairlead/transport/transport_error.hpp>

#include "chunk_decoder.hpp"
#include "head_scanner.hpp"
#include "header_list.hpp"

namespace fairlead {

using detail::HeadScanner;

// Most messages have fewer fields; more make the list grow.
constexpr std::size_t usual_headers = 8;

// Before a response. One or two are usual; each is read as a head, and without a bound there could be any
// number of them. The sentence of the error says it, too.
constexpr int most_interim = 16;

struct HttpParser::State {
    enum class Framing : std::uint8_t { none, length, chunked, to_end };

    State(Kind k, HttpLimits l) : kind{k}, limits{l}, scanner{begin()} { restart_head(); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() = default;

    HeadScanner::Begin begin() const noexcept {
        return kind == Kind::request ? HeadScanner::Begin::request_line : HeadScanner::Begin::status_line;
    }

    void restart_head() {
        llhttp_init(&llhttp, kind == Kind::request ? HTTP_REQUEST : HTTP_RESPONSE, &settings());
        llhttp.data = this;
        scanner.restart(begin());
        head_bytes = 0;
        target.clear();
        reason.clear();
        headers.clear();
        name.clear();
        value.clear();
        status = 0;
        began = head_done = complete = false;
    }

    // --- what llhttp tells ---

    static State& of(llhttp_t* parser) { return *static_cast<State*>(parser->data); }

    static const llhttp_settings_t& settings() {
        static const llhttp_settings_t made = [] {
            llhttp_settings_t s;
            llhttp_settings_init(&s);
            s.on_url = [](llhttp_t* p, const char* at, std::size_t n) {
                of(p).target.append(at, n);
                return 0;
            };
            s.on_status = [](llhttp_t* p, const char* at, std::size_t n) {
                of(p).reason.append(at, n);
                return 0;
            };
            return s;
        }();
        return made;
    }

    // --- the head ---

    void take(HeadScanner::Part part, std::string_view text) {
        switch (part) {
            case HeadScanner::Part::name:
                name.append(text);
                break;
            case HeadScanner::Part::value:
                value.append(text);
                break;
            case HeadScanner::Part::end:
                take(std::exchange(name, {}), std::exchange(value, {}));
        }
    }
    void take(std::string_view field, std::string_view text) {
        if (headers.empty()) headers.reserve(usual_headers);
        headers.add(std::string{field}, std::string{detail::trimmed(text)});
    }

    std::size_t read_head(std::span<const char> input) {
        // One byte over the limit at most, so that the same limit strikes however the bytes come.
        input = input.first(std::min(input.size() - 1, limits.max_head_bytes - head_bytes) + 1);
        std::error_code refused;
        std::size_t size = 0;
        auto result = HPE_OK;
        if (scanner.in_start_line()) {
            size = scanner.scan_start_line(input, refused);
            result = llhttp_execute(&llhttp, input.data(), size);
        }
        if (result == HPE_OK && !refused && !scanner.in_start_line()) {
            size += scanner.scan_fields(input.subspan(size), refused,
                                        [this](auto what, std::string_view text) { take(what, text); });
        }
        if (size > 0 || refused) began = true;
        head_bytes += size;
        if (result != HPE_OK) {
            error = meaning_of(result);
        } else if (refused) {
            error = refused;
        } else if (headers.size() > limits.max_headers) {
            error = TransportErrc::too_many_headers;
        } else if (head_bytes > limits.max_head_bytes) {
            error = TransportErrc::head_too_large;
        } else if (scanner.done()) {
            head_done = true;
            error = check_head();
        }
        return size;
    }

    static TransportErrc meaning_of(llhttp_errno_t result) noexcept {
        switch (result) {
            case HPE_INVALID_METHOD:
                return TransportErrc::unknown_method;
            case HPE_INVALID_URL:
                return TransportErrc::bad_target;
            case HPE_INVALID_VERSION:
                return TransportErrc::unsupported_version;
            case HPE_INVALID_STATUS:
                return TransportErrc::bad_status;
            default:
                return TransportErrc::bad_start_line;
        }
    }

    std::error_code check_head() {
        // How a client of HTTP/2 begins: llhttp waits for the rest of it, which is no head.
        if (kind == Kind::request && llhttp.method == HTTP_PRI) return TransportErrc::bad_start_line;
        minor = llhttp.http_minor;
        if (llhttp.http_major != 1 || minor > 1) return TransportErrc::unsupported_version;
        if (kind == Kind::request) {
            if (llhttp.method == HTTP_CONNECT) return TransportErrc::connect_refused;
            if (const auto refused = check_request(); refused != TransportErrc{}) return refused;
        } else {
            status = llhttp.status_code;
            if (status < 100 || status > 599) return TransportErrc::bad_status;
            if (status == 101) return TransportErrc::unexpected_upgrade;
        }
        if (const auto refused = find_framing(); refused != TransportErrc{}) return refused;
        keep = framing != Framing::to_end &&
               (minor == 1 ? !detail::has_token(headers, "Connection", "close")
                           : detail::has_token(headers, "Connection", "keep-alive"));
        complete = framing == Framing::none;
        return {};
    }

    TransportErrc check_request() const noexcept {
        const auto hosts = headers.count("Host");
        if (hosts > 1) return TransportErrc::duplicate_host;
        if (hosts == 0) return minor == 1 ? TransportErrc::missing_host : TransportErrc{};
        return detail::is_host_value(*headers.get("Host")) ? TransportErrc{} : TransportErrc::bad_host;
    }

    TransportErrc find_framing() {
        const auto lengths = headers.count("Content-Length");
        const auto codings = headers.count("Transfer-Encoding");
        if (lengths > 1) return TransportErrc::duplicate_content_length;
        if (codings > 0) {
            if (lengths > 0) return TransportErrc::length_with_transfer_encoding;
            if (minor == 0) return TransportErrc::transfer_encoding_in_http_1_0;
            if (codings > 1 || !equal_ignoring_case(*headers.get("Transfer-Encoding"), "chunked")) {
                return TransportErrc::bad_transfer_encoding;
            }
        }
        length = 0;
        if (lengths > 0 && !read_length(*headers.get("Content-Length")))
            return TransportErrc::bad_content_length;
        const bool bodiless =
            kind == Kind::response && (answers_head || status < 200 || status == 204 || status == 304);
        if (bodiless) {
            framing = Framing::none;
        } else if (codings > 0) {
            framing = Framing::chunked;
            chunks.restart();
        } else if (lengths > 0) {
            framing = length > 0 ? Framing::length : Framing::none;
            if (length > limits.max_body_bytes) return TransportErrc::body_too_large;
        } else {
            framing = kind == Kind::response ? Framing::to_end : Framing::none;
        }
        remaining = length;
        body_bytes = 0;
        return {};
    }

    bool read_length(std::string_view text) noexcept {
        const char* end = text.data() + text.size();
        if (text.empty() || text.front() < '0' || text.front() > '9') return false;
        const auto [stop, failed] = std::from_chars(text.data(), end, length);
        return failed == std::errc{} && stop == end && length <= std::uint64_t{1} << 62;
    }

    // --- the body ---

    void read_body(std::span<const char> input, Step& step) {
        std::size_t used = input.size();
        if (framing == Framing::chunked) {
            const auto result = chunks.step(input, limits.max_head_bytes);
            used = result.consumed;
            step.body = result.data;
            error = result.error;
            complete = chunks.done();
        } else {
            if (framing == Framing::length) {
                used = static_cast<std::size_t>(std::min<std::uint64_t>(remaining, used));
                remaining -= used;
                complete = remaining == 0;
            }
            step.body = {input.data(), used};
        }
        step.consumed += used;
        body_bytes += step.body.size();
        if (!error && body_bytes > limits.max_body_bytes) error = TransportErrc::body_too_large;
    }

    Kind kind;
    HttpLimits limits;
    HeadScanner scanner;
    llhttp_t llhttp{};

    std::string target{};
    std::string reason{};
    std::string name{};
    std::string value{};
    HttpHeaders headers{};
    std::size_t head_bytes = 0;
    int status = 0;
    int minor = 1;

    Framing framing = Framing::none;
    detail::ChunkDecoder chunks{};
    std::uint64_t length = 0;
    std::uint64_t remaining = 0;
    std::uint64_t body_bytes = 0;

    std::error_code error{};
    int interim = 0;  // heads of this response
    bool answers_head = false;
    bool keep = false;
    bool began = false;
    bool head_done = false;
    bool complete = false;
};

HttpParser::HttpParser(Kind kind, HttpLimits limits) : state_{std::make_unique<State>(kind, limits)} {}
HttpParser::~HttpParser() = default;
HttpParser::HttpParser(HttpParser&&) noexcept = default;
HttpParser& HttpParser::operator=(HttpParser&&) noexcept = default;

HttpParser::Step HttpParser::feed(std::span<const char> input) {
    auto& s = *state_;
    Step step;
    while (!s.error && !s.head_done && step.consumed < input.size()) {
        step.consumed += s.read_head(input.subspan(step.consumed));
        // An interim response: the one that counts follows.
        if (s.error || !s.head_done || s.kind == Kind::request || s.status >= 200) break;
        if (++s.interim > most_interim) {
            s.error = TransportErrc::too_many_interim_responses;
        } else {
            s.restart_head();
        }
    }
    if (!s.error && s.head_done && !s.complete && step.consumed == 0 && !input.empty())
        s.read_body(input, step);
    step.error = s.error;
    step.head_complete = s.head_done && !s.error;
    step.message_complete = s.complete && !s.error;
    step.paused = !s.error && step.consumed < input.size();
    return step;
}

HttpParser::Step HttpParser::finish() {
    auto& s = *state_;
    if (!s.error && !s.complete) {
        if (!s.began) {
            s.error = TransportErrc::closed;
        } else if (!s.head_done) {
            s.error = TransportErrc::closed_in_head;
        } else if (s.framing == State::Framing::length) {
            s.error = TransportErrc::truncated_length;
        } else if (s.framing == State::Framing::chunked) {
            s.error = TransportErrc::truncated_chunks;
        } else {
            s.complete = true;
        }
    }
    Step step;
    step.error = s.error;
    step.head_complete = s.head_done && !s.error;
    step.message_complete = s.complete && !s.error;
    return step;
}

void HttpParser::next() {
    state_->restart_head();
    state_->error = {};
    state_->interim = 0;
    state_->answers_head = false;
}

void HttpParser::answer_to(std::string_view method) noexcept { state_->answers_head = method == "HEAD"; }

bool HttpParser::began() const noexcept { return state_->began; }
bool HttpParser::head_complete() const noexcept { return state_->head_done && !state_->error; }
bool HttpParser::message_complete() const noexcept { return state_->complete && !state_->error; }

std::string_view HttpParser::method() const noexcept {
    return llhttp_method_name(static_cast<llhttp_method_t>(state_->llhttp.method));
}
std::string_view HttpParser::target() const noexcept { return state_->target; }
int HttpParser::status() const noexcept { return state_->status; }
std::string_view HttpParser::reason() const noexcept { return state_->reason; }
const HttpHeaders& HttpParser::headers() const noexcept { return state_->headers; }
int HttpParser::minor_version() const noexcept { return state_->minor; }
bool HttpParser::chunked() const noexcept { return state_->framing == State::Framing::chunked; }

std::optional<std::uint64_t> HttpParser::content_length() const noexcept {
    switch (state_->framing) {
        case State::Framing::none:
            return 0;
        case State::Framing::length:
            return state_->length;
        default:
            return std::nullopt;
    }
}

bool HttpParser::keep_alive() const noexcept { return state_->keep && !state_->error; }

HttpRequest HttpParser::take_request() {
    return {std::string{method()}, std::move(state_->target), {}, std::exchange(state_->headers, {})};
}

HttpResponse HttpParser::take_response() {
    HttpResponse response{state_->status, {}, std::exchange(state_->headers, {})};
    response.reason = std::move(state_->reason);
    return response;
}

int refusal_status(std::error_code error) noexcept {
    if (error.category() != transport_category()) return 400;
    switch (static_cast<TransportErrc>(error.value())) {
        case TransportErrc::head_too_large:
        case TransportErrc::too_many_headers:
            return 431;
        case TransportErrc::body_too_large:
            return 413;
        case TransportErrc::unsupported_version:
            return 505;
        case TransportErrc::unknown_method:
        case TransportErrc::connect_refused:
            return 501;
        default:
            return 400;
    }
}

}  // namespace fairlead
