#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "engines/engine.h"

namespace curfew::engines::postgres {

// So that one leased role cannot take every connection that the server has, and with them the
// broker's way in to end it.
inline constexpr std::int64_t kConnectionLimitDefault = 20;

// A role of the mount (roles/<name>): the statements and times that its leases get.
struct LeaseRole {
  std::string name;
  std::string db_name;  // the target's configuration
  std::vector<std::string> creation_statements;
  std::vector<std::string> revocation_statements;
  std::vector<std::string> renew_statements;
  std::vector<std::string> rollback_statements;  // for a role whose creation was in doubt
  Millis default_ttl{0};
  Millis max_ttl{0};
  Json credential_config = Json::object();
  bool allow_dangerous = false;  // rights that escalate or outlive the lease are taken
  // Sessions of one leased role at a time, where its statements say nothing of it. 0: no limit.
  std::int64_t connection_limit = kConnectionLimitDefault;

  // What a request has to say of itself: "purpose", "session", "ticket", "trace".
  std::vector<std::string> required_context;

  // kInvalidArgument: the request lacks something of it; names the header.
  Status check_context(const Attribution& attribution) const;

  // The role's own, or empty.
  std::string password_policy() const;

  Json to_json() const;
  static Result<LeaseRole> from_json(std::string name, const Json& stored);
  Json shown() const;
};

// `data` of a write on top of what is stored (nullopt: a new one); fields that are left out keep
// their values. Statements are examined. kInvalidArgument names the field.
Result<LeaseRole> merge_role(std::string name, const std::optional<LeaseRole>& stored,
                             const Json& data);

std::string role_key(std::string_view name);

// nullopt: there is none.
Result<std::optional<LeaseRole>> load_role(const MountStorage& storage, std::string_view name);

// For the API description.
std::vector<FieldSpec> role_fields();

}  // namespace curfew::engines::postgres
