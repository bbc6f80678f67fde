// The core of fairlead, standard library only. Each header below can be included alone.
#pragma once

#include <fairlead/balancer/balancer.hpp>                // choose, send, report
#include <fairlead/balancer/figures.hpp>                 // what a balancer tells
#include <fairlead/balancer/fleet_change.hpp>            // several changes in one go
#include <fairlead/balancer/lease.hpp>                   // a claim on one connection
#include <fairlead/model/backend_config.hpp>             // what an operator writes
#include <fairlead/model/coarse_clock.hpp>               // cheap time, by the tick
#include <fairlead/model/criteria.hpp>                   // what a request asks for
#include <fairlead/model/error.hpp>                      // every way to fail
#include <fairlead/model/event.hpp>                      // what a host logs
#include <fairlead/model/load_report.hpp>                // what an engine says of its load
#include <fairlead/model/options.hpp>                    // every knob
#include <fairlead/model/outcome.hpp>                    // how a request went
#include <fairlead/model/prompt_hasher.hpp>              // a prompt's blocks, for prefix_affinity
#include <fairlead/model/settings.hpp>                   // what settings come to
#include <fairlead/model/tsc_clock.hpp>                  // cheap time, finer
#include <fairlead/resilience/engine_metrics.hpp>        // reads an engine's load
#include <fairlead/resilience/health_monitor.hpp>        // probes on a loop of your own
#include <fairlead/resilience/load_monitor.hpp>          // when to read it, on a loop of your own
#include <fairlead/strategies/any_strategy.hpp>          // chosen at run time
#include <fairlead/strategies/consistent_hash.hpp>       // by key
#include <fairlead/strategies/learns.hpp>                // one of your own that learns
#include <fairlead/strategies/least_connections.hpp>     // by load
#include <fairlead/strategies/least_tokens.hpp>          // by outstanding tokens
#include <fairlead/strategies/prefix_affinity.hpp>       // by what lies in its cache
#include <fairlead/strategies/random.hpp>                // uniform
#include <fairlead/strategies/response_time.hpp>         // by expected wait
#include <fairlead/strategies/round_robin.hpp>           // in turn
#include <fairlead/strategies/strategy.hpp>              // one of your own
#include <fairlead/strategies/weighted_random.hpp>       // by weight
#include <fairlead/strategies/weighted_round_robin.hpp>  // in turn, by weight
#include <fairlead/transport/transport.hpp>              // a transport of your own
#include <fairlead/version.hpp>
