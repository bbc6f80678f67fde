// Collects what is wrong, and finds the known name that an unknown one is nearest to.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fairlead/control/load_settings.hpp>

#include "messages.hpp"
#include "text_position.hpp"

namespace fairlead::detail {

/// What is wrong with a JSON text.
struct JsonProblem {
    std::string path{};  ///< ".health.path", "[1].weight"; empty: the whole text
    TextPosition at{};   ///< only of the text that is no JSON
    bool has_place = false;
    std::string message{};  ///< without the place
};

/// The list of problems under way, in one language.
class Problems {
  public:
    explicit Problems(Language language) : language_(language) {}

    Language language() const noexcept { return language_; }
    const std::vector<SettingsProblem>& list() const noexcept { return list_; }
    std::vector<SettingsProblem> take() && { return std::move(list_); }

    std::string say(const Text& text, std::initializer_list<std::string_view> arguments = {}) const {
        return detail::say(language_, text, arguments);
    }

    /// Where the settings that are read now were written; each problem added from now on carries it.
    void set_source(std::string source) {
        source_ = std::move(source);
        text_file_.clear();
    }

    void add(std::string where, const Text& text, std::initializer_list<std::string_view> arguments = {}) {
        list_.push_back({std::move(where), say(text, arguments), source_});
    }

    /// The same, written at another place than the source's.
    void add_from(std::string source, std::string where, const Text& text,
                  std::initializer_list<std::string_view> arguments = {}) {
        list_.push_back({std::move(where), say(text, arguments), std::move(source)});
    }

    /// The same for a text that begins in a file at the source's place and stands there as it is.
    void set_text_source(std::string file, TextPosition begin) {
        text_file_ = std::move(file);
        text_begin_ = begin;
    }

    /// What a JSON text has wrong, with its place in the text, and in the file where that is known.
    void add_json(const std::string& where, const JsonProblem& problem);

  private:
    Language language_;
    std::string text_file_{};  ///< empty: places within the text are not places of a file
    TextPosition text_begin_{};
    std::string source_{};
    std::vector<SettingsProblem> list_{};
};

/// In double quotes, at most 40 characters of it, on one line: what an operator wrote, as a message shows it.
std::string in_quotes(std::string_view text);

/// The same without the quotes: for names that stand in a path.
std::string shown(std::string_view text);

/// The known name with the fewest insertions, deletions, replacements and swaps of neighbours between it and
/// `name`, in any case, or that contains it; the first of several. `known` is not empty. Cost: product of the
/// lengths.
std::string_view nearest(std::string_view name, std::span<const std::string_view> known);

/// In lower (upper) case, ASCII only.
std::string lower(std::string_view text);
std::string upper(std::string_view text);

/// Without blanks and line ends at both ends.
std::string_view trimmed(std::string_view text) noexcept;

/// "a, b, c".
std::string joined(std::span<const std::string_view> names);

}  // namespace fairlead::detail
