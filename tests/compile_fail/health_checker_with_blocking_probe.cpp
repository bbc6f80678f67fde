// expect: would block the loop
#include <fairlead/transport/health_checker.hpp>

struct Blocking {
    using Request = int;
    using Response = int;
    static fairlead::Outcome outcome(std::error_code, int);
    fairlead::Outcome probe(const fairlead::BackendConfig&, fairlead::Deadline);
};
void check(fairlead::Balancer<fairlead::RoundRobin, Blocking>& balancer,
           const asio::any_io_executor& executor) {
    fairlead::HealthChecker health{balancer, executor};
}
