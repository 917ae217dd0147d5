#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "store/barrier.h"
#include "store/keyring.h"
#include "store/sql.h"

namespace curfew::store {

// The keyrings of the namespaces below the first one, whose keyring wraps them: while it is
// unlocked all of them can be opened, without the root key and without the seal.
//
// Thread-safe.
class NamespaceKeyrings {
 public:
  // What the transaction that makes or destroys keys is to contain beside.
  using MakingWrites = std::function<Status(Writer&, const Barrier&)>;
  using DestroyingWrites = std::function<Status(Writer&)>;

  // `outer`: the keyring of the first namespace. All references outlive this object.
  NamespaceKeyrings(Database& database, const Keyring& outer, Random& random, const Clock& clock,
                    Log& log);

  // Makes the keys of a new namespace, in one transaction with `more`, and gives its keyring,
  // unlocked. `name` stands in every row of the namespace and never changes, so an id rather than a
  // path. kInvalidArgument: no name, or one that is not storable; kConflict: it has keys; kSealed.
  // When it fails nothing was made.
  Result<std::shared_ptr<Keyring>> create(const std::string& name, const MakingWrites& more = {});

  // The keyring of a namespace. kNotFound: none such; kCorrupt: its keys did not open (the others
  // do); kSealed: unlock_all() was not called.
  Result<std::shared_ptr<Keyring>> get(std::string_view name) const;

  // All namespaces that have keys, sorted. kSealed as get().
  Result<std::vector<std::string>> names() const;

  // Takes the keys of all namespaces into memory: to be called when `outer` was unlocked. One whose
  // keys do not open is logged, and get() says so; only the database's errors are errors here.
  Status unlock_all();

  // Zeroes the keys of all namespaces, for whoever holds their keyrings too.
  void lock_all();

  // Destroys the keys of a namespace, in one transaction with `more`, and zeroes them in memory.
  // Afterwards its rows are noise, and so is every copy of them that is newer than the keys'
  // destruction. kNotFound: none such. When it fails nothing was destroyed. REQUIRES: nothing of
  // the namespace is needed any more, such as the leases that are still to be revoked.
  Status destroy(const std::string& name, const DestroyingWrites& more = {});

 private:
  Database& database_;
  const Keyring& outer_;
  Random& random_;
  const Clock& clock_;
  Log& log_;

  mutable std::mutex mutex_;  // protects what follows
  bool unlocked_ = false;
  // nullptr: its keys do not open.
  std::map<std::string, std::shared_ptr<Keyring>, std::less<>> keyrings_;
};

}  // namespace curfew::store
