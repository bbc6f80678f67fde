// expect: picked\(.*(is not [^ ]*noexcept|may throw an exception)
#include <fairlead/balancer/balancer.hpp>

struct Wrong {
    static constexpr std::string_view name = "wrong";
    struct State {
        void left(fairlead::BackendId) noexcept {}
    };
    struct Table {
        void learn_from(State&) noexcept {}
    };
    Table build(std::span<const fairlead::Candidate>) const { return {}; }
    std::size_t pick(const Table&, std::span<const fairlead::Candidate>, fairlead::Pick&) const noexcept {
        return 0;
    }
    void picked(State&, fairlead::BackendId, const fairlead::Criteria&) const {}
    void first_byte(State&, fairlead::BackendId) const noexcept {}
    void finished(State&, fairlead::BackendId, const fairlead::Outcome&) const noexcept {}
};
fairlead::Balancer<Wrong> balancer;
