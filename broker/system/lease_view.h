#pragma once

#include "base/clock.h"
#include "base/json.h"
#include "broker/lease/lease.h"

namespace curfew::broker {

// A lease as the paths below sys/ show it, ended ones with their receipt; holds no secret.
Json lease_view(const Lease& lease, WallTime now);

}  // namespace curfew::broker
