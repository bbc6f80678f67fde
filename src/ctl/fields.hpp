// Options that become fields of a JSON body: only those that were given, each of the right kind.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fairlead/control/language.hpp>
#include <fairlead/model/time.hpp>

#include "control/messages.hpp"

namespace fairlead::ctl {

/// The command line is wrong; `what` says how, in the operator's language.
class UsageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The number, all of it in decimal ("010" is ten). Throws `UsageError` that names the option.
std::int64_t whole_number(std::string_view option, std::string_view text, Language language);
double number(std::string_view option, std::string_view text, Language language);

/// A number of seconds, from `least` to 10^9, which `Duration` holds with room. Throws `UsageError`.
Duration seconds_of(std::string_view option, std::string_view text, double least, Language language);

/// Throws `UsageError` when `text` is no UTF-8, because JSON cannot hold it then.
void require_utf8(std::string_view option, std::string_view text, Language language);

/// The options of one command. Numbers are read as texts and converted here, because CLI11 takes "010" for
/// eight.
class Fields {
  public:
    enum class Kind : std::uint8_t { text, whole, number };

    Fields(CLI::App& command, Language language) : command_{command}, language_{language} {}

    CLI::Option* add(Kind kind, const char* option, const char* field, const detail::Text& help);

    /// May be given again; the field is an array.
    void add_list(const char* option, const char* field, const detail::Text& help);

    /// The fields that were given. Empty texts are left out: they say "none", which is what the server takes
    /// when the field is missing. Throws `UsageError`.
    nlohmann::json body() const;

  private:
    struct Field {
        Kind kind;
        const char* option;
        const char* field;
        const CLI::Option* given;
        std::string value;
    };
    struct List {
        const char* option = nullptr;
        const char* field = nullptr;
        std::vector<std::string> values{};
    };

    CLI::App& command_;
    Language language_;
    std::deque<Field> fields_{};  // CLI11 keeps references to the values
    List list_{};
};

}  // namespace fairlead::ctl
