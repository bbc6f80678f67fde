// What the fuzz bodies share: the list of them, and numbers out of an input's bytes.
//
// A body takes any bytes at all and ends the program when a promise does not hold. `libfuzzer.cpp` drives it
// with libFuzzer, `corpora.cpp` over the inputs that are kept in corpus/, as one of the ordinary tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace fairlead::test {

struct FuzzBody {
    std::string_view name;  ///< also of its folder in corpus/
    void (*run)(std::string_view input);
};

inline std::vector<FuzzBody>& fuzz_bodies() {
    static std::vector<FuzzBody> all;
    return all;
}

/// At namespace scope of a body's file: puts it on the list.
struct FuzzRegistration {
    FuzzRegistration(std::string_view name, void (*run)(std::string_view)) {
        fuzz_bodies().push_back({name, run});
    }
};

/// Ends the program, saying `promise`, when it does not hold.
inline void must(bool holds, const char* promise) {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", promise);
    std::abort();
}

/// Chance as the fuzzer has it: each number takes a byte or two of the input. 0 when there are no more.
class ByteChance {
  public:
    explicit ByteChance(std::string_view input) noexcept : rest_{input} {}

    bool is_spent() const noexcept { return rest_.empty(); }
    std::string_view rest() const noexcept { return rest_; }

    std::uint32_t byte() noexcept {
        if (rest_.empty()) return 0;
        const auto value = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }

    /// In [0, n); 0 when n is 0.
    std::uint32_t below(std::uint32_t n) noexcept {
        if (n == 0) return 0;
        const std::uint32_t low = byte();
        return (n > 256 ? low << 8 | byte() : low) % n;
    }

    /// The bytes up to the next `end`, which is skipped, or all.
    std::string_view until(char end) noexcept {
        const auto text = rest_.substr(0, rest_.find(end));
        rest_.remove_prefix(text.size() < rest_.size() ? text.size() + 1 : text.size());
        return text;
    }

  private:
    std::string_view rest_;
};

/// Cuts `text` into pieces whose sizes follow from its own bytes and a `salt`: mostly short ones. The same on
/// every run. `visit(piece)`.
template <class Visitor>
void in_pieces(std::string_view text, std::uint64_t salt, Visitor&& visit) {
    std::uint64_t state = salt ^ text.size();
    while (!text.empty()) {
        state = (state ^ static_cast<unsigned char>(text.front())) * 0x9e3779b97f4a7c15U;
        const std::size_t wanted = 1 + (state >> 61 == 0 ? state >> 50 & 1023U : state >> 58 & 7U);
        const auto piece = text.substr(0, wanted);
        text.remove_prefix(piece.size());
        visit(piece);
    }
}

}  // namespace fairlead::test
