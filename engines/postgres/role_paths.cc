#include "engines/postgres/role_paths.h"

#include <fmt/format.h>

#include "engines/postgres/config.h"
#include "engines/postgres/config_paths.h"
#include "engines/postgres/roles.h"

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
  Reply reply;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto before, writer.get(role_key(name)));
    std::optional<LeaseRole> stored;
    if (before) {
      ASSIGN_OR_RETURN(stored, LeaseRole::from_json(name, *before));
    }
    reply.warnings.clear();
    ASSIGN_OR_RETURN(const LeaseRole role, merge_role(name, stored, call.data, reply.warnings));
    ASSIGN_OR_RETURN(const auto target, writer.get(config_key(role.db_name)));
    if (!target) {
      reply.warnings.push_back(fmt::format(
          "db_name: there is no config/{0} yet; the role cannot be used before", role.db_name));
    } else {
      ASSIGN_OR_RETURN(const auto config, TargetConfig::from_json(role.db_name, *target));
      if (!config.allows(name))
        reply.warnings.push_back(fmt::format(
            "allowed_roles of config/{} does not name this role; it cannot be used before",
            role.db_name));
    }
    return writer.put(role_key(name), role.to_json());
  }));
  return reply;
}

Result<Reply> RolePaths::remove(const Call& call) {
  RETURN_IF_ERROR(services_.storage.remove(role_key(name_of(call))));
  return Reply{};
}

}  // namespace curfew::engines::postgres
