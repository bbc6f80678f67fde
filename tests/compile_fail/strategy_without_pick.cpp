// expect: strategy\.pick\(table, candidates, pick\)[^ ]* (is|would be) invalid
#include <fairlead/strategies/strategy.hpp>

struct Wrong {
    static constexpr std::string_view name = "wrong";
    struct Table {};
    Table build(std::span<const fairlead::Candidate>) const { return {}; }
};
static_assert(fairlead::Strategy<Wrong>);
