#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "engines/postgres/connection.h"

namespace curfew::engines::postgres {

// Begins a transaction that takes an advisory lock and then runs `sql` in it, one round trip where
// the lock is free. Everybody who can log in can take such a lock too: each wait for it is short,
// and between the waits the sessions of other logins that hold it or wait for it are ended. All
// waits for locks in the transaction are that short. kUnavailable, SQLSTATE 55P03: who has the lock
// could not be ended. After an error the transaction is over. Otherwise as Connection::run().
Result<Rows> run_locked(Connection& connection, std::int64_t key, std::string_view sql,
                        SteadyTime deadline);

// Ends the sessions in this database that hold an advisory lock or wait for it, other than those of
// the connection's own login and, unless that is a superuser, of superusers. kRefused: the login
// may not end sessions. They are told to end; they need not be gone yet.
Status end_lock_holders(Connection& connection, std::int64_t key, SteadyTime deadline);

}  // namespace curfew::engines::postgres
