// HTTP messages as values: headers, request, response. Standard library only, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace fairlead {

/// Whether two texts are equal but for the case of ASCII letters, as header names and tokens compare.
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
    std::size_t i = 0;
    if (!std::is_constant_evaluated()) {
        // Most names that have a length in common are spelled alike, or differ in more than case.
        constexpr std::uint64_t case_bits = 0x2020202020202020;
        std::uint64_t x = 0;
        std::uint64_t y = 0;
        for (; i + sizeof x <= a.size(); i += sizeof x) {
            std::memcpy(&x, a.data() + i, sizeof x);
            std::memcpy(&y, b.data() + i, sizeof y);
            if (((x ^ y) & ~case_bits) != 0) return false;
            if (x != y) break;
        }
    }
    for (; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

/// Whether a field of this name belongs to one connection only and is never passed on (RFC 9110, 7.6.1),
/// beside what `Connection` itself names. `Expect` is one of them: a body is sent with its head, so nothing
/// waits.
constexpr bool is_hop_by_hop(std::string_view name) noexcept {
    const auto is = [name](std::string_view other) { return equal_ignoring_case(name, other); };
    switch (name.size()) {
        case 2:
            return is("TE");
        case 6:
            return is("Expect");
        case 7:
            return is("Upgrade") || is("Trailer");
        case 10:
            return is("Connection") || is("Keep-Alive");
        case 17:
            return is("Transfer-Encoding");
        default:  // Proxy-Connection, Proxy-Authenticate, Proxy-Authorization
            return name.size() > 6 && equal_ignoring_case(name.substr(0, 6), "Proxy-");
    }
}

/// One header field as it stands in a message.
struct HttpHeader {
    std::string name{};
    std::string value{};

    bool operator==(const HttpHeader&) const = default;
};

/// The header fields of a message, in their order; a name may occur more than once. Names compare without
/// regard to case and keep the case in which they were given.
///
/// Nothing is checked here: `HttpTransport` refuses to send a name that is no token or a value with CR, LF or
/// NUL. Look-ups are linear, because messages have some ten fields.
class HttpHeaders {
  public:
    using const_iterator = std::vector<HttpHeader>::const_iterator;

    HttpHeaders() = default;
    HttpHeaders(std::initializer_list<HttpHeader> fields) : fields_{fields} {}

    /// The first value under this name. The view lives until the headers change.
    std::optional<std::string_view> get(std::string_view name) const noexcept {
        for (const auto& field : fields_) {
            if (equal_ignoring_case(field.name, name)) return field.value;
        }
        return std::nullopt;
    }

    bool contains(std::string_view name) const noexcept { return get(name).has_value(); }

    /// How many fields have this name.
    std::size_t count(std::string_view name) const noexcept {
        std::size_t n = 0;
        for (const auto& field : fields_) {
            if (equal_ignoring_case(field.name, name)) ++n;
        }
        return n;
    }

    /// Makes `value` the only one under this name, in the place of the first.
    void set(std::string_view name, std::string value) {
        for (std::size_t i = 0; i < fields_.size(); ++i) {
            if (!equal_ignoring_case(fields_[i].name, name)) continue;
            fields_[i].value = std::move(value);
            erase(name, i + 1);
            return;
        }
        add(std::string{name}, std::move(value));
    }

    /// Sets memory aside for this many fields, so that adding them moves none.
    void reserve(std::size_t count) { fields_.reserve(count); }

    /// Adds a field behind the others.
    void add(std::string name, std::string value) { fields_.push_back({std::move(name), std::move(value)}); }

    /// Removes every field of this name; returns how many there were.
    std::size_t remove(std::string_view name) { return erase(name, 0); }

    /// Removes every field for which `unwanted(field)` holds, in one pass; returns how many there were.
    template <class Predicate>
    std::size_t remove_if(Predicate unwanted) {
        return std::erase_if(fields_, unwanted);
    }

    void clear() noexcept { fields_.clear(); }
    std::size_t size() const noexcept { return fields_.size(); }
    bool empty() const noexcept { return fields_.empty(); }
    const_iterator begin() const noexcept { return fields_.begin(); }
    const_iterator end() const noexcept { return fields_.end(); }

    bool operator==(const HttpHeaders&) const = default;

  private:
    std::size_t erase(std::string_view name, std::size_t from) {
        std::size_t kept = from;
        for (std::size_t i = from; i < fields_.size(); ++i) {
            if (equal_ignoring_case(fields_[i].name, name)) continue;
            if (kept != i) fields_[kept] = std::move(fields_[i]);
            ++kept;
        }
        const std::size_t removed = fields_.size() - kept;
        fields_.resize(kept);
        return removed;
    }

    std::vector<HttpHeader> fields_{};
};

/// The body of a request: bytes that do not change, shared by every copy, so that a copy of a request for
/// another try copies none of them.
class SharedBody {
  public:
    SharedBody() = default;
    SharedBody(std::string text)  // NOLINT: a text is a body
        : text_{text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))} {}
    SharedBody(const char* text) : SharedBody{std::string{text}} {}                  // NOLINT
    SharedBody(std::shared_ptr<const std::string> text) : text_{std::move(text)} {}  // NOLINT

    std::string_view view() const noexcept { return text_ ? std::string_view{*text_} : std::string_view{}; }
    operator std::string_view() const noexcept { return view(); }  // NOLINT: reads as its text
    const char* data() const noexcept { return view().data(); }
    std::size_t size() const noexcept { return view().size(); }
    bool empty() const noexcept { return view().empty(); }

  private:
    std::shared_ptr<const std::string> text_{};
};

