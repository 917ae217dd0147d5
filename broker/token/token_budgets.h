#pragma once

#include <string>

#include "base/result.h"
#include "broker/lease/lease.h"
#include "broker/token/token.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// Budgets for a single tree of tokens, at most: a count is a look at so many rows.
inline constexpr std::int64_t kTokenBudgetMax = 1000;

// Which leases the trees of tokens with a budget have: beside each such token the ids of those that
// still count. What counts is read from the leases' own rows, so that no restart forgets any.
// Thread-safe.
class TokenBudgets {
 public:
  // Both outlive this object.
  TokenBudgets(store::Database& database, const store::Records& records)
      : database_(database), records_(records) {}

  // Counts `lease`, which `token` asks for, against every budget above it, in the transaction that
  // writes the lease down; the hour ends at lease.issued_at. kQuotaExceeded: one of them is used
  // up.
  Status charge(store::Writer& writer, const Token& token, const Lease& lease) const;

  // The token of this row id has ended with all below it. Absent is success.
  Status forget(const std::string& token);

 private:
  Status charge_one(store::Writer& writer, const TokenBudget& budget, const Lease& lease) const;

  store::Database& database_;
  const store::Records& records_;
};

}  // namespace curfew::broker
