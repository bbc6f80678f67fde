// The core of fairlead, standard library only. Each header below can be included alone.
#pragma once

#include <fairlead/balancer/balancer.hpp>                 // IWYU pragma: export  choose, send, report
#include <fairlead/balancer/figures.hpp>                  // IWYU pragma: export  what a balancer tells
#include <fairlead/balancer/lease.hpp>                    // IWYU pragma: export  a claim on one connection
#include <fairlead/model/backend_config.hpp>              // IWYU pragma: export  what an operator writes
#include <fairlead/model/criteria.hpp>                    // IWYU pragma: export  what a request asks for
#include <fairlead/model/error.hpp>                       // IWYU pragma: export  every way to fail
#include <fairlead/model/event.hpp>                       // IWYU pragma: export  what a host logs
#include <fairlead/model/options.hpp>                     // IWYU pragma: export  every knob
#include <fairlead/model/outcome.hpp>                     // IWYU pragma: export  how a request went
#include <fairlead/model/settings.hpp>                    // IWYU pragma: export  what settings come to
#include <fairlead/strategies/any_strategy.hpp>           // IWYU pragma: export  chosen at run time
#include <fairlead/strategies/consistent_hash.hpp>        // IWYU pragma: export  by key
#include <fairlead/strategies/least_connections.hpp>      // IWYU pragma: export  by load
#include <fairlead/strategies/least_tokens.hpp>           // IWYU pragma: export  by outstanding tokens
#include <fairlead/strategies/random.hpp>                 // IWYU pragma: export  uniform
#include <fairlead/strategies/response_time.hpp>          // IWYU pragma: export  by expected wait
#include <fairlead/strategies/round_robin.hpp>            // IWYU pragma: export  in turn
#include <fairlead/strategies/strategy.hpp>               // IWYU pragma: export  one of your own
#include <fairlead/strategies/weighted_random.hpp>        // IWYU pragma: export  by weight
#include <fairlead/strategies/weighted_round_robin.hpp>   // IWYU pragma: export  in turn, by weight
#include <fairlead/transport/transport.hpp>               // IWYU pragma: export  a transport of your own
#include <fairlead/version.hpp>                           // IWYU pragma: export
