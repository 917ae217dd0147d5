#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/rotation_plan.h"
#include "engines/postgres/target.h"

namespace curfew::engines::postgres {

// A target's configuration, as it is stored under config/<name>. What Vault's clients send beside
// the fields that are known goes into connection_details, as it does there.
struct TargetConfig {
  std::string name;
  std::string plugin_name;
  std::string plugin_version;
  std::vector<std::string> allowed_roles;  // globs; empty: none
  std::vector<std::string> root_rotation_statements;
  std::string password_policy;
  bool verify_connection = true;
  RotationPlan rotation;  // of the login's own password
  Json details = Json::object();

  bool allows(std::string_view role) const;
  std::string username_template() const;
  int scram_iterations() const;

  Json to_json() const;
  static Result<TargetConfig> from_json(std::string name, const Json& stored);
  // What a read answers: without password and keys, the URL's password masked.
  Json shown() const;
};

// `data` of a write on top of what is stored (nullopt: a new one); fields that are left out keep
// their values. Everything is checked but the connection itself. `warnings` is added to.
// kInvalidArgument names the field.
Result<TargetConfig> merge_config(std::string name, const std::optional<TargetConfig>& stored,
                                  const Json& data, WallTime now, Random& random,
                                  std::vector<std::string>& warnings);

std::string config_key(std::string_view name);

// nullopt: there is none.
Result<std::optional<TargetConfig>> load_config(const MountStorage& storage, std::string_view name);

// For the API description.
std::vector<FieldSpec> config_fields();

}  // namespace curfew::engines::postgres
