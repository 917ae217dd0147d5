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
#include "broker/lease/lease_store.h"
#include "broker/mount/mount_entry.h"
#include "broker/mount/mount_services.h"
#include "engines/engine.h"
#include "engines/registry.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// An engine at work at a path. Immutable: a change makes a new one beside it, and requests that are
// under way finish with the old one.
struct Mount {
  MountEntry entry;
  // Shared by the successive Mounts of one storage; the engine refers to them.
  struct Core {
    std::unique_ptr<SealedMountStorage> storage;
    std::unique_ptr<StoredMountLeases> leases;
    std::unique_ptr<engines::SecretEngine> engine;
  };
  std::shared_ptr<Core> core;

  engines::SecretEngine& engine() const { return *core->engine; }
};

// The engines' mounts. Thread-safe.
class MountTable {
 public:
  struct Dependencies {
    store::Database& database;
    const store::Records& records;
    LeaseStore& leases;
    engines::PasswordMaker& passwords;
    const engines::Registry& registry;
    const Clock& clock;
    Random& random;
    Log& log;
    std::function<void()> lease_ended;  // leases were made due
    // A mount has begun to work, by its accessor, or its engine has something to do.
    std::function<void(const std::string&)> wake_caretaker;
    // Whether a path lies in another namespace; empty: there are none.
    std::function<bool(const std::string& path)> is_elsewhere = {};
  };
  explicit MountTable(Dependencies dependencies);

  // Makes the engines of all stored mounts. One that was altered in the store, or whose engine
  // cannot be made, is left out and logged.
  Status load();
  void unload();

  // The mount whose path is the longest that `path` begins with, and the rest of the path. nullptr:
  // none.
  struct Routed {
    std::shared_ptr<const Mount> mount;
    std::string rest;
  };
  Routed route(std::string_view path) const;
  std::shared_ptr<const Mount> by_accessor(std::string_view accessor) const;
  std::vector<MountEntry> list() const;
  // `path` as a client wrote it. nullptr: no mount has exactly this path.
  std::shared_ptr<const Mount> at(std::string_view path) const;

  // kInvalidArgument: unknown type, bad options, path in use (also below or above another mount, or
  // by a namespace).
  Status create(MountEntry entry);

  // Changes a mount's entry. Changed options make a new engine. kNotFound: no such mount.
  Status change(const std::string& path, const std::function<Status(MountEntry&)>& change);

  // Moves a mount to another path; its leases stay as they are.
  Status move(const std::string& from, const std::string& to);

  // From now on the mount refuses requests, also after a restart; all its leases are due. It goes
  // with finish_unmounts(). Absent is success. Doing it again is allowed.
  Status begin_unmount(const std::string& path);

  // Removes the mounts that are being unmounted and have no live lease left, with all they stored.
  Status finish_unmounts();

  // Inside a transaction: whether a lease may still be born in this mount.
  Status check_open(const store::Reader& reader, const MountEntry& entry) const;

 private:
  using Mounts = std::map<std::string, std::shared_ptr<const Mount>, std::less<>>;

  Result<std::shared_ptr<const Mount>> make_mount(MountEntry entry) const;
  Status store_entry(const MountEntry& entry, const std::string& old_path);
  Status finish_unmount(const MountEntry& entry);
  void log_left_out(const std::string& path, const Error& error) const;
  Status check_free(const std::string& path, const std::string& except) const;

  const Dependencies dependencies_;
  mutable std::shared_mutex mutex_;
  Mounts mounts_;  // by path; guarded by mutex_
};

}  // namespace curfew::broker
