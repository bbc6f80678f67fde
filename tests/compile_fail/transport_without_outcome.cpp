// expect: outcome
#include <fairlead/transport/transport.hpp>

struct Wrong {
    using Request = int;
    using Response = int;
    Response send(const fairlead::BackendConfig&, const Request&, fairlead::Deadline);
};
static_assert(fairlead::BlockingTransport<Wrong>);
