#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

// What a database role may do beyond its grants: attributes, memberships, how long its password is
// valid. Taken down when a lease's role is made and compared when it is looked at again.
namespace curfew::engines::postgres {

// A column of SQL that parse_rights() reads. REQUIRES: pg_roles has the alias "r".
extern const char* const kRightsColumn;

struct IssuedRights {
  std::set<std::string> attributes = {};                // "CREATEDB", …; LOGIN is none
  std::map<std::uint32_t, std::string> member_of = {};  // oids and names of groups
  std::optional<std::int64_t> valid_until = {};         // seconds since 1970; nullopt: for ever

  // What the lease remembers, for a role that is to live until `expires_at`.
  Json to_fact(WallTime expires_at) const;
};

// nullopt: the column is not what was asked for.
std::optional<IssuedRights> parse_rights(const std::optional<std::string>& column);

// What the role has beyond what `fact` remembers, in words. A fact that is missing (a lease from
// before they were taken down, or one that was never active) leaves nothing to compare with.
std::vector<std::string> gained_rights(const Json& fact, const IssuedRights& now);

// Whether the password is valid longer than it was made to be for a lease that ends at
// `expires_at`. False where the role was made without an end.
bool outlives(const Json& fact, const IssuedRights& now, WallTime expires_at);

}  // namespace curfew::engines::postgres
