// expect: (Lease\(const fairlead::Lease&\)|implicitly deleted|deleted function)
#include <fairlead/balancer/lease.hpp>

fairlead::Lease twice(const fairlead::Lease& lease) { return lease; }
