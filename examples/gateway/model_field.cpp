// A strict scanner over JSON text that keeps nothing but the place of one member.
#include "gateway/model_field.hpp"

#include <bit>
#include <cstring>

#include <nlohmann/json.hpp>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace gateway {
namespace {

// Requests nest some ten levels (tool schemas); 256 frames of the scanner take less than 64 KiB of stack.
constexpr int max_depth = 256;

/// How many characters from the start on mean nothing in a JSON string: no quote, backslash or control
/// character. Perhaps less than all, when fewer than 16 are left. A prompt of a megabyte is nothing but such
/// runs.
std::size_t plain_run(std::string_view text) noexcept {
    std::size_t run = 0;
#ifdef __SSE2__
    const __m128i quotes = _mm_set1_epi8('"');
    const __m128i backslashes = _mm_set1_epi8('\\');
    const __m128i last_control = _mm_set1_epi8(0x1F);
    for (; text.size() - run >= 16; run += 16) {
        __m128i bytes;
        std::memcpy(&bytes, text.data() + run, sizeof bytes);
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        const __m128i special = _mm_or_si128(
            control, _mm_or_si128(_mm_cmpeq_epi8(bytes, quotes), _mm_cmpeq_epi8(bytes, backslashes)));
        if (const auto found = static_cast<unsigned>(_mm_movemask_epi8(special)); found != 0) {
            return run + static_cast<std::size_t>(std::countr_zero(found));
        }
    }
#else
    static_cast<void>(text);
#endif
    return run;
}

class Scanner {
  public:
    explicit Scanner(std::string_view text) : text_{text} {}

    ModelScan scan() {
        blanks();
        if (at_end() || peek() != '{') {
            fail("the body must be a JSON object");
        } else if (object(0)) {
            blanks();
            if (!at_end()) fail("there is text after the JSON object");
        }
        return std::move(result_);
    }

  private:
    bool at_end() const { return position_ == text_.size(); }
    char peek() const { return text_[position_]; }
    bool fail(std::string_view what) {
        if (result_.problem.empty()) {
            result_.problem = std::string{what} + " (at byte " + std::to_string(position_) + ")";
        }
        return false;
    }

    void blanks() {
        while (!at_end() && (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t'))
            ++position_;
    }

    bool expect(char wanted) {
        blanks();
        if (at_end()) return fail("the JSON text ends too early");
        if (peek() != wanted) return fail(std::string{"expected '"} + wanted + "'");
        ++position_;
        return true;
    }

    bool word(std::string_view wanted) {
        if (text_.substr(position_, wanted.size()) != wanted) return fail("this is no JSON value");
        position_ += wanted.size();
        return true;
    }

    bool digits() {
        const auto start = position_;
        while (!at_end() && peek() >= '0' && peek() <= '9') ++position_;
        return position_ > start || fail("a digit is missing");
    }

    bool number() {
        if (peek() == '-') ++position_;
        if (!at_end() && peek() == '0') {
            ++position_;
        } else if (!digits()) {
            return false;
        }
        if (!at_end() && peek() == '.') {
            ++position_;
            if (!digits()) return false;
        }
        if (!at_end() && (peek() == 'e' || peek() == 'E')) {
            ++position_;
            if (!at_end() && (peek() == '+' || peek() == '-')) ++position_;
            if (!digits()) return false;
        }
        return true;
    }

    bool escape() {
        ++position_;
        if (at_end()) return fail("the JSON text ends too early");
        if (peek() == 'u') {
            for (int i = 0; i < 4; ++i) {
                ++position_;
                if (at_end()) return fail("the JSON text ends too early");
                const char c = peek();
                if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
                    return fail("\\u wants four hexadecimal digits");
                }
            }
        } else if (std::string_view{"\"\\/bfnrt"}.find(peek()) == std::string_view::npos) {
            return fail("there is no such escape");
        }
        ++position_;
        return true;
    }

    bool string() {
        ++position_;
        for (position_ += plain_run(text_.substr(position_)); !at_end();
             position_ += plain_run(text_.substr(position_))) {
            const auto c = static_cast<unsigned char>(peek());
            if (c == '"') {
                ++position_;
                return true;
            }
            if (c < 0x20) return fail("a control character stands in a string");
            if (c == '\\') {
                if (!escape()) return false;
            } else {
                ++position_;
            }
        }
        return fail("the JSON text ends too early");
    }

    bool value(int depth) {
        blanks();
        if (at_end()) return fail("the JSON text ends too early");
        switch (peek()) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true");
            case 'f':
                return word("false");
            case 'n':
                return word("null");
            default:
                if (peek() == '-' || (peek() >= '0' && peek() <= '9')) return number();
                return fail("this is no JSON value");
        }
    }

