#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/membership.h"

// The database role of one lease: what the lease remembers of it, and what the target says.
namespace curfew::engines::postgres {

// What a lease's handle holds.
struct LeaseHandle {
  std::string target;          // the configuration's name
  std::string database_role;   // its name in the database
  std::uint32_t role_oid = 0;  // 0: not known (the lease never became active)
  std::vector<std::string> revocation_statements = {};
  std::vector<std::string> renew_statements = {};
  std::vector<std::string> rollback_statements = {};
  std::string entity = {};  // for the mark
  std::string trace = {};
  std::string entity_name = {};  // for the mark, too
  std::string human = {};
  std::string sub_agent = {};
  std::string requested_by = {};  // the name of the token that asked

  // Of a lease for one statement: the role that has the rights and owns the function that runs it,
  // in a schema of the same name. Nobody can log in as it. Empty: the lease is no such one.
  std::string executor = {};
  std::uint32_t executor_oid = 0;  // 0: not known
  std::string executor_for = {};   // of executor_of(): the database role of the lease. Not stored.

  Handle to_handle() const;
  // kCorrupt: it is not one of this engine.
  static Result<LeaseHandle> from_handle(const Handle& handle);
};

// The executor of a lease for one statement as a role that is found and removed by itself. The
// operator's statements are about it, for it is what the creation statements made.
// REQUIRES: the lease is such a one.
LeaseHandle executor_of(const LeaseHandle& lease);

// The comment on a database role that says whose it is, as JSON; holds nothing secret.
std::string role_mark(std::string_view mount_accessor, std::string_view lease_id,
                      const LeaseHandle& handle);

struct RoleMark {
  std::string mount_accessor;
  std::string lease_id;
  std::string target;
  std::string entity;
  std::string trace;
  std::string executor = {};      // that the lease has beside this role
  std::string executor_for = {};  // this role is one: the name of the lease's database role
};
// nullopt: the comment is not ours.
std::optional<RoleMark> parse_role_mark(std::string_view comment);

// Makes whoever creates, changes and removes the role of one lease take turns, across connections
// and brokers. SQL that takes the lock for the transaction; leased roles that hold it have their
// sessions ended, and others are waited for for five seconds (55P03). Once a role's oid is known
// its create is over, and taking it away needs no lock.
std::string lease_lock(std::string_view lease_id);
// The number of that lock.
std::int64_t lease_lock_key(std::string_view lease_id);

// The same for all who change the password of one database user.
std::string password_lock(std::string_view user);

// The same for all who change access lists in a database; otherwise PostgreSQL fails them with
// "tuple concurrently updated".
std::string grant_lock();

// "2027-01-15 08:00:01+0000", rounded up to a whole second.
std::string expiry_text(WallTime time);

// A database role as it is now.
struct FoundRole {
  std::uint32_t oid = 0;
  std::string name;
  bool can_login = false;
  std::vector<std::string> attributes;  // beyond LOGIN: "SUPERUSER", "CREATEROLE", …
  std::vector<Membership> memberships;  // both ways, but for the broker's login in it
  std::int64_t sessions = 0;
  std::int64_t dependencies_here = 0;            // in this database and on shared objects
  std::vector<std::string> databases_elsewhere;  // where it owns or is granted something

  bool has_dependencies() const { return dependencies_here > 0 || !databases_elsewhere.empty(); }
};

// "ALTER ROLE …" that takes the login, the password and the attributes away.
std::string lock_out_sql(const FoundRole& role);

// SQL, one statement, that find_role() reads: a row for each role that could be the lease's.
std::string find_role_sql(const LeaseHandle& handle);

// The same, and the sessions of the role with the lease's oid are told to end; at least one row,
// also where there is no such role any more. sessions_told_to_end() reads how many there were.
std::string end_sessions_sql(const LeaseHandle& handle);
std::int64_t sessions_told_to_end(const Rows& rows);

// What that role left prepared (PREPARE TRANSACTION): it keeps its locks without any session.
struct PreparedTransaction {
  std::string gid;
  std::string database;
};
// Of both statements above.
std::vector<PreparedTransaction> prepared_transactions(const Rows& rows);

// The lease's own role among the rows: it bears the lease's mark, or has the very oid that the
// lease remembers. A role that only has the same name is somebody else's and is never touched.
// nullopt: absent. kCorrupt: the rows are not what the SQL above asks for.
Result<std::optional<FoundRole>> find_role(const Rows& rows, const std::string& lease_id,
                                           const LeaseHandle& handle);

// The rule of find_role() for one role: its oid, name and comment as they were selected.
bool is_role_of_lease(const std::optional<std::string>& oid, const std::optional<std::string>& name,
                      const std::optional<std::string>& comment, const std::string& lease_id,
                      const LeaseHandle& handle);

}  // namespace curfew::engines::postgres
