// expect: strategy\.build\(candidates\)[^ ]* (is|would be) invalid
#include <fairlead/strategies/strategy.hpp>

struct Wrong {
    static constexpr std::string_view name = "wrong";
    struct Table {};
    std::size_t pick(const Table&, std::span<const fairlead::Candidate>, fairlead::Pick&) const noexcept {
        return 0;
    }
};
static_assert(fairlead::Strategy<Wrong>);
