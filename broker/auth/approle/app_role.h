#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "broker/auth/token_rules.h"

namespace curfew::broker {

inline constexpr std::size_t kRoleIdBytesMax = 512;
inline constexpr std::size_t kSecretIdBytesMax = 4096;

// A role of the method approle: who may log in with which proof, and what the tokens are like.
struct AppRole {
  std::string name;  // lower case
  std::string uuid;  // another one each time a role of this name is made; secret ids belong to it
  std::string role_id;
  bool bind_secret_id = true;
  std::vector<std::string> secret_id_bound_cidrs;
  std::int64_t secret_id_num_uses = 0;  // 0: any number
  Millis secret_id_ttl{0};              // 0: no end
  TokenRules rules;
};

// Applies the members of a write; those that are absent stay. kInvalidArgument names the member,
// or says that nothing would guard the role.
Status apply_fields(const Json& data, AppRole& role);

// What a read of a role answers.
Json to_api(const AppRole& role);

Json to_stored(const AppRole& role);
AppRole app_role_from_stored(const Json& stored);

// A member that has a path of its own: role/<name>/<segment>.
struct RoleMember {
  std::string_view segment;
  std::string_view member;
  std::string_view old_name;  // also taken and shown under it; empty: none
  Json unset;                 // what deleting it sets; null: it can only be read
  std::string_view summary;
};
const std::vector<RoleMember>& role_members();

// A secret id as it is stored: not itself, its keyed hash is its name.
struct SecretId {
  std::string accessor;
  std::string hash;  // not part of the record
  WallTime created_at;
  WallTime updated_at;
  std::optional<WallTime> expires_at;
  Millis ttl{0};
  std::int64_t uses_left = 0;  // 0: any number
  std::map<std::string, std::string> metadata;
  std::vector<std::string> cidrs;
  std::vector<std::string> token_cidrs;

  bool is_over(WallTime now) const { return expires_at && *expires_at <= now; }
};

// Reads what a new secret id of `role` is to be like. kInvalidArgument: more than the role allows.
Result<SecretId> new_secret_id(const Json& data, const AppRole& role, WallTime now);

// What a lookup answers.
Json to_api(const SecretId& secret);

Json to_stored(const SecretId& secret);
SecretId secret_id_from_stored(const Json& stored);

}  // namespace curfew::broker
