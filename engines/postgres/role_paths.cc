#include "engines/postgres/role_paths.h"

#include <fmt/format.h>

#include "engines/postgres/config.h"
#include "engines/postgres/config_paths.h"
#include "engines/postgres/roles.h"
#include "engines/postgres/statement_lint.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/static_role.h"

namespace curfew::engines::postgres {
namespace {

const std::string& name_of(const Call& call) {
  return call.params.find("name")->second;
}

}  // namespace

std::vector<CallRoutes::Route> RolePaths::routes() {
  return {
      {{.pattern = "roles", .summary = "The roles of this mount"},
       {{Operation::kList,
         [this](const Call&) { return list_names(services_.storage, "role/"); }}}},
      {{.pattern = "roles/{name}",
        .summary = "The statements and times that leases of a role get",
        .fields = role_fields()},
       {{Operation::kRead, [this](const Call& call) { return read(call); }},
        {Operation::kUpdate, [this](const Call& call) { return write(call); }},
        {Operation::kDelete, [this](const Call& call) { return remove(call); }}}},
  };
}

Result<Reply> RolePaths::read(const Call& call) const {
  ASSIGN_OR_RETURN(const auto role, load_role(services_.storage, name_of(call)));
  if (!role) return Error{Errc::kNotFound, ""};
  return Reply{role->shown()};
}

Result<Reply> RolePaths::write(const Call& call) {
  const std::string& name = name_of(call);
  ASSIGN_OR_RETURN(const bool wanted, Fields(call.data).boolean_or("rehearse", true));
  ASSIGN_OR_RETURN(const auto before, services_.storage.get(role_key(name)));
  std::optional<LeaseRole> stored;
  if (before) {
    ASSIGN_OR_RETURN(stored, LeaseRole::from_json(name, *before));
  }
  ASSIGN_OR_RETURN(const LeaseRole role, merge_role(name, stored, call.data));
  Reply reply;
  RETURN_IF_ERROR(judge(role, wanted, reply.warnings));
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto static_role, writer.get(static_role_key(name)));
    if (static_role)
      return Error{Errc::kInvalidArgument, "Role and Static Role names must be unique"};
    ASSIGN_OR_RETURN(const auto now, writer.get(role_key(name)));
    if (now != before && now != role.to_json())
      return Error{Errc::kConflict, fmt::format("roles/{} was changed by somebody else in the "
                                                "meantime; read it and write again",
                                                name)};
    return writer.put(role_key(name), role.to_json());
  }));
  if (role.allow_dangerous)
    services_.log.warn(
        "role may have dangerous rights",
        {{"role", name}, {"target", role.db_name}, {"by", call.attribution.display_name}});
  return reply;
}

// Refuses what must not be stored; says what is unwise.
Status RolePaths::judge(const LeaseRole& role, bool wanted, std::vector<std::string>& warnings) {
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, role.db_name));
  if (!config)
    warnings.push_back(
        fmt::format("db_name: there is no config/{0} yet, so that the statements were not "
                    "rehearsed and the role cannot be used before",
                    role.db_name));
  if (config && !config->allows(role.name))
    warnings.push_back(
        fmt::format("allowed_roles of config/{} does not name this role; it cannot be used before",
                    role.db_name));
  ASSIGN_OR_RETURN(const auto told, lint_statements(role));
  // A text that is refused as it stands is not tried.
  std::vector<std::string> unused;
  RETURN_IF_ERROR(judge_findings(told, role.allow_dangerous, unused));
  std::optional<std::vector<Finding>> seen;
  const auto facts = examine_statements("creation_statements", role.creation_statements);
  if (config && wanted && facts && !facts->empty) {
    ASSIGN_OR_RETURN(seen, rehearse(role, *config, warnings));
  }
  if (config && !wanted)
    warnings.push_back("rehearse=false: whether the statements work was not tried");
  const bool rehearsed = seen.has_value();
  return judge_findings(
      joined_findings(told, std::move(seen).value_or(std::vector<Finding>{}), rehearsed),
      role.allow_dangerous, warnings);
}

// nullopt: the target could not be reached, or is not in this server's charge, and `warnings` says
// so.
Result<std::optional<std::vector<Finding>>> RolePaths::rehearse(
    const LeaseRole& role, const TargetConfig& config, std::vector<std::string>& warnings) {
  ASSIGN_OR_RETURN(const auto pool, pools_.of(config));
  const SteadyTime deadline = services_.clock.steady() + rehearsal_time_;
  {
    const auto reached = pool->acquire(Use::kIssue, deadline);
    if (!reached && reached.error().code == Errc::kUnavailable) {
      warnings.push_back(
          fmt::format("the statements were not rehearsed: {}", reached.error().message));
      return std::optional<std::vector<Finding>>{};
    }
  }
  if (const Status charge = markers_.check(role.db_name, deadline); !charge) {
    warnings.push_back(
        fmt::format("the statements were not rehearsed: {}", charge.error().message));
    return std::optional<std::vector<Finding>>{};
  }
  Rehearsal rehearsal({services_.mount_accessor, services_.clock, services_.random, revoke_}, role,
                      config);
  ASSIGN_OR_RETURN(auto findings,
                   rehearsal.run(pool, deadline, [&](const std::vector<Finding>& seen) {
                     std::vector<std::string> unused;
                     return judge_findings(seen, role.allow_dangerous, unused);
                   }));
  return std::optional{std::move(findings)};
}

Result<Reply> RolePaths::remove(const Call& call) {
  RETURN_IF_ERROR(services_.storage.remove(role_key(name_of(call))));
  return Reply{};
}

}  // namespace curfew::engines::postgres
