#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "broker/auth/approle/app_role.h"
#include "engines/engine.h"
#include "store/barrier.h"

namespace curfew::broker {

// The roles and secret ids of one mount of approle. Role ids and secret ids are found by keyed
// hashes; the secret ids themselves are nowhere. Thread-safe. Changes are durable when they return
// success.
class AppRoleStore {
 public:
  // All outlive it. `mount`: the mount's accessor, which its hashes are bound to.
  AppRoleStore(engines::MountStorage& storage, const store::Barrier& barrier, Random& random,
               std::string mount);

  // ---- roles; names are in lower case

  Result<std::optional<AppRole>> role(const std::string& name) const;
  Result<std::vector<std::string>> role_names() const;

  // Makes the role where there is none and `may_create`, and applies `change` to it, in one
  // transaction. kInvalidArgument: there is none, or its role id is another role's.
  Status write_role(const std::string& name, bool may_create,
                    const std::function<Status(AppRole&)>& change);

  // With all its secret ids. Absent is success.
  Status remove_role(const std::string& name);

  // The role of a role id. For an unknown one it is a decoy, whose role_id is empty and of which no
  // secret id exists, so that what follows takes as long. nullopt: no role was ever made.
  Result<std::optional<AppRole>> role_by_id(const std::string& role_id) const;

  // ---- secret ids

  // kInvalidArgument: this secret id exists, or the role was removed meanwhile.
  Status add_secret(const AppRole& role, const std::string& secret_id, SecretId& secret);

  // nullopt: there is none, or it is over.
  Result<std::optional<SecretId>> secret(const std::string& role_uuid, const std::string& secret_id,
                                         WallTime now) const;
  Result<std::optional<SecretId>> secret_by_accessor(const std::string& role_uuid,
                                                     const std::string& accessor,
                                                     WallTime now) const;
  // Sorted. Those that are over are there until they are cleared away.
  Result<std::vector<std::string>> accessors(const std::string& role_uuid) const;

  // Takes one use, if `check` has nothing against it; the last one removes it. nullopt: there is
  // none, or it is over. Exact, however many ask at once.
  Result<std::optional<SecretId>> use_secret(const AppRole& role, const std::string& secret_id,
                                             WallTime now,
                                             const std::function<Status(const SecretId&)>& check);

  // Absent is success.
  Status remove_secret(const std::string& role_uuid, const SecretId& secret);

  // Removes secret ids that are over, and those of removed roles: all that is to be removed where
  // that is less than `limit`. Gives how many went.
  Result<std::size_t> tidy(WallTime now, std::size_t limit);

 private:
  Result<std::string> role_id_hash(const std::string& role_id) const;
  Result<std::string> secret_hash(const std::string& role_uuid, const std::string& id) const;
  Status put_decoy(engines::StorageWriter& writer) const;
  struct Doomed;
  Result<std::size_t> remove_listed(const Doomed& doomed, std::size_t limit);
  Result<std::size_t> tidy_ends(WallTime now, std::size_t limit);
  Result<std::size_t> tidy_gone(std::size_t limit);

  engines::MountStorage& storage_;
  const store::Barrier& barrier_;
  Random& random_;
  const std::string mount_;
};

}  // namespace curfew::broker
