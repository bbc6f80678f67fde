// expect: pick\(table, candidates, .*(is not [^ ]*noexcept|may throw an exception)
#include <fairlead/strategies/strategy.hpp>

struct Wrong {
    static constexpr std::string_view name = "wrong";
    struct Table {};
    Table build(std::span<const fairlead::Candidate>) const { return {}; }
    std::size_t pick(const Table&, std::span<const fairlead::Candidate>, fairlead::Pick&) const { return 0; }
};
static_assert(fairlead::Strategy<Wrong>);
