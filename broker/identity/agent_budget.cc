#include "broker/identity/agent_budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/glob.h"

namespace curfew::broker {
namespace {

constexpr Millis kHour = std::chrono::hours{1};

Status check_role(const Standing& agent, const std::string& path) {
  const auto& allowed = agent.agent->allowed_roles;
  if (allowed.empty() || std::any_of(allowed.begin(), allowed.end(), [&](const std::string& role) {
        return glob_match(role, path);
      }))
    return ok();
  return Error{
      Errc::kPermissionDenied,
      fmt::format("permission denied: the agent \"{}\" may not lease {}: it is none of its "
                  "allowed_roles",
                  agent.name, path)};
}

// No further than it has to count. `where` has $1, the entity, and the values of `more` from $2 on.
Result<bool> reaches(const store::Reader& reader, std::int64_t bound, const std::string& where,
                     std::vector<store::Value> parameters) {
  parameters.emplace_back(bound);
  ASSIGN_OR_RETURN(
      const auto row,
      reader.query_one(fmt::format("SELECT count(*) FROM (SELECT 1 FROM leases WHERE {} LIMIT ${}) "
                                   "AS counted",
                                   where, parameters.size()),
                       parameters));
  return row->integer(0) >= bound;
}

}  // namespace

Status check_agent_budget(const store::Reader& reader, const Standing& standing,
                          const std::string& mount_path, const Lease& lease) {
  if (!standing.agent) return ok();
  RETURN_IF_ERROR(check_role(standing, mount_path + lease.role));
  const AgentLimits& limits = *standing.agent;
  if (limits.live_leases_max > 0) {
    // The words are those of the index.
    ASSIGN_OR_RETURN(const bool full,
                     reaches(reader, limits.live_leases_max,
                             "state < 4 AND entity <> '' AND entity = $1", {standing.entity_id}));
    if (full)
      return Error{Errc::kQuotaExceeded,
                   fmt::format("the agent \"{}\" may have {} live leases: revoke one that is not "
                               "needed, or wait until one ends",
                               standing.name, limits.live_leases_max)};
  }
  if (limits.leases_per_hour > 0) {
    ASSIGN_OR_RETURN(const bool full,
                     reaches(reader, limits.leases_per_hour,
                             "entity <> '' AND issued_at > 0 AND entity = $1 AND issued_at > $2",
                             {standing.entity_id, to_unix_millis(lease.issued_at - kHour)}));
    if (full)
      return Error{Errc::kQuotaExceeded,
                   fmt::format("the agent \"{}\" may have {} leases within an hour", standing.name,
                               limits.leases_per_hour)};
  }
  return ok();
}

}  // namespace curfew::broker
