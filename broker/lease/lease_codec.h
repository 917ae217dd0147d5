#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "broker/lease/lease.h"
#include "store/barrier.h"
#include "store/sql.h"

// How a lease lies in its row: the columns that queries need in the clear, all of them bound to the
// sealed rest.
namespace curfew::broker {

Result<std::string> seal_lease(const store::Barrier& barrier, const Lease& lease);

// The columns of a row in the order in which open_lease() reads them.
inline constexpr std::string_view kLeaseColumns =
    "id, namespace, mount, role, resource, token, entity, state, issued_at, expires_at, "
    "next_action_at, attempts, sealed, agent, session, trace, name, request_key";

// `row`: kLeaseColumns. kCorrupt: the row is not what was stored; the message names the
// lease.
Result<Lease> open_lease(const store::Barrier& barrier, const store::Row& row);

// `barrier`: the one that sealed it; the row belongs to its namespace.
Status insert_lease(store::Writer& writer, const store::Barrier& barrier, const Lease& lease,
                    const std::string& sealed);

// Writes what may change of a row. kNotFound: the namespace has none.
Status update_lease(store::Writer& writer, const store::Barrier& barrier, const Lease& lease,
                    const std::string& sealed);

}  // namespace curfew::broker
