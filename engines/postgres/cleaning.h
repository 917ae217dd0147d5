#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engines/postgres/lease_transaction.h"

namespace curfew::engines::postgres {

// Who objects with data are given to: a role that cannot log in and that nobody is a member of.
inline constexpr const char* kQuarantineRole = "curfew_quarantine";

// What the cleaning did that somebody may want to know.
struct Cleaned {
  std::vector<std::string> quarantined;  // "table public.orders": kept, with a new owner
  std::vector<std::string> dropped;      // the first hundred
  std::vector<std::string> warnings;

  Json note() const;
};

// Takes away everything that `role` owns or is granted in the connection's database and on shared
// objects, inside the open transaction. Privileges, functions, views, triggers, rules and policies
// go; tables and whatever else holds data, and the types and schemas these need, are given to the
// quarantine role. What other people's objects depend on is kept, taken out of reach, and warned
// about. Does nothing where the role has nothing.
// kRefused: the broker's login lacks a right; the message names what to grant.
Result<Cleaned> clean_database(LeaseTransaction& transaction, const FoundRole& role);

}  // namespace curfew::engines::postgres
