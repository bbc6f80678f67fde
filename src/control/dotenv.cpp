// The reader of dotenv files: one pass, one line or quoted value at a time.
#include "dotenv.hpp"

#include <algorithm>

namespace fairlead::detail {

namespace {

bool is_name_start(char c) noexcept { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool is_name_part(char c) noexcept {
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '.' || c == '-';
}
bool is_line_blank(char c) noexcept { return c == ' ' || c == '\t'; }

class DotenvReader {
  public:
    explicit DotenvReader(std::string_view text) : text_(text) {}

    Dotenv read() {
        if (text_.substr(0, 3) == "\xEF\xBB\xBF") text_.remove_prefix(3);
        if (text_.substr(0, 2) == "\xFF\xFE" || text_.substr(0, 2) == "\xFE\xFF") {
            problem(0, text::utf16);
            return std::move(result_);
        }
        while (at_ < text_.size()) read_line();
        return std::move(result_);
    }

  private:
    void read_line() {
        skip_blanks();
        if (at_line_end() || text_[at_] == '#') return skip_line();
        std::size_t name_at = at_;
        skip_name();
        if (text_.substr(name_at, at_ - name_at) == "export" && at_ < text_.size() &&
            is_line_blank(text_[at_])) {
            const std::size_t behind = at_;
            skip_blanks();
            if (at_ < text_.size() && text_[at_] != '=') {
                name_at = at_;
                skip_name();
            } else {
                at_ = behind;  // a setting whose name is "export"
            }
        }
        DotenvEntry entry;
        entry.name = std::string{text_.substr(name_at, at_ - name_at)};
        entry.name_at = place(name_at);
        skip_blanks();
        if (at_line_end() || text_[at_] != '=') {
            const std::size_t line_end = std::min(text_.find('\n', at_), text_.size());
            const bool equals = text_.substr(at_, line_end - at_).find('=') != std::string_view::npos;
            problem(name_at, equals ? text::dotenv_bad_name : text::dotenv_no_equals);
            return skip_line();
        }
        if (entry.name.empty() || !is_name_start(entry.name.front())) {
            problem(name_at, text::dotenv_bad_name);
            return skip_line();
        }
        ++at_;
        if (read_value(entry)) result_.entries.push_back(std::move(entry));
    }

    bool read_value(DotenvEntry& entry) {
        skip_blanks();
        if (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"')) return read_quoted(entry);
        entry.value_at = place(at_);
        const std::size_t begin = at_;
        const std::size_t end = std::min(text_.find('\n', at_), text_.size());
        std::size_t stop = begin;
        while (stop < end && !(text_[stop] == '#' && is_line_blank(text_[stop - 1]))) ++stop;
        at_ = end;
        skip_line();
        while (stop > begin && (is_line_blank(text_[stop - 1]) || text_[stop - 1] == '\r')) --stop;
        entry.value = std::string{text_.substr(begin, stop - begin)};
        return true;
    }

    bool read_quoted(DotenvEntry& entry) {
        const std::size_t open = at_;
        const char quote = text_[at_++];
        entry.value_at = place(at_);
        while (at_ < text_.size() && text_[at_] != quote) {
            if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) {
                entry.verbatim = false;
                read_escape(entry.value);
            } else if (text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') {
                ++at_;  // CRLF within a value is one line end
            } else {
                entry.value += text_[at_++];
            }
        }
        if (at_ == text_.size()) {
            problem(open, text::dotenv_open_quote);
            return false;
        }
        ++at_;
        skip_blanks();
        if (!at_line_end() && text_[at_] != '#') {
            problem(at_, text::dotenv_after_quote);
            skip_line();
            return false;
        }
        skip_line();
        return true;
    }

    void read_escape(std::string& value) {
        constexpr std::string_view codes = "ntr\"\\$";
        constexpr std::string_view meanings = "\n\t\r\"\\$";
        const std::size_t code = codes.find(text_[at_ + 1]);
        if (code == std::string_view::npos) {
            value += text_[at_++];
            return;
        }
        value += meanings[code];
        at_ += 2;
    }

    bool at_line_end() const noexcept {
        return at_ >= text_.size() || text_[at_] == '\n' ||
               (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n'));
    }

    void skip_blanks() noexcept {
        while (at_ < text_.size() && is_line_blank(text_[at_])) ++at_;
    }

    void skip_name() noexcept {
        while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
    }

    void skip_line() noexcept {
        const std::size_t end = text_.find('\n', at_);
        at_ = end == std::string_view::npos ? text_.size() : end + 1;
    }

    /// Places are asked for in rising order but for the one of a name, so each byte is looked at about once.
    TextPosition place(std::size_t offset) {
        if (offset < counted_) return position_of(text_, offset);
        for (; counted_ < offset; ++counted_) {
            if (text_[counted_] == '\n') {
                ++here_.line;
                here_.column = 1;
            } else if ((static_cast<unsigned char>(text_[counted_]) & 0xC0) != 0x80) {
                ++here_.column;
            }
        }
        return here_;
    }

    void problem(std::size_t offset, const Text& message) {
        result_.problems.push_back({place(offset), &message});
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t counted_ = 0;  ///< bytes that `here_` has passed
    TextPosition here_{};
    Dotenv result_{};
};

}  // namespace

Dotenv parse_dotenv(std::string_view text) { return DotenvReader{text}.read(); }

}  // namespace fairlead::detail
