// A program of somebody else's that uses the core.
#include <fairlead/fairlead.hpp>

int main() {
    fairlead::Balancer<fairlead::LeastConnections> balancer{{
        {.name = "a", .url = "http://10.0.0.1:8000"},
        {.name = "b", .url = "http://10.0.0.2:8000"},
    }};
    for (int i = 0; i < 10; ++i) {
        fairlead::Lease lease = balancer.select();
        if (!lease) return 1;
        balancer.report(std::move(lease), fairlead::Outcome::from_status(200));
    }
    return 0;
}
