#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/route.h"
#include "broker/lease/lease_store.h"

namespace curfew::broker {

class MountTable;
class TokenService;

// Which leases an operator means: those that fit every member that is not empty.
struct LeaseScope {
  std::string agent;    // as agent_of() gives it
  std::string session;  // as the caller named it
  std::string trace;    // 32 lower-case hex digits
  std::string token;    // accessor; means the tokens below it too
  std::string role;     // of a mount
  std::string target;   // what the lease depends on there
  std::string mount;    // path
  bool all = false;     // everything; then no other member is set

  // What the names above stand for: accessor of the mount, row id of the token. Set by whoever
  // knows the mounts and tokens; empty where the name is.
  std::string mount_id = {};
  std::string token_id = {};

  bool is_token_alone() const;
};

// The members of a request that make up a scope, for the API description.
std::vector<FieldSpec> scope_fields();

// Reads them; the ids stay empty. kInvalidArgument: no member is given, "all" beside another one, a
// trace that is not one, or another namespace than root.
Result<LeaseScope> scope_of_request(const Json& data);

// As above; nothing given means an empty scope, which everything fits.
Result<LeaseScope> optional_scope_of_request(const Json& data);

Json to_json(const LeaseScope& scope);         // with the ids, for the store
Json to_api(const LeaseScope& scope);          // without them
LeaseScope scope_from_json(const Json& json);  // of to_json()

// Finds the ids of what is named. kInvalidArgument: no such mount or living token.
Status resolve_scope(LeaseScope& scope, const MountTable& mounts, const TokenService& tokens);

// For messages: "agent "report-bot" and role "ro"".
std::string describe(const LeaseScope& scope);

// The leases of a scope. `token`: row id of the one token that is meant; empty: of any.
LeaseFilter filter_of(const LeaseScope& scope, const std::string& token);

// What a lease is or will be, as far as it is known already.
struct ScopeSubject {
  std::string agent;
  std::string session;
  std::string trace;
  std::vector<std::string> tokens;  // row ids: its own and those above it
  std::string mount_id;
  std::string role;
  std::string target;
  bool planned = true;  // false: role and target are not known yet
};
ScopeSubject subject_of(const Lease& lease);

// Whether it lies within. A scope that asks for a role or target is not met by a subject that is
// not planned yet.
bool covers(const LeaseScope& scope, const ScopeSubject& subject);

}  // namespace curfew::broker
