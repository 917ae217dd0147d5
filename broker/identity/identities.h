#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "policy/identity.h"

namespace curfew::broker {

// What the registry says of an entity that is an agent.
struct AgentLimits {
  // At least one of them has to allow what the agent does, beside its token; empty: no ceiling.
  std::vector<std::string> ceiling_policies;
  // Roles that it may lease, as "<mount path><role>" with globs; empty: any.
  std::vector<std::string> allowed_roles;
  std::int64_t live_leases_max = 0;  // 0: without limit
  std::int64_t leases_per_hour = 0;  // 0: without limit
  Millis ttl_max{0};                 // of a lease; 0: without limit
};

// What an entity is at this moment.
struct Standing {
  std::string entity_id;
  std::string name;
  std::string kind;   // "human", "agent", or empty: not said
  std::string owner;  // of an agent: the name of the human or group that answers for it
  bool disabled = false;
  std::string disabled_why;           // in words, where it is
  std::vector<std::string> policies;  // its own and its groups', nested ones too; sorted
  policy::Identity identity;          // for the templates in policies
  std::optional<AgentLimits> agent;
};

// Somebody who has logged in.
struct SignIn {
  std::string mount_accessor;
  std::string mount_type;
  std::string alias;  // name within the mount
  std::map<std::string, std::string> metadata = {};
  std::optional<std::vector<std::string>> groups = {};  // external ones, by the method's names
};

// The identities behind tokens. Thread-safe.
class Identities {
 public:
  virtual ~Identities() = default;

  // The entity of an alias, by its id; made when there is none yet (an entity that merely has the
  // name of the alias is never taken for it). Sets the external groups of the alias's mount.
  // kPermissionDenied: the entity is disabled. kInvalidArgument: the alias is not a name, or there
  // are too many groups. kCorrupt: what is stored of the entity was altered: deny.
  virtual Result<std::string> sign_in(const SignIn& sign_in, WallTime now) = 0;

  // nullptr: there is no such entity (any more). An entity that was merged into another one is
  // found by its old id, and its Standing has the new one. kCorrupt: what is stored of it, of one
  // of its groups or of its owner was altered: deny. Cheap: asked with every request. A change
  // counts from the moment on at which the call that made it returns.
  virtual Result<std::shared_ptr<const Standing>> standing(const std::string& entity_id) const = 0;
};

}  // namespace curfew::broker
