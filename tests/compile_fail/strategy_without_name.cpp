// expect: S::name.* (is|would be) invalid
#include <fairlead/strategies/strategy.hpp>

struct Wrong {
    struct Table {};
    Table build(std::span<const fairlead::Candidate>) const { return {}; }
    std::size_t pick(const Table&, std::span<const fairlead::Candidate>, fairlead::Pick&) const noexcept {
        return 0;
    }
};
static_assert(fairlead::Strategy<Wrong>);
