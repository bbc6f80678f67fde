// Reads a program's options: enough for the programs here, without another dependency.
#pragma once

#include <charconv>
#include <concepts>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Options as `--name VALUE`, `--name=VALUE` or `--flag`. Adds `--help` and `--version` by itself.
///
///     CommandLine line{"fairlead-tool", "Does what one expects."};
///     line.add("--listen", "HOST:PORT", "where to serve", address);
///     if (const auto status = line.read(argc, argv)) return *status;
class CommandLine {
  public:
    /// Takes an option's value; what is wrong with it, or nothing.
    using Take = std::function<std::string(const std::string& value)>;

    CommandLine(std::string program, std::string purpose, std::string version)
        : program_{std::move(program)}, purpose_{std::move(purpose)}, version_{std::move(version)} {}

    void add(std::string name, std::string value_name, std::string help, Take take) {
        options_.push_back({std::move(name), std::move(value_name), std::move(help), std::move(take)});
    }

    void add(std::string name, std::string value_name, std::string help, std::string& target) {
        if (!target.empty()) help += " [" + target + "]";
        add(std::move(name), std::move(value_name), std::move(help), [&target](const std::string& value) {
            target = value;
            return std::string{};
        });
    }

    /// A number from `least` to `most`.
    template <class Number>
    requires std::integral<Number> || std::floating_point<Number>
    void add(std::string name, std::string help, Number& target, Number least, Number most) {
        add(std::move(name), "N", help + " [" + text(target) + "]",
            [&target, least, most](const std::string& value) {
                Number number{};
                const auto* const end = value.data() + value.size();
                const auto result = std::from_chars(value.data(), end, number);
                if (result.ec != std::errc{} || result.ptr != end || !(number >= least && number <= most)) {
                    return "must be a number from " + text(least) + " to " + text(most) + ", got \"" + value +
                           "\"";
                }
                target = number;
                return std::string{};
            });
    }

    /// One of several words.
    template <class Value>
    void add(std::string name, std::string help, Value& target,
             std::vector<std::pair<std::string, Value>> words) {
        std::string list;
        for (const auto& [word, value] : words) list += (list.empty() ? "" : "|") + word;
        add(std::move(name), list, std::move(help),
            [&target, words = std::move(words), list](const std::string& given) {
                for (const auto& [word, value] : words) {
                    if (word != given) continue;
                    target = value;
                    return std::string{};
                }
                return "must be one of " + list + ", got \"" + given + "\"";
            });
    }

    void add_flag(std::string name, std::string help, bool& target) {
        options_.push_back({std::move(name), "", std::move(help), [&target](const std::string&) {
                                target = true;
                                return std::string{};
                            }});
    }

    /// Text below the options; made only when help is asked for.
    void footer(std::function<std::string()> text) { footer_ = std::move(text); }

    /// The status with which to leave, when there is no more to do: 0 after help or version, 2 after a
    /// mistake.
    std::optional<int> read(int argc, const char* const* argv) const {
        const std::vector<std::string> words(argv + 1, argv + argc);
        for (std::size_t i = 0; i < words.size(); ++i) {
            if (words[i] == "--help" || words[i] == "-h") return help();
            if (words[i] == "--version") {
                std::cout << program_ << ' ' << version_ << '\n';
                return 0;
            }
            const auto equals = words[i].find('=');
            const auto* const option = find(words[i].substr(0, equals));
            if (option == nullptr) return mistake("there is no option " + words[i]);
            const bool flag = option->value_name.empty();
            std::string value;
            if (equals != std::string::npos) {
                if (flag) return mistake(option->name + " takes no value");
                value = words[i].substr(equals + 1);
            } else if (!flag) {
                if (++i == words.size()) return mistake(option->name + " needs a value");
                value = words[i];
            }
            if (const auto problem = option->take(value); !problem.empty()) {
                return mistake(option->name + ": " + problem);
            }
        }
        return std::nullopt;
    }

  private:
    struct Option {
        std::string name;
        std::string value_name;  // empty: a flag
        std::string help;
        Take take;
    };

    template <class Number>
    static std::string text(Number number) {
        char digits[32];
        return {digits, std::to_chars(digits, digits + sizeof digits, number).ptr};
    }

    const Option* find(std::string_view name) const {
        for (const auto& option : options_) {
            if (option.name == name) return &option;
        }
        return nullptr;
    }

    int help() const {
        std::cout << program_ << ": " << purpose_ << "\n\nOptions:\n";
        for (const auto& option : options_) {
            std::cout << "  " << option.name << (option.value_name.empty() ? "" : " ") << option.value_name
                      << "\n      " << option.help << '\n';
        }
        std::cout << "  --help, --version\n";
        if (footer_) std::cout << '\n' << footer_();
        return 0;
    }

    int mistake(const std::string& what) const {
        std::cerr << program_ << ": " << what << "; see " << program_ << " --help\n";
        return 2;
    }

    std::string program_;
    std::string purpose_;
    std::string version_;
    std::vector<Option> options_{};
    std::function<std::string()> footer_{};
};