/// A request. Copies are cheap where it counts: they share the body.
///
/// It has constructors on purpose: g++ 12 destroys aggregates twice that are made inside `co_await f(...)`.
class HttpRequest {
  public:
    HttpRequest() {}
    HttpRequest(std::string method_, std::string target_, SharedBody body_ = {}, HttpHeaders headers_ = {})
        : method{std::move(method_)},
          target{std::move(target_)},
          headers{std::move(headers_)},
          body{std::move(body_)} {}

    std::string method{"GET"};
    std::string target{"/"};  ///< path and query, such as "/v1/chat/completions"
    HttpHeaders headers{};
    SharedBody body{};
};

/// Bytes of a response's body, handed to whoever reads it. Move-only. The view lives until the handler that
/// it is given to returns; in a coroutine, until that waits again.
class HttpPiece {
  public:
    HttpPiece() = default;
    explicit HttpPiece(std::string owned) noexcept : owned_{std::move(owned)}, is_owned_{true} {}
    HttpPiece(HttpPiece&&) noexcept = default;
    HttpPiece& operator=(HttpPiece&&) noexcept = default;

    /// Of somebody else's memory, which must stay until the handler has run.
    static HttpPiece lent(std::string_view bytes) noexcept {
        HttpPiece piece;
        piece.lent_ = bytes;
        return piece;
    }

    std::string_view view() const noexcept { return is_owned_ ? std::string_view{owned_} : lent_; }
    std::size_t size() const noexcept { return view().size(); }

  private:
    std::string owned_{};
    std::string_view lent_{};
    bool is_owned_ = false;
};

/// What of a body came together with its head.
struct HttpReady {
    std::string data{};
    bool complete = false;  ///< the body's end has come, too
};

/// A response. `status` 0 stands for "there was none".
class HttpResponse {
  public:
    HttpResponse() {}
    explicit HttpResponse(int status_, std::string body_ = {}, HttpHeaders headers_ = {})
        : status{status_}, headers{std::move(headers_)}, body{std::move(body_)} {}

    int status = 0;
    std::string reason{};
    HttpHeaders headers{};
    std::string body{};  ///< empty where only the head was asked for
};

}  // namespace fairlead