    /// After an element: true when another follows, false at the end or on a problem.
    bool another(char closing) {
        blanks();
        if (at_end()) return fail("the JSON text ends too early");
        if (peek() != ',' && peek() != closing) return fail(std::string{"expected ',' or '"} + closing + "'");
        return text_[position_++] == ',';
    }

    bool array(int depth) {
        if (depth == max_depth) return fail("the JSON text nests too deeply");
        ++position_;
        blanks();
        if (!at_end() && peek() == ']') {
            ++position_;
            return true;
        }
        do {
            if (!value(depth + 1)) return false;
        } while (another(']'));
        return result_.problem.empty();
    }

    bool object(int depth) {
        if (depth == max_depth) return fail("the JSON text nests too deeply");
        ++position_;
        if (depth == 0) result_.field.begin = result_.field.end = position_;
        blanks();
        if (!at_end() && peek() == '}') {
            ++position_;
            return true;
        }
        if (depth == 0) result_.field.comma = true;
        do {
            blanks();
            if (at_end() || peek() != '"') return fail("expected a member's name in quotes");
            const auto start = position_;
            if (!string()) return false;
            const auto name = text_.substr(start, position_ - start);
            if (!expect(':')) return false;
            if (depth == 0 && is_model(name)) {
                if (!model()) return false;
            } else {
                blanks();
                const auto from = position_;
                if (!value(depth + 1)) return false;
                if (depth == 0 && name == "\"user\"" && text_[from] == '"') {
                    result_.user = text_.substr(from + 1, position_ - from - 2);
                }
            }
        } while (another('}'));
        return result_.problem.empty();
    }

    /// `quoted` is a valid JSON string with its quotes. It may be spelt with escapes.
    static bool is_model(std::string_view quoted) {
        if (quoted.find('\\') == std::string_view::npos) return quoted == "\"model\"";
        return decoded(quoted) == "model";
    }

    /// Empty when the bytes are no UTF-8 or the escapes leave half a surrogate pair.
    static std::optional<std::string> decoded(std::string_view quoted) {
        const auto json = nlohmann::json::parse(quoted, nullptr, false);
        if (!json.is_string()) return std::nullopt;
        return json.get<std::string>();
    }

    bool model() {
        result_.about_model = true;
        if (result_.field.value) return fail("there are two members \"model\"");
        blanks();
        if (at_end() || peek() != '"') return fail("\"model\" must be a string");
        const auto start = position_;
        if (!string()) return false;
        auto name = decoded(text_.substr(start, position_ - start));
        if (!name) return fail("\"model\" is no valid UTF-8");
        result_.field = {std::move(name), start, position_, false};
        result_.about_model = false;
        return true;
    }

    std::string_view text_;
    std::size_t position_ = 0;
    ModelScan result_{};
};

}  // namespace

ModelScan find_model(std::string_view body) { return Scanner{body}.scan(); }

std::string with_model(std::string_view body, const ModelField& field, std::string_view name) {
    const auto quoted = nlohmann::json(name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::string result;
    result.reserve(body.size() + quoted.size() + 16);
    result.append(body.substr(0, field.begin));
    if (!field.value) result.append("\"model\":");
    result.append(quoted);
    if (field.comma) result.push_back(',');
    result.append(body.substr(field.end));
    return result;
}

}  // namespace gateway
