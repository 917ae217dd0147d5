#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/owned_objects.h"
#include "engines/postgres/transaction.h"

namespace curfew::engines::postgres {

// An object that belongs to the quarantine role now.
struct KeptObject {
  std::uint32_t catalog = 0;  // the oid of the catalog that it is in, and its own
  std::uint32_t oid = 0;
  std::string kind;  // "table", "function", as in ALTER and DROP
  std::string name;  // whole and quoted: "public.orders"
};

// What the cleaning did that somebody may want to know.
struct Cleaned {
  std::vector<KeptObject> kept;
  std::vector<std::string> dropped;  // the first hundred
  std::vector<std::string> warnings;
  bool more = false;  // there is more to do, in a transaction of its own

  void add(Cleaned later);                       // what was done after this
  std::vector<std::string> quarantined() const;  // "table public.orders", the first hundred
  // For the receipt: {"quarantined": ["table public.orders"], "dropped": […], "warnings": […]}.
  Json note() const;
};

// Takes away what `role` owns or is granted in the connection's database and, where the scope says
// so, on shared objects, inside the open transaction: everything, or the next batch of it, for the
// server has room for a bounded number of locks. To be called again, each time in a transaction of
// its own, while the answer says that there is more. Privileges, functions, views,
// triggers, rules and policies go; tables and whatever else holds data, and the types and schemas
// these need, are given to the quarantine role, and what others were granted on them is taken away.
// What other people's objects depend on is kept, taken out of reach, and warned about. Does nothing
// where the role has nothing. kRefused: the broker's login lacks a right; the message names what to
// do.
Result<Cleaned> clean_database(Transaction& transaction, const FoundRole& role, Scope scope);

}  // namespace curfew::engines::postgres
