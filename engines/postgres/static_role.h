#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "engines/engine.h"
#include "engines/postgres/rotation_plan.h"

namespace curfew::engines::postgres {

// A database user that exists for long and whose password the broker changes (static-roles/<name>).
struct StaticRole {
  std::string name;
  std::string db_name;   // the target's configuration
  std::string username;  // the database user
  RotationPlan rotation;
  std::vector<std::string> rotation_statements;
  bool skip_import_rotation = false;
  Json credential_config = Json::object();

  // The role's own, or empty.
  std::string password_policy() const;

  Json to_json() const;
  static Result<StaticRole> from_json(std::string name, const Json& stored);
  Json shown() const;
};

// `data` of a write on top of what is stored (nullopt: a new one); fields that are left out keep
// their values. `warnings` gets what is allowed and unwise. kInvalidArgument names the field.
Result<StaticRole> merge_static_role(std::string name, const std::optional<StaticRole>& stored,
                                     const Json& data, std::vector<std::string>& warnings);

// A password that the target may or may not have. It is on stable storage before the target sees
// its verifier.
struct NextPassword {
  Secret password;
  WallTime until;  // after that the target takes it no more

  Json to_json() const;
  static Result<NextPassword> from_json(const Json& stored);
};

// What is known of a static role's password. Stored beside the role, sealed.
struct StaticPassword {
  Secret password;                     // logged in when it was last tried; empty: none is known
  std::optional<NextPassword> next;    // being set: which of the two is valid is not known
  WallTime since;                      // what the rotation plan counts from
  std::optional<WallTime> rotated_at;  // by the broker
  std::optional<WallTime> tried_at;    // the last login with it
  std::string problem;                 // why the password is known not to work; empty: it works
  std::optional<WallTime> problem_since;
  std::string error;                 // of the last rotation that failed; empty: none since
  std::int64_t failures = 0;         // in a row
  std::optional<WallTime> retry_at;  // after failures
  bool importing = false;            // the first rotation is not done yet
  std::string note;                  // what the last login did not prove

  Json to_json() const;
  static Result<StaticPassword> from_json(const Json& stored);
};

std::string static_role_key(std::string_view name);
std::string static_password_key(std::string_view name);
// Which static role a database user of a target belongs to: a user has one at most.
std::string static_user_key(std::string_view target, std::string_view user);
std::string static_users_prefix(std::string_view target);

// nullopt: there is none.
Result<std::optional<StaticRole>> load_static_role(const MountStorage& storage,
                                                   std::string_view name);
// A role has one from the beginning; kCorrupt: it has none.
Result<StaticPassword> load_static_password(const MountStorage& storage, std::string_view name);

// For the API description.
std::vector<FieldSpec> static_role_fields();

}  // namespace curfew::engines::postgres
