#include "broker/token/token_budgets.h"

#include <fmt/format.h>

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "token/budget";
constexpr Millis kHour = std::chrono::hours{1};

Error used_up(const TokenBudget& budget, std::int64_t most, const char* what, const char* advice) {
  return {Errc::kQuotaExceeded,
          fmt::format("the budget of \"{}\" is used up: it and what it started may have {} {}{}",
                      budget.holder, most, what, advice)};
}

}  // namespace

Status TokenBudgets::charge(store::Writer& writer, const Token& token, const Lease& lease) const {
  // The innermost first: whoever is refused learns of the limit that is nearest.
  for (auto budget = token.budgets.rbegin(); budget != token.budgets.rend(); ++budget)
    RETURN_IF_ERROR(charge_one(writer, *budget, lease));
  return ok();
}

Status TokenBudgets::charge_one(store::Writer& writer, const TokenBudget& budget,
                                const Lease& lease) const {
  if (budget.live_leases_max == 0 && budget.leases_per_hour == 0) return ok();
  ASSIGN_OR_RETURN(const auto stored, records_.get(writer, kScope, budget.token));
  Json kept = Json::array();
  std::int64_t live = 0;
  std::int64_t recent = 0;
  for (const Json& id : stored ? *stored : kept) {
    // One whose row is gone does not count, as with an agent's budget.
    ASSIGN_OR_RETURN(const auto row, writer.query_one("SELECT state, issued_at FROM leases "
                                                      "WHERE id = $1",
                                                      {id.get<std::string>()}));
    if (!row) continue;
    const bool is_alive = row->integer(0) < static_cast<std::int64_t>(LeaseState::kRevoked);
    const bool is_recent = row->integer(1) > to_unix_millis(lease.issued_at - kHour);
    live += is_alive ? 1 : 0;
    recent += is_recent ? 1 : 0;
    const bool counts =
        (is_alive && budget.live_leases_max > 0) || (is_recent && budget.leases_per_hour > 0);
    if (counts) kept.push_back(id);
  }
  if (budget.live_leases_max > 0 && live >= budget.live_leases_max)
    return used_up(budget, budget.live_leases_max, "live leases",
                   "; revoke one that is not needed, or wait until one ends");
  if (budget.leases_per_hour > 0 && recent >= budget.leases_per_hour)
    return used_up(budget, budget.leases_per_hour, "leases within an hour", "");
  kept.push_back(lease.id);
  return records_.put(writer, kScope, budget.token, kept);
}

Status TokenBudgets::forget(const std::string& token) {
  bool is_there = false;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto row, records_.get(reader, kScope, token));
    is_there = row.has_value();
    return ok();
  }));
  if (!is_there) return ok();
  return database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, token));
    return ok();
  });
}

}  // namespace curfew::broker
