#pragma once

#include <string>
#include <utility>

#include "base/clock.h"
#include "base/json.h"
#include "broker/lease/lease.h"

// What stays of a lease when it has ended.
namespace curfew::broker {

// Leases that share what they are in: a target, a key. They fail together when it does.
std::string target_group(const Lease& lease);

// Begins, or goes on with, an attempt to revoke: an attempt that was interrupted and has not failed
// is the same one. Remembers when the lease had to end.
void begin_attempt(Lease& lease, WallTime now);

// A phase is done, with a note for the receipt.
void record_phase(Lease& lease, engines::Phase phase, Json note, WallTime now);

// The lease is over: kRevoked with a proof of the engine's, or kAbandoned with what was left
// behind. For LeaseEnds, which does what follows from it.
void end_lease(Lease& lease, LeaseState state, Json checked, Json warnings, WallTime now);

}  // namespace curfew::broker
