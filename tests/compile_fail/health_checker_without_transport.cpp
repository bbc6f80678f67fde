// expect: has nothing to probe with
#include <fairlead/transport/health_checker.hpp>

void check(fairlead::Balancer<>& balancer, const asio::any_io_executor& executor) {
    fairlead::HealthChecker health{balancer, executor};
}
