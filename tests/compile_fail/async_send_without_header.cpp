// expect: AsyncCalls
#include <fairlead/balancer/balancer.hpp>

struct Client {
    using Request = int;
    using Response = int;
    static fairlead::Outcome outcome(std::error_code, const Response&);
};
void send(fairlead::Balancer<fairlead::RoundRobin, Client>& balancer) {
    balancer.async_send(1, [](auto...) {});
}
