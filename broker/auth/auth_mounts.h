#pragma once

#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/auth/auth_method.h"
#include "broker/mount/mount_entry.h"
#include "broker/mount/mount_services.h"
#include "broker/token/token_service.h"
#include "store/barrier.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// An auth method at work at auth/<path>. Immutable, as Mount is.
struct AuthMount {
  MountEntry entry;  // the path without "auth/"
  struct Core {
    std::unique_ptr<SealedMountStorage> storage;
    std::unique_ptr<AuthMethod> method;
  };
  std::shared_ptr<Core> core;

  AuthMethod& method() const { return *core->method; }
  std::string full_path() const { return "auth/" + entry.path; }
  TokenMountTtl ttl() const { return {entry.config.default_lease_ttl, entry.config.max_lease_ttl}; }
};

// The auth methods' mounts; auth/token/ is TokenMount's. Thread-safe.
class AuthMounts {
 public:
  struct Dependencies {
    store::Database& database;
    const store::Records& records;
    const store::Barrier& barrier;
    const AuthRegistry& registry;
    const Clock& clock;
    Random& random;
    Log& log;
    std::function<void()> token_ended;  // tokens were ended
    // See IdentityService::retire_login.
    std::function<Status(const std::string& accessor, const std::string& alias)> retire_login;
    // Ends the leases that tokens without a row of this method's logins have asked for.
    std::function<Status(const std::string& accessor)> end_leases;
  };
  explicit AuthMounts(Dependencies dependencies) : dependencies_(std::move(dependencies)) {}

  // As MountTable's.
  Status load();
  void unload();

  // The mount that `path`, which begins with "auth/", lies in, and the rest of the path. nullptr:
  // none.
  struct Routed {
    std::shared_ptr<const AuthMount> mount;
    std::string rest;
  };
  Routed route(std::string_view path) const;
  std::shared_ptr<const AuthMount> by_accessor(std::string_view accessor) const;
  // `path` as a client wrote it, without "auth/". nullptr: no mount has exactly this path.
  std::shared_ptr<const AuthMount> at(std::string_view path) const;
  std::vector<MountEntry> list() const;

  // kInvalidArgument: unknown type, bad options, path in use.
  Status create(MountEntry entry);
  // kInvalidArgument: no such mount.
  Status change(const std::string& path, const std::function<Status(MountEntry&)>& change);
  // Ends all tokens that logins at it have made and their leases, then removes it with all that it
  // stored. Absent is success. When it fails it may be done again.
  Status remove(const std::string& path);

  // Inside a transaction: whether a token may still be born at this mount.
  Status check_open(const store::Reader& reader, const MountEntry& entry) const;

  // Has every method clear away what is over.
  void tidy() const;

 private:
  using Mounts = std::map<std::string, std::shared_ptr<const AuthMount>, std::less<>>;

  Result<std::shared_ptr<const AuthMount>> make_mount(MountEntry entry) const;
  Status store_entry(const MountEntry& entry);
  Status end_tokens(const std::string& accessor);

  const Dependencies dependencies_;
  mutable std::shared_mutex mutex_;
  Mounts mounts_;  // by path; guarded by mutex_
};

}  // namespace curfew::broker
